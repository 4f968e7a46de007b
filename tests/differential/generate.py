"""Generated cases: random graphs and scripts from a fixed seed. Where the reference itself depends on which thread is
faster (two failures in one step, several new questions and one answer), nothing is generated."""

import itertools
import random

from cases import END, LOG, START, channels

SEED = 20261122
CHANNELS = [*LOG, *channels(n="sum", m="merge", cus="custom", any="any_value", eph="ephemeral")]
NAMES = ["a", "b", "c", "d", "e", "f"]


def cases():
    return (one(random.Random(f"{SEED}/{i}"), i) for i in itertools.count())


def one(r, index):
    names = NAMES[: r.randint(2, 6)]
    r.shuffle(names)
    failing = r.choice(names) if r.random() < 0.25 else None
    edges = [{"from": [START], "to": n} for n in r.sample(names, r.randint(1, 2))]
    for source in names:
        for target in r.sample(names, r.randint(0, min(2, len(names)))):
            # Mostly forward, so that most graphs end by themselves.
            if names.index(target) > names.index(source) or r.random() < 0.1:
                edges.append({"from": [source], "to": target})
    if len(names) > 2 and r.random() < 0.4:
        sources = r.sample(names[:-1], 2)
        edges.append({"from": sources, "to": names[-1]})
    branches = {}
    for source in [START, *names]:
        if r.random() < 0.3:
            branches[f"{source}/r"] = options(r, names)
    nodes = {n: behaviour(r, n, names, failing) for n in names}
    described = [{"name": n, **({"defer": True} if r.random() < 0.12 else {})} for n in names]
    for node in described:
        if r.random() < 0.15:
            node["reads"] = r.sample([c["name"] for c in CHANNELS], 4)
    # Whatever the dice say, everything can be reached on paper.
    described[0]["destinations"] = names
    graph = {
        "name": "g",
        "channels": CHANNELS,
        "nodes": described,
        "edges": edges,
        "branches": [{"from": b.split("/")[0], "name": "r", "destinations": None} for b in branches],
    }
    if r.random() < 0.15:
        graph["interrupt_before"] = r.sample(names, 1)
    if r.random() < 0.1:
        graph["interrupt_after"] = r.sample(names, 1)
    # Every node can be reached from START.
    if not any(e["from"] == [START] and e["to"] == names[0] for e in edges):
        edges.append({"from": [START], "to": names[0]})
    return {
        "category": "generated",
        "name": f"{SEED}/{index}",
        "graph": graph,
        "behaviour": {"nodes": nodes, "branches": branches},
        "script": script(r, names),
    }


def options(r, names):
    found = []
    if r.random() < 0.7:
        found.append({"if": ["shorter", "log", r.randint(2, 6)], "to": targets(r, names)})
    if r.random() < 0.3:
        found.append({"if": ["eq", "n", r.randint(0, 3)], "to": targets(r, names)})
    if r.random() < 0.3:
        found.append({"if": ["shorter", "log", 12], "to": targets(r, [n for n in names if n > "b"] or names)})
    return found


def targets(r, names):
    found = r.sample(names, r.randint(1, min(2, len(names))))
    for _ in range(r.choice([0, 0, 1, 2])):
        found.append({"node": r.choice([*names, "nowhere"]), "input": r.choice([{"foo": "s", "log": ["s"]}, {"k": 1}, 7])})
    return found + ([END] if r.random() < 0.1 else [])


def behaviour(r, name, names, failing):
    steps = []
    if name == failing:
        steps.append({"fail": r.choice(["ValueError", "RuntimeError"]), "message": f"it's {name}", "times": 1})
    elif r.random() < 0.18:
        steps += [{"interrupt": f"{name}{k}"} for k in range(r.choice([1, 1, 2]))]
    update = {"log": [{"$": "name"}]}
    if r.random() < 0.5:
        update["n"] = r.randint(0, 3)
    if r.random() < 0.12:
        update["foo"] = {"$": "name"}
    if r.random() < 0.2:
        update["m"] = {r.choice("xy"): {"$": "answers"}}
    if r.random() < 0.2:
        update["cus"] = {"$": "name"}
    if r.random() < 0.1:
        update["any"] = {"$": "name"}
    if r.random() < 0.05:
        update["eph"] = 1
    if r.random() < 0.05:
        update["log"] = {"__overwrite__": ["o"]}
    if r.random() < 0.15:
        steps.append({"if": ["shorter", "log", r.randint(2, 5)], "return": {"update": update, "goto": targets(r, names)}})
    if r.random() < 0.06:
        steps.append({"return": [{"update": update}, {"update": {"n": 1}, "goto": targets(r, names)[:1]}]})
    steps.append({"return": {"update": update}})
    return steps


def script(r, names):
    """Chooses each action by what the thread looks like then."""
    length = r.randint(2, 5)

    def choose(recorder, done):
        if done == 0:
            return {"do": "invoke", "input": start(r), "limit": r.choice([4, 8, 8, 12])}
        if done >= length:
            return None
        try:
            state = recorder.graph.get_state(recorder.config())
        except Exception:
            return {"do": "invoke", "input": start(r), "limit": 6}
        limit = {"limit": r.choice([3, 6, 10])}
        asked = len(state.interrupts)
        fresh = [
            {"do": "invoke", "input": start(r), **limit},
            {"do": "update", "updates": [[{"log": ["u"], "n": 1}, r.choice(names)]]},
            {"do": "update", "updates": [[{"log": ["u"]}, None]]},
            {"do": "update", "updates": [[None, END]]},
            {"do": "update", "updates": [[None, "__copy__"]]},
        ]
        if recorder.ids:
            at = r.randrange(len(recorder.ids))
            fresh.append({"do": "update", "updates": [[{"log": ["f"]}, r.choice(names)]], "at": at})
        if asked == 0 and not recorder.stale_answer():
            fresh += [{"do": "continue", **limit}] * 3
            fresh.append({"do": "command", "update": {"log": ["c"]}, "goto": [r.choice(names)], **limit})
            if recorder.ids:
                at = r.randrange(len(recorder.ids))
                fresh += [{"do": "continue", "at": at, **limit}] * 2
                fresh.append({"do": "command", "update": {"log": ["c"]}, "at": at, **limit})
        if asked == 1:
            fresh += [{"do": "command", "resume": f"r{done}", **limit}] * 6
        if asked > 1 and not recorder.stale_answer():
            some = r.sample(range(asked), r.randint(1, asked))
            fresh += [{"do": "command", "answers": {str(k): f"r{done}.{k}" for k in some}, **limit}] * 6
        return r.choice(fresh)

    return choose


def start(r):
    given = {"foo": r.choice(["x", 1, None])}
    if r.random() < 0.3:
        given["n"] = 1
    if r.random() < 0.2:
        given["cus"] = "i"
    return given
