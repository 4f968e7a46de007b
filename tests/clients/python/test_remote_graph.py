"""LangGraph's `RemoteGraph`: an assistant is a graph like any other, alone or as a node of a local one."""

from typing import Any

import pytest
from langgraph.pregel.remote import RemoteException
from langgraph.types import Command

from support.clients import Client
from support.graphs import around, on_thread, remote
from test_event_streams import HELLO
from test_streams import VALUES_OF_TWO
from test_threads import TWO_AFTER_IN

UPDATES_OF_TWO = [{"a": {"foo": "ina", "log": ["a"]}}, {"b": {"foo": "inab", "log": ["b"]}}]
IN = {"foo": "in"}

# What `nested` comes to from `x`, answered with `Y`.
NESTED_DONE = {"foo": "xamiYb", "log": ["a", "a", "m", "a", "m", "i", "ask", "b"]}


async def test_it_is_invoked(client: Client) -> None:
    two = remote(client, "two")
    assert await two.invoke(IN) == TWO_AFTER_IN
    assert await two.invoke(IN, on_thread()) == TWO_AFTER_IN
    output = await two.invoke(IN, version="v2")
    assert (output.value, output.interrupts) == (TWO_AFTER_IN, ())


async def test_it_is_streamed_in_a_mode(client: Client) -> None:
    two = remote(client, "two")
    assert await two.stream(IN) == UPDATES_OF_TWO
    assert await two.stream(IN, stream_mode="values") == VALUES_OF_TWO
    assert await remote(client, "custom").stream(IN, stream_mode="custom") == [{"progress": 1}, "plain string"]


async def test_it_is_streamed_in_several_modes(client: Client) -> None:
    two = remote(client, "two")
    parts = await two.stream(IN, stream_mode=["values", "updates"])
    assert [part.event for part in parts] == ["values", "updates", "values", "updates", "values"]
    parts = await two.stream(IN, stream_mode=["values", "updates", "tasks"], version="v2")
    by_type: dict[str, list[Any]] = {}
    for part in parts:
        assert (part["ns"], part["interrupts"]) == ((), ())
        by_type.setdefault(part["type"], []).append(part["data"])
    assert (by_type["values"], by_type["updates"]) == (VALUES_OF_TWO, UPDATES_OF_TWO)
    assert [task["name"] for task in by_type["tasks"]] == ["a", "a", "b", "b"]


async def test_its_graphs_are_streamed_under_their_namespaces(client: Client) -> None:
    nested = remote(client, "nested")
    given = {"foo": "x"}
    parts = await nested.stream(given, stream_mode="updates", subgraphs=True)
    wrote = [([place.split(":")[0] for place in ns], next(iter(data))) for ns, data in parts]
    assert wrote == [
        ([], "a"),
        (["mid"], "m"),
        (["mid", "leaf"], "i"),
        (["mid", "leaf"], "__interrupt__"),
        (["mid"], "__interrupt__"),
        ([], "__interrupt__"),
    ]
    assert [next(iter(data)) for data in await nested.stream(given)] == ["a", "__interrupt__"]
    parts = await nested.stream(given, stream_mode="values", subgraphs=True, version="v2")
    (asked,) = {
        (part["interrupts"][0].id, part["data"]["foo"]) for part in parts if part["ns"] == () and part["interrupts"]
    }
    assert asked[1] == "xa"


async def test_its_messages_are_streamed(client: Client) -> None:
    talking = remote(client, "talking")
    parts = await talking.stream(HELLO, stream_mode="messages")
    assert [(message["content"], about["langgraph_node"]) for message, about in parts] == [
        ("hello there world", "sub"),
        ("final", "sub"),
    ]
    parts = await talking.stream(HELLO, stream_mode="messages", subgraphs=True, version="v2")
    assert "".join(part["data"][0]["content"] for part in parts) == "hello there worldfinal"
    assert {part["ns"][0].split(":")[0] for part in parts} == {"sub"}


async def test_it_is_a_node_of_a_local_graph(client: Client) -> None:
    graph = around(client, "two")
    expected = {"foo": "in<ab>", "log": ["<", "<", "a", "b", ">"]}
    assert await graph.invoke(IN, on_thread()) == expected
    parts = await graph.stream(IN, on_thread(), stream_mode=["values", "updates"], subgraphs=True)
    inside = [(mode, data) for ns, mode, data in parts if ns and ns[0].startswith("remote:")]
    assert [data["foo"] for mode, data in inside if mode == "values"] == ["in<", "in<a", "in<ab"]
    assert [next(iter(data)) for mode, data in inside if mode == "updates"] == ["a", "b"]
    assert parts[-1] == ((), "values", expected)


@pytest.mark.parametrize(
    ("assistant", "answered"),
    [
        ("hitl", {"foo": "x<a>", "log": ["<", "<", "a", "ask", ">"]}),
        ("nested", {"foo": "x<amiYb>", "log": ["<", "<", "a", "<", "a", "m", "<", "a", "m", "i", "ask", "b", ">"]}),
    ],
)
async def test_its_question_is_asked_and_answered_around_it(client: Client, assistant: str, answered: Any) -> None:
    graph, config = around(client, assistant), on_thread()
    given = {"foo": "x"}
    asked = await graph.invoke(given, config)
    (question,) = asked.pop("__interrupt__")
    assert asked == {"foo": "x<", "log": ["<"]}
    # The thread of the assistant's has the id of the local one.
    state = await client.threads.get_state(config["configurable"]["thread_id"])
    assert [(i["id"], i["value"]) for i in state["interrupts"]] == [(question.id, question.value)]
    # Nobody has answered: it asks the same again, and does not begin anew.
    again = await graph.invoke(None, config)
    assert [i.id for i in again["__interrupt__"]] == [question.id]
    assert await graph.invoke(Command(resume={question.id: "Y"}), config) == answered
    # Then another input begins anew.
    (another,) = (await graph.invoke(given, config))["__interrupt__"]
    assert another.id != question.id


async def test_its_question_is_answered_by_itself(client: Client) -> None:
    hitl, config = remote(client, "hitl"), on_thread()
    asked = await hitl.invoke({"foo": "x"}, config, version="v2")
    assert (asked.value, asked.interrupts[0].value) == ({"foo": "xa", "log": ["a"]}, {"question": "continue?"})
    state = await hitl.get_state(config)
    assert (state.next, state.interrupts) == (("ask",), asked.interrupts)
    assert await hitl.invoke(Command(resume="yes"), config) == {"foo": "xa", "answer": "yes", "log": ["a", "ask"]}
    states = await hitl.get_state_history(config)
    assert [s.next for s in states] == [(), ("ask",), ("a",), ("__start__",)]


async def test_the_state_of_its_graphs_is_read_and_changed(client: Client) -> None:
    nested, config = remote(client, "nested"), on_thread()
    await nested.invoke({"foo": "x"}, config)
    plain = await nested.get_state(config)
    state = await nested.get_state(config, subgraphs=True)
    mid = state.tasks[0].state
    leaf = mid.tasks[0].state
    assert plain.tasks[0].state["configurable"]["checkpoint_ns"] == mid.config["configurable"]["checkpoint_ns"]
    assert [s.values["foo"] for s in (state, mid, leaf)] == ["xa", "xam", "xami"]
    assert len({s.interrupts[0].id for s in (state, mid, leaf)}) == 1
    assert await nested.get_state(leaf.config) == leaf

    changed = await nested.update_state(leaf.config, {"foo": "new "}, as_node="i")
    assert (await nested.get_state(changed)).values["foo"] == "new "
    place = {"configurable": {name: leaf.config["configurable"][name] for name in ("thread_id", "checkpoint_ns")}}
    assert [s.values.get("foo") for s in await nested.get_state_history(place)] == ["new ", "xami", "xam", None]
    assert (await nested.invoke(Command(resume="Y"), config))["foo"] == "new Yb"


async def test_a_command_leaves_a_graph_inside_it(client: Client) -> None:
    assert await around(client, "handover").invoke(IN, on_thread()) == {
        "foo": "from inside b>",
        "log": ["<", "<", "left", "b", ">"],
    }


async def test_a_command_that_leaves_it_is_a_failure(client: Client) -> None:
    # Neither server tells the graph around it, which would take the command for one to the graph around that.
    with pytest.raises(RemoteException, match="ParentCommand"):
        await around(client, "leave").invoke(IN, on_thread())


async def test_it_is_drawn_with_what_is_inside_it(client: Client) -> None:
    nested = remote(client, "nested")
    inside = ["mid:m", "mid:leaf:i", "mid:leaf:ask"]

    async def nodes(graph: Any, **options: Any) -> set[str]:
        return set((await graph.get_graph(**options)).nodes)

    assert await nodes(nested) == {"__start__", "a", "mid", "b", "__end__"}
    assert await nodes(nested, xray=1) == {"__start__", "a", "mid:m", "mid:leaf", "b", "__end__"}
    assert await nodes(nested, xray=True) == {"__start__", "a", *inside, "b", "__end__"}
    drawn = await nodes(around(client, "nested"), xray=True)
    assert {f"remote:{node}" for node in ("a", *inside, "b")} <= drawn


async def test_configuration_reaches_it(client: Client) -> None:
    ctx = remote(client, "ctx")
    config: Any = {"configurable": {"user": "ada", "extra": {"deep": [1]}}, "tags": ["t"], "metadata": {"m": 1}}
    seen = await ctx.invoke({"foo": "x"}, config)
    assert seen["seen_configurable"] == {"user": "ada", "extra": {"deep": [1]}}
    ctx.graph = ctx.graph.with_config({"configurable": {"user": "bob"}})
    assert (await ctx.invoke({"foo": "x"}))["seen_context"] == {"user": "bob"}
    assert (await remote(client, "ctx").invoke({"foo": "x"}, context={"user": "eve"}))["seen_context"] == {
        "user": "eve"
    }

    config = on_thread() | {"tags": ["t"], "metadata": {"m": 1}}
    await around(client, "two").invoke(IN, config)
    (run,) = await client.runs.list(config["configurable"]["thread_id"])
    assert (run["kwargs"]["config"]["tags"], run["metadata"]["m"]) == (["t"], 1)
    assert run["metadata"]["langgraph_node"] == "remote"


async def test_its_failures_are_raised(client: Client) -> None:
    with pytest.raises(RemoteException, match="boom"):
        await remote(client, "fail").invoke(IN)
    with pytest.raises(RemoteException, match="boom"):
        await around(client, "fail").invoke(IN, on_thread())
    with pytest.raises(RemoteException, match="GraphRecursionError"):
        await remote(client, "limit").invoke({"count": 0}, {"recursion_limit": 3})


async def test_it_stops_at_breakpoints_and_goes_on(client: Client) -> None:
    two, config = remote(client, "two"), on_thread()
    assert await two.invoke(IN, config, interrupt_before=["b"]) == {"foo": "ina", "log": ["a"]}
    assert await two.invoke(None, config) == TWO_AFTER_IN
    assert await two.invoke(Command(update={"foo": "by hand "}, goto="b"), config) == {
        "foo": "by hand b",
        "log": ["a", "b", "b"],
    }


async def test_it_is_watched_over_the_event_protocol(client: Client) -> None:
    async with remote(client, "two").event_run(IN, on_thread()) as run:
        assert await run.output() == TWO_AFTER_IN
    async with remote(client, "chat").event_run(HELLO, on_thread()) as run:
        messages = await run.all("messages")
        texts = [message.text if client.flavour == "sync" else await message.text for message in messages]
        assert [str(text) for text in texts] == ["hello there world"]


async def test_a_deep_question_is_answered_over_the_event_protocol(client: Client) -> None:
    nested, config = remote(client, "nested"), on_thread()
    async with nested.event_run({"foo": "x"}, config) as run:
        values = await run.all("values")
        assert {"foo": "xa", "log": ["a"]} in values
        (question,) = await run.questions()
        assert [place.split(":")[0] for place in question["namespace"]] == ["mid", "leaf"]
    async with nested.event_run(Command(resume="Y"), config) as run:
        assert await run.output() == NESTED_DONE
