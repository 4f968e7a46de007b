"""The cases written by hand: at least five for each part of the algorithm that is easy to get wrong."""

START, END = "__start__", "__end__"
ALL = []


def channels(**reducers):
    # LangGraph starts the custom channel from str().
    return [{"name": n, "reducer": r, **({"default": ""} if r == "custom" else {})} for n, r in reducers.items()]


LOG = channels(foo="last_value", log="append")


def says(**update):
    """A node that appends its name to `log` and writes this."""
    return [{"return": {"update": {"log": [{"$": "name"}], **update}}}]


def goes(goto, **update):
    return [{"return": {"update": {"log": [{"$": "name"}], **update}, "goto": goto}}]


def asks(*questions, **update):
    return [{"interrupt": q} for q in questions] + [
        {"return": {"update": {"log": [{"$": "name"}, {"$": "answers"}], **update}}}
    ]


def fails(times, kind="ValueError"):
    return [{"fail": kind, "message": "boom", "times": times}, *says()]


def edges(*pairs):
    return [{"from": a if isinstance(a, list) else [a], "to": b} for a, b in pairs]


def case(category, name, nodes, edge_list, script, branches=None, channel_list=None, options=None, **more):
    """Registers a case. `branches`: {"source/name": options}; `options`: {node: members of its description}."""
    branches = branches or {}
    names = list(nodes)
    linked = {e["to"] for e in edge_list}
    described = [{"name": n, **(options or {}).get(n, {})} for n in names]
    # Commands may lead to whatever no edge leads to.
    loose = [n for n in names if n not in linked]
    if loose and names:
        described[0].setdefault("destinations", loose)
    ALL.append(
        {
            "category": category,
            "name": name,
            "graph": {
                "name": "g",
                "channels": channel_list or LOG,
                "nodes": described,
                "edges": edge_list,
                "branches": [
                    {"from": b.split("/")[0], "name": b.split("/")[1], "destinations": None} for b in branches
                ],
                **more,
            },
            "behaviour": {"nodes": nodes, "branches": branches},
            "script": script,
        }
    )


def invoke(input=None, **more):
    return {"do": "invoke", "input": {"foo": "in"} if input is None else input, **more}


def go_on(**more):
    return {"do": "continue", **more}


def command(**more):
    return {"do": "command", **more}


def update(*updates, **more):
    return {"do": "update", "updates": [list(u) for u in updates], **more}


LINE = edges((START, "a"), ("a", "b"), ("b", "c"), ("c", END))

# The plain things.
case("basic", "two nodes in a line", {"a": says(foo="a"), "b": says(foo="b")}, edges((START, "a"), ("a", "b")), [invoke(), invoke()])
case("basic", "parallel nodes in order of name", {"z": says(), "a": says(), "m": says()}, edges((START, "z"), (START, "a"), (START, "m")), [invoke()])
case("basic", "two writers of a last value", {"a": says(foo=1), "b": says(foo=2)}, edges((START, "a"), (START, "b")), [invoke(), go_on(), invoke({"foo": 1})])
case("basic", "a string for an input", {"a": says()}, edges((START, "a")), [invoke("text"), go_on(), invoke({"foo": 1})])
case("basic", "a list for an input", {"a": says()}, edges((START, "a")), [invoke([1, "x", None, {"k": True}])])
case("basic", "no input", {"a": says()}, edges((START, "a")), [go_on(), invoke(), go_on()])
case("basic", "unknown keys", {"a": says(bar=1)}, edges((START, "a")), [invoke({"foo": 1, "nope": 2})])
case("basic", "empty input", {"a": says()}, edges((START, "a")), [invoke({}), invoke({})])
case("basic", "a node that returns a string", {"a": [{"raw": "astring"}]}, edges((START, "a")), [invoke(), go_on()])
case("basic", "a node that returns nothing", {"a": [], "b": []}, edges((START, "a"), ("a", "b")), [invoke()])
case("basic", "recursion limit", {"a": says(), "b": says()}, edges((START, "a"), ("a", "b"), ("b", "a")), [invoke(limit=3), go_on(limit=2), invoke(limit=1)])
case("basic", "as many steps as the limit", {"a": says(), "b": says()}, edges((START, "a"), ("a", "b")), [invoke(limit=2), invoke(limit=3)])
case("basic", "input and output schema", {"a": says(foo="out", bar=1)}, edges((START, "a")), [invoke({"foo": "in", "bar": 5})], channel_list=channels(foo="last_value", bar="last_value", log="append"), input_channels=["foo"], output_channels=["bar"])
case("basic", "what a node reads", {"a": [{"return": {"update": {"foo": {"$": "input"}}}}]}, edges((START, "a")), [invoke({"foo": 1, "log": ["x"]})], options={"a": {"reads": ["log"]}})
ZOO = channels(last="last_value", app="append", mer="merge", sum="sum", any="any_value", eph="ephemeral", unt="untracked", cus="custom")
WRITES = {"app": [1], "mer": {"k": {"$": "name"}}, "sum": 2, "any": {"$": "name"}, "cus": {"$": "name"}}
case("channels", "every kind", {"a": [{"return": {"update": {**WRITES, "eph": 1, "unt": 2}}}], "b": [{"return": {"update": WRITES}}], "c": [{"return": {"update": {"last": {"$": "input"}}}}]}, edges((START, "a"), (START, "b"), ("a", "c")), [invoke({"last": 1, "app": ["i"], "eph": "e"}), invoke({"cus": "again"})], channel_list=ZOO)
case("channels", "ephemeral lasts one step", {"a": [{"return": {"update": {"eph": "x"}}}], "b": [{"return": {"update": {"last": {"$": "input"}}}}], "c": [{"return": {"update": {"last": {"$": "input"}}}}]}, LINE, [invoke({"eph": "e", "any": 1, "unt": 3}), invoke({"last": 0})], channel_list=ZOO)
case("channels", "two writers of guarded channels", {"a": [{"return": {"update": {"eph": 1}}}], "b": [{"return": {"update": {"eph": 2}}}]}, edges((START, "a"), (START, "b")), [invoke({"last": 1})], channel_list=ZOO)
case("channels", "two writers of an untracked value", {"a": [{"return": {"update": {"unt": 1}}}], "b": [{"return": {"update": {"unt": 2}}}]}, edges((START, "a"), (START, "b")), [invoke({"last": 1})], channel_list=ZOO)
OVER = {"__overwrite__": ["o"]}
case("channels", "overwrite", {"a": [{"return": {"update": {"app": OVER, "cus": {"__overwrite__": "C"}, "mer": {"type": "__overwrite__", "value": {"z": 1}}}}}], "b": [{"return": {"update": WRITES}}]}, edges((START, "a"), (START, "b")), [invoke({"app": [1]}), invoke({"app": OVER, "last": 2})], channel_list=ZOO)
case("channels", "two overwrites", {"a": [{"return": {"update": {"app": OVER}}}], "b": [{"return": {"update": {"app": OVER}}}]}, edges((START, "a"), (START, "b")), [invoke({"app": [1]})], channel_list=ZOO)
CHAT = channels(messages="add_messages", n="sum")


def message(role, content, id, **more):
    return {"$": "message", "message": {"role": role, "content": content, "id": id, **more}}


def plain_message(role, content, id):
    """In the form that LangChain serialises messages to."""
    return {"content": content, "additional_kwargs": {}, "response_metadata": {}, "type": role, "name": None, "id": id}


case("channels", "messages", {"a": [{"return": {"update": {"messages": [message("assistant", "hello", "2")]}}}], "b": [{"return": {"update": {"messages": [message("user", "edited", "1"), message("tool", "r", "3", tool_call_id="c")]}}}], "c": [{"return": {"update": {"messages": {"$": "message", "message": {"role": "remove", "content": "", "id": "2"}}}}}]}, LINE, [invoke({"messages": [plain_message("human", "hi", "1")]}), invoke({"messages": plain_message("human", "again", "9")})], channel_list=CHAT)
case("channels", "removing all messages", {"a": [{"return": {"update": {"messages": [{"$": "message", "message": {"role": "remove", "content": "", "id": "__remove_all__"}}, message("ai", "new", "5")]}}}]}, edges((START, "a")), [invoke({"messages": [plain_message("human", "hi", "1")]})], channel_list=CHAT)
case("channels", "removing a message that is not there", {"a": [{"return": {"update": {"messages": [{"$": "message", "message": {"role": "remove", "content": "", "id": "7"}}]}}}]}, edges((START, "a")), [invoke({"messages": [plain_message("human", "hi", "1")]})], channel_list=CHAT)

# Conditional edges.
case("branches", "from START", {"a": says(), "b": says()}, edges(("a", END)), [invoke(), invoke({"foo": "b"})], {START + "/r": [{"if": ["eq", "foo", "b"], "to": ["b"]}, {"to": ["a", "b"]}]})
case("branches", "sees the node's own writes", {"a": says(foo="b"), "b": says(foo="c"), "c": says()}, edges((START, "a")), [invoke()], {"a/r": [{"if": ["eq", "foo", "b"], "to": ["b"]}], "b/r": [{"if": ["eq", "foo", "c"], "to": ["c", END]}]})
case("branches", "a loop until long enough", {"a": says(), "b": says()}, edges((START, "a"), ("a", "b")), [invoke(), invoke()], {"b/again": [{"if": ["shorter", "log", 5], "to": ["a"]}, {"to": [END]}]})
case("branches", "unknown targets are ignored", {"a": says(), "b": says()}, edges((START, "a")), [invoke()], {"a/r": [{"to": ["nowhere", "b"]}]})
case("branches", "two branches of a node", {"a": says(), "b": says(), "c": says()}, edges((START, "a")), [invoke()], {"a/r": [{"to": ["b"]}], "a/s": [{"to": ["c", "b"]}]})
case("branches", "with a custom reducer", {"a": [{"return": {"update": {"cus": "x"}}}], "b": [{"return": {"update": {"cus": "y"}}}]}, edges((START, "a")), [invoke({"cus": "s"}), invoke({"cus": "t"})], {"a/r": [{"if": ["eq", "cus", "sx"], "to": ["b"]}]}, channel_list=ZOO)
case("branches", "from START with a custom reducer", {"a": says(), "b": says()}, edges(("a", END)), [invoke({"cus": "s"}), invoke({"cus": "t"})], {START + "/r": [{"if": ["eq", "cus", "s"], "to": ["a"]}, {"if": ["eq", "cus", "st"], "to": ["b"]}]}, channel_list=[*LOG, *channels(cus="custom")])
case("branches", "sees what the node does not read", {"a": [{"return": {"update": {"foo": "q"}}}], "b": says()}, edges((START, "a")), [invoke()], {"a/r": [{"if": ["eq", "foo", "q"], "to": ["b"]}]}, options={"a": {"reads": ["log"]}})
case("branches", "fleeting channels are empty", {"a": says(), "b": says(), "c": says()}, edges((START, "a")), [invoke({"eph": 1, "any": 1})], {"a/r": [{"if": ["eq", "eph", 1], "to": ["b"]}, {"if": ["eq", "any", 1], "to": ["b"]}, {"to": ["c"]}]}, channel_list=[*LOG, *channels(eph="ephemeral", any="any_value")])

# Send.
EACH = [{"each": "items", "node": "w"}]
ITEMS = [*LOG, *channels(items="last_value")]
WORK = [{"return": {"update": {"log": [{"$": "input"}]}}}]
case("send", "one task per item", {"a": says(), "w": WORK, "z": says()}, edges((START, "a"), ("w", "z")), [invoke({"items": [1, 2, 3]})], {"a/fan": EACH}, channel_list=ITEMS)
case("send", "from START", {"w": WORK}, edges(("w", END)), [invoke({"items": ["x", "y"]}), invoke({"items": []})], {START + "/fan": EACH}, channel_list=ITEMS)
case("send", "to an unknown node", {"a": says(), "b": says()}, edges((START, "a")), [invoke()], {"a/r": [{"to": [{"node": "nowhere", "input": 1}, {"node": "b", "input": {"foo": 2}}]}]})
case("send", "beside an edge", {"a": says(), "w": WORK, "b": says()}, edges((START, "a"), ("a", "b")), [invoke()], {"a/r": [{"to": [{"node": "w", "input": 1}, "w", {"node": "b", "input": "s"}]}]})
case("send", "of what is no object", {"a": says(), "w": WORK}, edges((START, "a")), [invoke()], {"a/r": [{"to": [{"node": "w", "input": None}, {"node": "w", "input": "text"}, {"node": "w", "input": [1]}]}]})
case("send", "in rounds", {"a": says(), "w": says()}, edges((START, "a")), [invoke()], {"a/r": [{"to": [{"node": "w", "input": {"k": 1}}, {"node": "w", "input": {"k": 2}}]}], "w/r": [{"if": ["shorter", "log", 4], "to": [{"node": "w", "input": {"k": 3}}]}]})
case("send", "interrupted", {"a": says(), "w": [{"if": ["eq", "item", 2], "interrupt": "really?"}, {"return": {"update": {"log": [{"$": "input"}, {"$": "answers"}]}}}], "z": says()}, edges((START, "a"), ("w", "z")), [invoke({"items": [1, 2, 3]}), command(resume="yes")], {"a/fan": EACH}, channel_list=ITEMS)
case("send", "failing once", {"a": says(), "w": [{"if": ["eq", "item", 2], "fail": "ValueError", "message": "no", "times": 1}, *WORK], "z": says()}, edges((START, "a"), ("w", "z")), [invoke({"items": [1, 2, 3]}), go_on()], {"a/fan": EACH}, channel_list=ITEMS)
case("send", "with an untracked member", {"a": says(), "w": WORK}, edges((START, "a")), [invoke()], {"a/r": [{"to": [{"node": "w", "input": {"unt": 1, "foo": 2}}]}]}, channel_list=[*LOG, *channels(unt="untracked")])
case("send", "twelve in order", {"a": says(), "w": WORK}, edges((START, "a")), [invoke({"items": list(range(12))})], {"a/fan": EACH}, channel_list=ITEMS)

# Joins.
case("join", "waits for both", {"a": says(), "b": says(), "b2": says(), "c": says()}, edges((START, "a"), (START, "b"), ("b", "b2"), (["a", "b2"], "c")), [invoke(), invoke()])
case("join", "and an edge of its own", {"a": says(), "b": says(), "c": says()}, edges((START, "a"), ("a", "b"), (["a", "b"], "c"), ("a", "c")), [invoke()])
case("join", "of three", {"a": says(), "b": says(), "d": says(), "c": says()}, edges((START, "a"), (START, "b"), (START, "d"), (["a", "b", "d"], "c")), [invoke()])
case("join", "one source never runs", {"a": says(), "b": says(), "c": says()}, edges((START, "a"), (["a", "b"], "c")), [invoke(), invoke()], options={"a": {"destinations": ["b"]}})
case("join", "in a loop", {"a": says(), "b": says(), "c": says()}, edges((START, "a"), (START, "b"), (["a", "b"], "c")), [invoke()], {"c/again": [{"if": ["shorter", "log", 7], "to": ["a", "b"]}]})
case("join", "kept over runs", {"a": says(), "b": says(), "c": says()}, edges((["a", "b"], "c")), [invoke({"foo": "a"}), invoke({"foo": "b"}), invoke({"foo": "a"})], {START + "/r": [{"if": ["eq", "foo", "a"], "to": ["a"]}, {"to": ["b"]}]})
case("join", "two joins into one", {"a": says(), "b": says(), "d": says(), "c": says()}, edges((START, "a"), (START, "b"), ("a", "d"), (["a", "b"], "c"), (["b", "d"], "c")), [invoke()])

# Command.
case("command", "goto beside an edge", {"a": goes(["c"]), "b": says(), "c": says()}, edges((START, "a"), ("a", "b")), [invoke()])
case("command", "goto END and unknown", {"a": goes([END, "nowhere"]), "b": says()}, edges((START, "a"), ("a", "b")), [invoke()])
case("command", "goto a send", {"a": goes([{"node": "b", "input": {"k": 1}}, "b"]), "b": WORK}, edges((START, "a")), [invoke()])
case("command", "a list of commands", {"a": [{"return": [{"update": {"log": [1]}}, {"update": {"log": [2]}, "goto": ["b"]}, {"goto": ["c"]}]}], "b": says(), "c": says()}, edges((START, "a")), [invoke()])
case("command", "a list that writes a last value twice", {"a": [{"return": [{"update": {"foo": 1}}, {"update": {"foo": 2}, "goto": ["b"]}]}], "b": says()}, edges((START, "a")), [invoke()])
case("command", "to the parent of the root", {"a": [{"return": {"update": {"foo": 1}, "graph": "__parent__", "goto": ["b"]}}], "b": says()}, edges((START, "a")), [invoke()])
case("command", "update from outside", {"a": says(), "b": says()}, edges((START, "a"), ("a", "b")), [invoke(), command(update={"foo": "L", "log": ["u"], "zz": 1})])
case("command", "goto from outside", {"a": says(), "b": says(), "c": says()}, edges((START, "a"), ("a", "b"), ("b", "c")), [invoke(), command(goto=["b"], update={"log": ["u"]}), command(goto=[{"node": "c", "input": {"foo": "S"}}, "a"])])
case("command", "goto unknown from outside", {"a": says()}, edges((START, "a")), [invoke(), command(goto=["nowhere"]), command(goto=[END])])
case("command", "on an empty thread", {"a": says(), "b": says()}, edges((START, "a"), ("a", "b")), [command(update={"foo": "u", "log": ["x"]}, goto=["b"]), invoke()])
case("command", "on an empty thread with a conflict", {"a": says(foo="a"), "b": says(foo="b")}, edges((START, "a")), [command(goto=["b"])])
case("command", "resume on an empty thread", {"a": asks("q")}, edges((START, "a")), [command(resume="r")])
case("command", "resume with nothing pending", {"a": says()}, edges((START, "a")), [invoke(), command(resume="r")])
case("command", "update while interrupted", {"a": asks("q"), "b": says()}, edges((START, "a"), ("a", "b")), [invoke(), command(update={"foo": "u", "log": ["x"]}), command(resume="r", update={"log": ["y"]})])
case("command", "update of a custom channel", {"a": [{"return": {"update": {"cus": "a"}}}]}, edges((START, "a")), [invoke({"cus": "s"}), command(update={"cus": "u"}, goto=["a"])], channel_list=ZOO)
case("command", "a resume with a goto", {"a": asks("q"), "b": says(), "c": says()}, edges((START, "a"), ("a", "b")), [invoke(), command(resume="r", goto=["c"])])

# Interrupts.
case("interrupt", "one", {"a": asks("q"), "b": says()}, edges((START, "a"), ("a", "b")), [invoke(), go_on(), command(resume={"any": "thing"}), invoke()])
case("interrupt", "a loop in one node", {"a": asks("q1", "q2", "q3")}, edges((START, "a")), [invoke(), command(resume=1), command(resume=2), command(resume=3)])
case("interrupt", "several in one step", {"a": asks("qa"), "b": asks("qb"), "c": says(), "d": says()}, edges((START, "a"), (START, "b"), (START, "c"), (["a", "b", "c"], "d")), [invoke(), command(resume="x"), command(answers={"0": "A"}), command(answers={"0": "B"})])
case("interrupt", "several answered at once", {"a": asks("qa"), "b": asks("qb", "qb2")}, edges((START, "a"), (START, "b")), [invoke(), command(answers={"1": "B", "0": "A"}), command(resume="B2")])
case("interrupt", "an unknown id", {"a": asks("qa")}, edges((START, "a")), [invoke(), command(resume={"0" * 32: "x"}), command(resume={})])
case("interrupt", "before a node", {"a": says(), "b": says()}, edges((START, "a"), ("a", "b")), [invoke(), go_on(), invoke(), invoke()], interrupt_before=["b"])
case("interrupt", "after a node", {"a": says(), "b": says()}, edges((START, "a"), ("a", "b")), [invoke(), go_on(), go_on()], interrupt_after=["a"])
case("interrupt", "everywhere", {"a": says(), "b": says()}, edges((START, "a"), ("a", "b")), [invoke(interrupt_before="*", interrupt_after="*"), go_on(interrupt_before="*"), go_on(interrupt_after="*"), go_on()])
case("interrupt", "a question behind a breakpoint", {"a": asks("q")}, edges((START, "a")), [invoke(), command(resume="early"), go_on()], interrupt_before=["a"])
case("interrupt", "a question with nothing pending is answered", {"a": says(), "b": asks("q1", "q2")}, edges((START, "a"), ("a", "b")), [invoke(), command(resume="one"), command(resume="two")], interrupt_after=["a"])
case("interrupt", "a new input discards it", {"a": asks("q"), "b": says()}, edges((START, "a"), ("a", "b")), [invoke(), invoke({"foo": "new"}), command(resume="r")])
case("interrupt", "with finished siblings", {"a": asks("q"), "b": says(foo="b"), "c": [{"return": {"update": {"log": ["c"]}}}], "d": says()}, edges((START, "a"), (START, "b"), (START, "c"), ("b", "d")), [invoke(), go_on(), command(resume="r")])
case("interrupt", "with a sibling's custom channel", {"a": asks("q"), "b": [{"return": {"update": {"cus": "b"}}}]}, edges((START, "a"), (START, "b")), [invoke({"cus": "s"}), command(resume="r")], channel_list=[*LOG, *channels(cus="custom")])
case("interrupt", "a breakpoint before several", {"a": says(), "b": says(), "c": says()}, edges((START, "a"), ("a", "b"), ("a", "c")), [invoke(), go_on()], interrupt_before=["c"])
case("interrupt", "in a node that branches", {"a": asks("q", foo="b"), "b": says(), "c": says()}, edges((START, "a")), [invoke(), command(resume="r")], {"a/r": [{"if": ["eq", "foo", "b"], "to": ["b"]}, {"to": ["c"]}]})
case("interrupt", "in a node that goes on by command", {"a": [{"interrupt": "q"}, *goes(["b"])], "b": says()}, edges((START, "a")), [invoke(), command(resume="r")])

# Deferred nodes.
DEFER = {"z": {"defer": True}}
case("deferred", "after everything else", {"a": says(), "b": says(), "c": says(), "z": says()}, edges((START, "a"), ("a", "z"), ("a", "b"), ("b", "c")), [invoke(), invoke()], options=DEFER)
case("deferred", "from START", {"z": says(), "a": says()}, edges((START, "z"), (START, "a")), [invoke()], options=DEFER)
case("deferred", "with a join", {"a": says(), "b": says(), "c": says(), "d": says(), "z": says()}, edges((START, "a"), (START, "b"), ("b", "c"), ("c", "d"), (["a", "b"], "z")), [invoke()], options=DEFER)
case("deferred", "and what follows it", {"a": says(), "b": says(), "z": says(), "y": says()}, edges((START, "a"), ("a", "z"), ("a", "b"), ("z", "y")), [invoke()], options=DEFER)
case("deferred", "two of them", {"a": says(), "b": says(), "z": says(), "y": says()}, edges((START, "a"), ("a", "z"), ("a", "y"), ("a", "b")), [invoke()], options={"z": {"defer": True}, "y": {"defer": True}})
case("deferred", "with an interrupt before it", {"a": asks("q"), "b": says(), "z": says()}, edges((START, "a"), ("a", "b"), ("a", "z")), [invoke(), command(resume="r")], options=DEFER)
case("deferred", "collecting sends", {"a": says(), "w": WORK, "z": says()}, edges((START, "a"), ("w", "z")), [invoke({"items": [1, 2]})], {"a/fan": EACH}, channel_list=ITEMS, options=DEFER)
case("deferred", "in a loop", {"a": says(), "b": says(), "z": says()}, edges((START, "a"), ("a", "b"), ("a", "z")), [invoke()], {"z/again": [{"if": ["shorter", "log", 5], "to": ["a"]}]}, options=DEFER)

# Failures.
case("error", "a node fails once", {"a": says(), "b": fails(1), "c": says()}, LINE, [invoke(), go_on()])
case("error", "finished siblings keep their writes", {"a": fails(1), "b": says(foo="b"), "c": says()}, edges((START, "a"), (START, "b"), ("a", "c")), [invoke(), go_on()])
case("error", "fails twice", {"a": fails(2), "b": says()}, edges((START, "a"), (START, "b")), [invoke(), go_on(), go_on()])
case("error", "a failure and a question", {"a": fails(1), "b": asks("q"), "c": says()}, edges((START, "a"), (START, "b"), ("b", "c")), [invoke(), command(resume="r")])
case("error", "a question, then a failure", {"a": [{"interrupt": "q"}, *fails(1)], "b": says()}, edges((START, "a"), ("a", "b")), [invoke(), command(resume="r"), go_on()])
case("error", "retried until it works", {"a": fails(2), "b": says()}, edges((START, "a"), ("a", "b")), [invoke()], options={"a": {"retry": [{"max_attempts": 3, "retry_on": ["ValueError"]}]}})
case("error", "retried too often", {"a": fails(3), "b": says()}, edges((START, "a"), ("a", "b")), [invoke(), go_on()], options={"a": {"retry": [{"max_attempts": 2, "retry_on": ["ValueError"]}]}})
case("error", "not for this policy", {"a": fails(1, "RuntimeError")}, edges((START, "a")), [invoke(), go_on()], options={"a": {"retry": [{"max_attempts": 5, "retry_on": ["KeyError"]}]}})
case("error", "a new input after it", {"a": fails(1), "b": says()}, edges((START, "a"), (START, "b")), [invoke(), invoke({"foo": "new"})])
case("error", "an update after it", {"a": fails(1), "b": says(), "c": says()}, edges((START, "a"), (START, "b"), ("a", "c")), [invoke(), update(({"log": ["u"]}, "a")), go_on()])

# State updates.
case("update", "as each node", {"a": says(), "b": says(), "c": says()}, LINE, [invoke(interrupt_before=["c"]), update(({"foo": "u"}, "a")), go_on(), update(({"log": ["v"]}, "b")), go_on()])
case("update", "without saying as whom", {"a": says(), "b": says(), "c": says()}, LINE, [invoke(interrupt_before=["b"]), update(({"foo": "u"}, None)), go_on()])
case("update", "ambiguous", {"a": says(), "b": says()}, edges((START, "a"), (START, "b")), [invoke(), update(({"foo": "u"}, None))])
case("update", "an empty thread", {"a": says(), "b": says()}, edges((START, "a"), ("a", "b")), [update(({"foo": "u", "log": ["x"]}, None)), go_on()])
case("update", "an empty thread as a node", {"a": says(), "b": says()}, edges((START, "a"), ("a", "b")), [update(({"foo": "u"}, "a")), go_on(), invoke()])
case("update", "an unknown node", {"a": says()}, edges((START, "a")), [invoke(), update(({"foo": "u"}, "bogus")), update(({"foo": "u"}, END))])
case("update", "no values", {"a": says(), "b": says()}, edges((START, "a"), ("a", "b")), [invoke(interrupt_before=["a"]), update((None, "a")), go_on()])
case("update", "clears what is to run", {"a": asks("q"), "b": says(foo="b"), "c": says()}, edges((START, "a"), (START, "b"), ("a", "c")), [invoke(), update((None, END)), go_on(), invoke()])
case("update", "clears an empty thread", {"a": says()}, edges((START, "a")), [update((None, END)), invoke()])
case("update", "as an input", {"a": says(), "b": says()}, edges((START, "a"), ("a", "b")), [update(({"foo": "i"}, "__input__")), go_on(), update(({"foo": "j"}, "__input__")), go_on(), update((None, "__input__"))])
case("update", "as a copy", {"a": says(), "b": says()}, edges((START, "a"), ("a", "b")), [update((None, "__copy__")), invoke(interrupt_before=["b"]), update((None, "__copy__")), go_on()])
case("update", "as a copy with values", {"a": says(), "b": says()}, edges((START, "a"), ("a", "b")), [invoke(interrupt_before=["b"]), update(([[{"foo": "k", "log": ["1"]}, "b"], [{"log": ["2"]}, "a"]], "__copy__")), go_on()])
case("update", "several at once", {"a": says(), "b": says(), "c": says()}, edges((START, "a"), (START, "b"), (["a", "b"], "c")), [invoke(interrupt_before=["a", "b"]), update(({"log": ["2"]}, "b"), ({"log": ["1"]}, "a")), go_on(), update(({"log": ["2"]}, "b"), ({"log": ["1"]}, None)), update(({"log": []}, "b"), ({"log": ["1"]}, "nope"))])
case("update", "two of one last value", {"a": says(), "b": says()}, edges((START, "a"), (START, "b")), [invoke(), update(({"foo": 1}, "a"), ({"foo": 2}, "b"))])
case("update", "runs branches", {"a": says(), "b": says(), "c": says()}, edges((START, "a")), [invoke(), update(({"foo": "b"}, "a")), go_on(), update(({"foo": "x"}, "a")), go_on()], {"a/r": [{"if": ["eq", "foo", "b"], "to": ["b"]}, {"to": [{"node": "c", "input": {"k": 1}}]}]})
case("update", "of a custom channel", {"a": says(), "b": says()}, edges((START, "a")), [invoke({"cus": "s"}), update(({"cus": "u"}, "a")), go_on()], {"a/r": [{"if": ["eq", "cus", "su"], "to": ["b"]}]}, channel_list=[*LOG, *channels(cus="custom")])
case("update", "while interrupted", {"a": asks("q"), "b": says(), "c": says()}, edges((START, "a"), (START, "b"), ("a", "c")), [invoke(), update(({"log": ["u"]}, "b")), go_on(), invoke(), update(({"log": ["w"]}, "a")), go_on()])
case("update", "what is no object", {"a": says()}, edges((START, "a")), [invoke(), update(("text", "a")), update(([1, None], "a"))])
case("update", "an earlier checkpoint", {"a": says(), "b": says(), "c": says()}, LINE, [invoke(), update(({"foo": "u"}, "a"), at=2), go_on(), update(({"foo": "v"}, None), at=3), go_on()])
case("update", "as START", {"a": says(), "b": says()}, edges((START, "a"), ("a", "b")), [invoke(), update(({"foo": "s", "log": ["s"]}, START)), go_on()])

# Forks.
case("fork", "runs again from the middle", {"a": says(), "b": says(), "c": says()}, LINE, [invoke(), go_on(at=2), go_on()])
case("fork", "runs again from the input", {"a": says(), "b": says(), "c": says()}, LINE, [invoke(), go_on(at=0), go_on(at=1)])
case("fork", "from the newest", {"a": says(), "b": says()}, edges((START, "a"), ("a", "b")), [invoke(), go_on(at=3), invoke(interrupt_before=["b"]), go_on(at=6)])
case("fork", "a new input at an earlier one", {"a": says(), "b": says()}, edges((START, "a"), ("a", "b")), [invoke(), invoke({"foo": "other"}, at=1), go_on()])
case("fork", "asks again", {"a": asks("q"), "b": says()}, edges((START, "a"), ("a", "b")), [invoke(), command(resume="r1"), go_on(at=1), command(resume="r2")])
case("fork", "a finished sibling runs again", {"a": asks("q"), "b": says(), "c": says()}, edges((START, "a"), (START, "b"), ("a", "c")), [invoke(), command(resume="r1"), go_on(at=1), command(resume="r2")])
case("fork", "answers at an earlier one", {"a": asks("q"), "b": says()}, edges((START, "a"), ("a", "b")), [invoke(), command(resume="r1"), command(resume="r2", at=1), go_on()])
case("fork", "answers at the newest, named", {"a": asks("q"), "b": says(), "c": says()}, edges((START, "a"), (START, "b"), ("a", "c")), [invoke(), command(resume="r1", at=1)])
case("fork", "an update, then on from it by name", {"a": says(), "b": says(), "c": says()}, LINE, [invoke(), update(({"foo": "u"}, "a"), at=1), go_on(at=5), go_on(at=5)])
case("fork", "a command at an earlier one", {"a": says(), "b": says(), "c": says()}, LINE, [invoke(), command(update={"foo": "cmd", "log": ["u"]}, at=2), command(goto=["c"], at=1)])
case("fork", "sends again", {"a": says(), "w": WORK, "z": says()}, edges((START, "a"), ("w", "z")), [invoke({"items": [1, 2]}), go_on(at=2)], {"a/fan": EACH}, channel_list=ITEMS)
case("fork", "past a breakpoint", {"a": says(), "b": says(), "c": says()}, LINE, [invoke(), go_on(), go_on(at=2), go_on()], interrupt_before=["b"])
case("fork", "a failed step", {"a": says(), "b": fails(1), "c": says()}, LINE, [invoke(), go_on(at=2), go_on(at=1)])
