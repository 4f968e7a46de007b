"""Graphs inside graphs: what is seen of them, what their state is, and how they are answered."""

from typing import Any

import pytest

from support.clients import Client, Json
from support.runs import data, parts
from test_remote_graph import NESTED_DONE

START: Json = {"input": {"foo": "x"}}


def nodes(namespace: str) -> list[str]:
    """`mid:1|leaf:2` as `["mid", "leaf"]`."""
    return [place.split(":")[0] for place in namespace.split("|")]


def inside(state: Json) -> Json:
    """The state of the graph inside the task that a state waits for."""
    (task,) = state["tasks"]
    nested: Json = task["state"]
    return nested


async def asked(client: Client, thread: str) -> tuple[Json, Json, Json]:
    """The states of the three graphs of `nested`, whose innermost asks."""
    await client.runs.wait(thread, "nested", **START)
    state = await client.threads.get_state(thread, subgraphs=True)
    return state, inside(state), inside(inside(state))


async def test_a_stream_shows_them_to_whoever_asks(client: Client, thread: str) -> None:
    plain = await parts(client.runs.stream(thread, "nested", **START, stream_mode=["values", "updates"]))
    assert {part.event for part in plain} == {"values", "updates"}
    options: Any = {"stream_mode": ["values", "updates"], "stream_subgraphs": True}
    deep = await parts(client.runs.stream(thread, "nested", **START, **options))
    seen: dict[str, list[str]] = {}
    for part in deep:
        mode, _, namespace = part.event.partition("|")
        if mode == "values":
            seen.setdefault("|".join(nodes(namespace)), []).append(part.data["foo"])
    assert seen == {"": ["x", "xa", "xa"], "mid": ["xa", "xam", "xam"], "mid|leaf": ["xam", "xami", "xami"]}
    wrote = [(nodes(part.event.partition("|")[2]), next(iter(part.data))) for part in deep if "updates" in part.event]
    assert wrote[:3] == [([""], "a"), (["mid"], "m"), (["mid", "leaf"], "i")]


async def test_their_messages_are_streamed(client: Client) -> None:
    hello: Json = {"input": {"messages": [{"role": "user", "content": "hi"}]}, "stream_subgraphs": True}
    pieces = await parts(client.runs.stream(None, "talking", **hello, stream_mode="messages-tuple"))
    assert {nodes(part.event.removeprefix("messages|"))[0] for part in pieces} == {"sub"}
    assert [part.data[0]["content"] for part in pieces] == ["hello", " ", "there", " ", "world", "final"]
    # Events of the other mode say only within where they come from.
    grown = await parts(client.runs.stream(None, "talking", **hello, stream_mode="messages"))
    assert {part.event for part in grown} == {"messages/metadata", "messages/partial", "messages/complete"}
    assert data(grown, "messages/partial")[-1][0]["content"] == "hello there world"


async def test_each_has_a_state_of_its_own(client: Client, thread: str) -> None:
    state, mid, leaf = await asked(client, thread)
    assert [(s["values"]["foo"], s["next"]) for s in (state, mid, leaf)] == [
        ("xa", ["mid"]),
        ("xam", ["leaf"]),
        ("xami", ["ask"]),
    ]
    assert [nodes(s["checkpoint"]["checkpoint_ns"]) for s in (state, mid, leaf)] == [[""], ["mid"], ["mid", "leaf"]]
    map_ = leaf["checkpoint"]["checkpoint_map"]
    assert list(map_.values()) == [s["checkpoint"]["checkpoint_id"] for s in (state, mid, leaf)]
    assert list(map_) == [s["checkpoint"]["checkpoint_ns"] for s in (state, mid, leaf)]
    ids = {s["tasks"][0]["interrupts"][0]["id"] for s in (state, mid, leaf)}
    assert len(ids) == 1

    # Without them the state says where they are, and they can be asked for by that.
    (task,) = (await client.threads.get_state(thread))["tasks"]
    assert task["state"] is None
    assert task["checkpoint"]["checkpoint_ns"] == mid["checkpoint"]["checkpoint_ns"]
    found = await client.threads.get_state(thread, checkpoint=task["checkpoint"], subgraphs=True)
    assert (found["values"], inside(found)["values"]) == (mid["values"], leaf["values"])
    found = await client.threads.get_state(thread, checkpoint=leaf["checkpoint"])
    assert (found["values"], found["checkpoint"]) == (leaf["values"], leaf["checkpoint"])


async def test_each_has_a_history_of_its_own(client: Client, thread: str) -> None:
    _, mid, leaf = await asked(client, thread)
    for state, foos in ((mid, ["xam", "xa", None]), (leaf, ["xami", "xam", None])):
        place: Any = {"checkpoint_ns": state["checkpoint"]["checkpoint_ns"]}
        history = await client.threads.get_history(thread, checkpoint=place)
        assert [s["values"].get("foo") for s in history] == foos
        assert {s["checkpoint"]["checkpoint_ns"] for s in history} == {place["checkpoint_ns"]}
    history = await client.threads.get_history(thread)
    assert {s["checkpoint"]["checkpoint_ns"] for s in history} == {""}


@pytest.mark.parametrize("by_id", [False, True])
async def test_a_deep_question_is_answered_at_the_top(client: Client, thread: str, *, by_id: bool) -> None:
    state, _, _ = await asked(client, thread)
    question = state["interrupts"][0]["id"]
    resume = {question: "Y"} if by_id else "Y"
    assert await client.runs.wait(thread, "nested", command={"resume": resume}) == NESTED_DONE
    after = await client.threads.get(thread)
    assert (after["status"], after["interrupts"]) == ("idle", {})


async def test_questions_of_two_graphs_are_answered_one_by_one(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "wide", **START)
    state = await client.threads.get_state(thread)
    ids = {i["value"]["ask"]: i["id"] for i in state["interrupts"]}
    await client.runs.wait(thread, "wide", command={"resume": {ids["left"]: "L"}})
    assert [i["id"] for i in (await client.threads.get_state(thread))["interrupts"]] == [ids["right"]]
    values = await client.runs.wait(thread, "wide", command={"resume": {ids["right"]: "R"}})
    assert values["log"] == ["left=L", "right=R", "after"]


async def test_the_state_of_one_is_changed_before_it_goes_on(client: Client, thread: str) -> None:
    _, _, leaf = await asked(client, thread)
    changed = await client.threads.update_state(thread, {"foo": "new "}, as_node="i", checkpoint=leaf["checkpoint"])
    assert changed["checkpoint"]["checkpoint_ns"] == leaf["checkpoint"]["checkpoint_ns"]
    state = await client.threads.get_state(thread, subgraphs=True)
    assert inside(inside(state))["values"]["foo"] == "new "
    assert state["values"]["foo"] == "xa"
    values = await client.runs.wait(thread, "nested", command={"resume": "Y"})
    assert values["foo"] == "new Yb"


async def test_an_earlier_checkpoint_asks_anew(client: Client, thread: str) -> None:
    state, _, _ = await asked(client, thread)
    await client.runs.wait(thread, "nested", command={"resume": "Y"})
    again = await client.runs.wait(thread, "nested", checkpoint_id=state["checkpoint"]["checkpoint_id"])
    assert (again["foo"], again["__interrupt__"][0]["value"]) == ("xa", {"question": "deep?"})
    assert (await client.runs.wait(thread, "nested", command={"resume": "Z"}))["foo"] == "xamiZb"


async def test_a_command_leaves_one_for_the_graph_around_it(client: Client, thread: str) -> None:
    values = await client.runs.wait(thread, "handover", **START)
    assert values == {"foo": "from inside b", "log": ["left", "b"]}


async def test_they_are_described_and_drawn(client: Client) -> None:
    (assistant,) = await client.assistants.search(graph_id="nested", limit=1)
    id_ = assistant["assistant_id"]
    assert set(await client.assistants.get_subgraphs(id_)) == {"mid"}
    deep = await client.assistants.get_subgraphs(id_, recurse=True)
    assert set(deep) == {"mid", "mid|leaf"}
    assert set(deep["mid|leaf"]["state_schema"]["properties"]) == {"foo", "log"}
    assert set(await client.assistants.get_subgraphs(id_, namespace="mid", recurse=True)) == {"mid"}
    assert await client.assistants.get_subgraphs(id_, namespace="nobody") == {}

    async def drawn(*, xray: int | bool) -> list[str]:
        return [node["id"] for node in (await client.assistants.get_graph(id_, xray=xray))["nodes"]]

    assert await drawn(xray=False) == ["__start__", "a", "mid", "b", "__end__"]
    assert sorted(await drawn(xray=1)) == ["__end__", "__start__", "a", "b", "mid:leaf", "mid:m"]
    assert sorted(await drawn(xray=True)) == ["__end__", "__start__", "a", "b", "mid:leaf:ask", "mid:leaf:i", "mid:m"]
