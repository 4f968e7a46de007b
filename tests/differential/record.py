"""Records what LangGraph does with the cases of `cases.py` and 500 generated ones, for host/pregel to be compared to.

To record again:

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install -r tests/differential/requirements.txt
    /tmp/venv/bin/python tests/differential/record.py

It writes `fixture.jsonl` beside itself, one case a line: the graph, the behaviours, the script of actions, and after
each action what LangGraph answered, showed and stored. Checkpoint ids are counted here instead of being drawn, so that
task ids and interrupt ids come out the same each time and can be compared to the letter.

What is long and seldom wrong is a digest (`#…`) in generated cases, to keep the file small; with `--full PATH`
everything is written out to PATH instead, and the Rust test reads that file when `FIXTURE` names it.
"""

import concurrent.futures
import itertools
import json
import logging
import pathlib
import sys
import uuid
import warnings

import langgraph.pregel._checkpoint as checkpoints
import langgraph.pregel._executor as executor
import langgraph.pregel._loop as loops
from langchain_core.messages import BaseMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.pregel.protocol import StreamProtocol
from langgraph.types import Command, Interrupt, Send, StateUpdate
from xxhash import xxh3_64_hexdigest

import cases
import generate
from graphs import Behaviour, build

FIXTURE = pathlib.Path(__file__).with_name("fixture.jsonl")
MODES = ["values", "updates", "tasks"]

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)


def text(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value):
    return "#" + xxh3_64_hexdigest(text(value).encode())


def shortened(expect):
    """The same with digests in place of the long parts."""
    for part in ("calls", "events", "output"):
        if part in expect:
            expect[part] = digest(expect[part])
    if "tasks" in expect["state"]:
        expect["state"]["tasks"] = digest(expect["state"]["tasks"])
    expect["checkpoints"] = [
        {**{k: made[k] for k in ("source", "step", "next", "values")}, "all": digest(made)}
        for made in expect["checkpoints"]
    ]
    return expect


class Ids:
    """Stands in for uuid6: −2 is LangGraph's stand-in checkpoint of an empty thread, which is never stored."""

    count = 0

    @classmethod
    def next(cls, clock_seq=None):
        if clock_seq == -2:
            return uuid.UUID(int=0)
        cls.count += 1
        return uuid.UUID(int=0x1EF00000_0000_6000_8000_000000000000 + cls.count)


checkpoints.uuid6 = Ids.next


class Last:
    """What the loop that ran last showed, and ended with."""

    output = None
    events = []


begin_loop = loops.SyncPregelLoop.__init__


def listen(self, *args, stream, **kwargs):
    """A run that fails while it applies writes never hands on the events before that."""

    def put(chunk):
        Last.events.append(chunk[1:])
        stream(chunk)

    begin_loop(self, *args, stream=StreamProtocol(put, stream.modes), **kwargs)


loops.SyncPregelLoop.__init__ = listen
exit_loop = loops.SyncPregelLoop.__exit__


def remember(self, *args):
    result = exit_loop(self, *args)
    Last.output = self.output
    return result


loops.SyncPregelLoop.__exit__ = remember


submit = executor.BackgroundExecutor.submit


def submit_or_save(self, fn, *args, **kwargs):
    """The end of a failing run can cancel a save that no thread has begun yet: here none is left to chance."""
    if getattr(fn, "__name__", "") != "put_writes":
        return submit(self, fn, *args, **kwargs)
    saved = concurrent.futures.Future()
    saved.set_result(fn(*args))
    return saved


executor.BackgroundExecutor.submit = submit_or_save


def plain(value):
    """A value as JSON."""
    match value:
        case BaseMessage():
            return value.model_dump()
        case Interrupt():
            return {"value": plain(value.value), "id": value.id}
        case Send():
            return {"node": value.node, "input": plain(value.arg)}
        case BaseException():
            return repr(value)
        case {"value": asked, "id": id, "response_schema": None}:
            return {"value": plain(asked), "id": id}
        case dict():
            return {k: plain(v) for k, v in value.items()}
        case list() | tuple():
            return [plain(v) for v in value]
    return value


def snapshot(state):
    return {
        "values": plain(state.values),
        "next": list(state.next),
        "tasks": [
            [t.id, t.name, plain(t.path), plain(t.error), plain(t.interrupts), plain(t.result)] for t in state.tasks
        ],
    }


def failing(call):
    try:
        return call(), None
    except Exception as error:
        return None, [type(error).__name__, str(error)]


class Recorder:
    def __init__(self, case):
        Ids.count = 0
        self.case = case
        self.behaviour = Behaviour(case)
        self.saver = InMemorySaver()
        self.graph = build(case, self.behaviour, self.saver)
        self.seen = set()
        self.ids = []

    def config(self, action=None):
        configurable = {"thread_id": "t", "checkpoint_ns": ""}
        if action and "at" in action:
            configurable["checkpoint_id"] = self.ids[action["at"]]
        config = {"configurable": configurable}
        if action and "limit" in action:
            config["recursion_limit"] = action["limit"]
        return config

    def command(self, action):
        goto = [Send(g["node"], g["input"]) if isinstance(g, dict) else g for g in action.get("goto", [])]
        return Command(update=action.get("update"), resume=self.resume(action), goto=goto)

    def resume(self, action):
        if "resume" in action:
            return action["resume"]
        if "answers" not in action:
            return None
        ids = [i.id for i in self.graph.get_state(self.config()).interrupts]
        return {ids[int(n)]: answer for n, answer in action["answers"].items()}

    def run(self, action, given):
        options = {k: action[k] for k in ("interrupt_before", "interrupt_after") if k in action}

        def stream():
            # As `invoke` does it: what callers see is what the output schema names.
            options["output_keys"] = self.graph.output_channels
            for _ in self.graph.stream(given, self.config(action), stream_mode=MODES, durability="sync", **options):
                pass

        Last.output, Last.events = None, []
        _, error = failing(stream)
        events = {mode: [plain(data) for m, data in Last.events if m == mode] for mode in MODES}
        for event in events["tasks"]:
            event.pop("metadata", None)
            if isinstance(event.get("error"), str):
                event["error"] = True
        # In which order tasks of one step end is chance.
        events["asked"] = [v for v in events["values"] if "__interrupt__" in v]
        events["values"] = [v for v in events["values"] if "__interrupt__" not in v]
        for mode in ("asked", "updates", "tasks"):
            events[mode].sort(key=text)
        return {"error": error, "output": None if error else plain(Last.output), "events": events}

    def update(self, action):
        updates = [StateUpdate(u[0], u[1]) for u in action["updates"]]
        _, error = failing(lambda: self.graph.bulk_update_state(self.config(action), [updates]))
        return {"error": error}

    def act(self, action):
        match action["do"]:
            case "invoke":
                result = self.run(action, action["input"])
            case "continue":
                result = self.run(action, None)
            case "command":
                result = self.run(action, self.command(action))
            case "update":
                result = self.update(action)
        state, error = failing(lambda: self.graph.get_state(self.config()))
        result["state"] = {"error": error} if error else snapshot(state)
        calls, self.behaviour.calls = self.behaviour.calls, []
        result["calls"] = sorted((plain(c) for c in calls), key=text)
        result["checkpoints"] = self.new_checkpoints()
        return result

    def new_checkpoints(self):
        made = []
        for saved in reversed(list(self.saver.list({"configurable": {"thread_id": "t"}}))):
            id = saved.checkpoint["id"]
            if id in self.seen:
                continue
            self.seen.add(id)
            self.ids.append(id)
            record = self.graph.get_state({"configurable": {"thread_id": "t", "checkpoint_id": id}})
            parent = saved.parent_config and saved.parent_config["configurable"]["checkpoint_id"]
            versions = {k: int(v.split(".")[0]) for k, v in saved.checkpoint["channel_versions"].items()}
            seen = {
                node: {k: int(v.split(".")[0]) for k, v in vv.items()}
                for node, vv in saved.checkpoint["versions_seen"].items()
                if vv
            }
            made.append(
                {
                    "id": id,
                    "parent": parent,
                    "source": saved.metadata["source"],
                    "step": saved.metadata["step"],
                    "versions": versions,
                    "seen": seen,
                    **snapshot(record),
                }
            )
        return made

    def stale_answer(self):
        """Whether LangGraph would answer a later question by an answer already used; see the Rust test."""
        saved = self.saver.get_tuple(self.config())
        return saved is not None and any(w[1] == "__resume__" and set(w[0]) <= {"0", "-"} for w in saved.pending_writes)


def record(case):
    recorder = Recorder(case)
    script, expect = [], []
    todo = case["script"]
    while True:
        action = todo(recorder, len(script)) if callable(todo) else dict(enumerate(todo)).get(len(script))
        if action is None:
            break
        script.append(action)
        expect.append(recorder.act(action))
    return {**case, "script": script, "expect": expect}


def generated(count):
    """The first so many that do not explode: Sends that send Sends add nothing after the first hundred."""
    small = (r for r in map(record, generate.cases()) if sum(len(e["calls"]) for e in r["expect"]) <= 120)
    return itertools.islice(small, count)


def main():
    full = sys.argv[1:2] == ["--full"]
    path = pathlib.Path(sys.argv[2]) if full else FIXTURE
    with path.open("w") as out:
        for recorded in [*map(record, cases.ALL), *generated(500)]:
            if recorded["category"] == "generated" and not full:
                recorded["expect"] = [shortened(e) for e in recorded["expect"]]
            out.write(json.dumps(recorded, separators=(",", ":"), ensure_ascii=False) + "\n")
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
