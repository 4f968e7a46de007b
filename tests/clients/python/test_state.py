"""The state of a thread: read, changed, and gone back to."""

from typing import Any

import pytest
from langgraph_sdk.errors import BadRequestError, ConflictError

from support.clients import Client, Json
from support.runs import slowly


def at(state: Json) -> Json:
    return state["checkpoint"]


async def history_of_two(client: Client, thread: str) -> list[Json]:
    await client.runs.wait(thread, "two", input={"foo": "in"})
    return await client.threads.get_history(thread)


async def test_the_state_of_an_empty_thread_is_empty(client: Client, thread: str) -> None:
    assert dict(await client.threads.get_state(thread)) == {
        "values": {},
        "next": [],
        "tasks": [],
        "metadata": None,
        "created_at": None,
        "checkpoint": None,
        "parent_checkpoint": None,
        "interrupts": [],
        "checkpoint_id": None,
        "parent_checkpoint_id": None,
    }


async def test_the_state_of_a_thread_has_all_its_members(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "two", input={"foo": "in"}, metadata={"mine": 1})
    state = await client.threads.get_state(thread)
    assert state["values"] == {"foo": "inab", "log": ["a", "b"]}
    assert (state["next"], state["tasks"], state["interrupts"]) == ([], [], [])
    assert state["checkpoint"]["thread_id"] == thread
    assert state["checkpoint"]["checkpoint_ns"] == ""
    assert state["checkpoint"]["checkpoint_id"] == state["checkpoint_id"]
    assert state["parent_checkpoint"]["checkpoint_id"] == state["parent_checkpoint_id"]
    metadata = state["metadata"]
    assert (metadata["source"], metadata["step"], metadata["parents"]) == ("loop", 2, {})
    assert (metadata["graph_id"], metadata["mine"]) == ("two", 1)
    assert metadata["thread_id"] == thread


async def test_history_tells_every_step_newest_first(client: Client, thread: str) -> None:
    history = await history_of_two(client, thread)
    assert [s["metadata"]["step"] for s in history] == [2, 1, 0, -1]
    assert [s["metadata"]["source"] for s in history] == ["loop", "loop", "loop", "input"]
    assert [s["next"] for s in history] == [[], ["b"], ["a"], ["__start__"]]
    assert [s["values"] for s in history] == [
        {"foo": "inab", "log": ["a", "b"]},
        {"foo": "ina", "log": ["a"]},
        {"foo": "in", "log": []},
        {"log": []},
    ]
    parents = [s["parent_checkpoint"] for s in history]
    assert [p and p["checkpoint_id"] for p in parents] == [
        *(at(s)["checkpoint_id"] for s in history[1:]),
        None,
    ]
    task = history[1]["tasks"][0]
    assert (task["name"], task["error"], task["interrupts"]) == ("b", None, [])
    assert task["result"] == {"foo": "inab", "log": ["b"]}


async def test_history_is_limited_and_filtered(client: Client, thread: str) -> None:
    history = await history_of_two(client, thread)
    limited = await client.threads.get_history(thread, limit=2)
    assert [at(s) for s in limited] == [at(s) for s in history[:2]]
    by_metadata = await client.threads.get_history(thread, metadata={"step": 0})
    assert [at(s) for s in by_metadata] == [at(history[2])]


@pytest.mark.reference_differs("answers 500 to a checkpoint of the form that its client documents")
@pytest.mark.parametrize("form", ["checkpoint", "checkpoint_id"])
async def test_history_goes_on_before_a_checkpoint(client: Client, thread: str, form: str) -> None:
    history = await history_of_two(client, thread)
    middle = at(history[1])
    before = await client.threads.get_history(
        thread, before=middle if form == "checkpoint" else middle["checkpoint_id"] or ""
    )
    assert [s["metadata"]["step"] for s in before] == [0, -1]


async def test_the_state_at_a_checkpoint(client: Client, thread: str) -> None:
    history = await history_of_two(client, thread)
    by_id = await client.threads.get_state(thread, checkpoint_id=at(history[1])["checkpoint_id"])
    by_object = await client.threads.get_state(thread, at(history[1]), subgraphs=True)
    for state in (by_id, by_object):
        assert state["values"] == {"foo": "ina", "log": ["a"]}
        assert state["next"] == ["b"]
        assert at(state)["checkpoint_id"] == at(history[1])["checkpoint_id"]
    assert by_object["checkpoint"] == at(history[1])


async def test_an_update_goes_through_reducers_and_schedules_successors(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "two", input={"foo": "in"})
    answer = await client.threads.update_state(thread, {"foo": "patched", "log": ["by hand"]}, as_node="a")
    state = await client.threads.get_state(thread)
    assert state["values"] == {"foo": "patched", "log": ["a", "b", "by hand"]}
    assert (state["next"], state["metadata"]["source"]) == (["b"], "update")
    assert answer["checkpoint"] == state["checkpoint"]
    assert (await client.threads.get(thread))["status"] == "interrupted"
    after = await client.runs.wait(thread, "two")
    assert after == {"foo": "patchedb", "log": ["a", "b", "by hand", "b"]}
    assert (await client.threads.get(thread))["status"] == "idle"


async def test_an_update_is_by_default_of_the_node_that_wrote_last(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "two", input={"foo": "in"})
    await client.threads.update_state(thread, {"foo": "patched"})
    state = await client.threads.get_state(thread)
    assert state["values"] == {"foo": "patched", "log": ["a", "b"]}
    assert state["next"] == []
    assert (await client.threads.get(thread))["values"] == state["values"]


async def test_an_update_without_a_single_last_writer_is_refused(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "goto", input={"to": ["left", "right"]})
    with pytest.raises(BadRequestError, match="Ambiguous update, specify as_node"):
        await client.threads.update_state(thread, {"foo": "x"})


async def test_an_update_as_end_leaves_nothing_to_do(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "breaks", input={"foo": "in"})
    assert (await client.threads.get_state(thread))["next"] == ["b"]
    await client.threads.update_state(thread, None, as_node="__end__")
    assert (await client.threads.get_state(thread))["next"] == []
    assert (await client.threads.get(thread))["status"] == "idle"


async def test_an_update_at_a_checkpoint_makes_a_branch(client: Client, thread: str) -> None:
    history = await history_of_two(client, thread)
    await client.threads.update_state(
        thread, {"foo": "other"}, as_node="a", checkpoint_id=at(history[2])["checkpoint_id"]
    )
    state = await client.threads.get_state(thread)
    assert state["values"] == {"foo": "other", "log": []}
    assert (state["parent_checkpoint"] or {}).get("checkpoint_id") == at(history[2])["checkpoint_id"]
    await client.threads.update_state(thread, {"foo": "again"}, checkpoint=at(history[0]))
    assert (await client.threads.get_state(thread))["values"] == {
        "foo": "again",
        "log": ["a", "b"],
    }


async def test_an_update_drops_channels_that_are_not_there(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "two", input={"foo": "in"})
    await client.threads.update_state(thread, {"nobody": 1, "foo": "x"})
    assert (await client.threads.get_state(thread))["values"] == {"foo": "x", "log": ["a", "b"]}


async def test_an_update_as_a_node_that_is_not_there_is_refused(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "two", input={"foo": "in"})
    with pytest.raises(BadRequestError, match="Node bogus does not exist"):
        await client.threads.update_state(thread, {"foo": "x"}, as_node="bogus")


async def test_an_update_of_a_thread_without_a_graph_is_refused(client: Client, thread: str) -> None:
    with pytest.raises(BadRequestError, match="no assigned graph ID"):
        await client.threads.update_state(thread, {"foo": "x"})


async def test_an_update_of_a_busy_thread_is_refused(client: Client, thread: str) -> None:
    run = await client.runs.create(thread, "slow", input=slowly(1, 30))
    with pytest.raises(ConflictError, match="in-flight runs"):
        await client.threads.update_state(thread, {"done": 0})
    await client.runs.cancel(thread, run["run_id"])


@pytest.mark.parametrize("form", ["checkpoint", "checkpoint_id"])
async def test_a_run_forks_from_a_checkpoint(client: Client, thread: str, form: str) -> None:
    history = await history_of_two(client, thread)
    old = at(history[1])
    where: dict[str, Any] = {form: old if form == "checkpoint" else old["checkpoint_id"]}
    # b runs again; its first result is not reused.
    assert await client.runs.wait(thread, "two", **where) == {"foo": "inab", "log": ["a", "b"]}
    forked = await client.threads.get_history(thread)
    assert [s["metadata"]["source"] for s in forked[:2]] == ["loop", "fork"]
    assert (forked[1]["parent_checkpoint"] or {}).get("checkpoint_id") == old["checkpoint_id"]
    assert len(forked) == 6


async def test_a_run_with_input_starts_from_a_checkpoint(client: Client, thread: str) -> None:
    history = await history_of_two(client, thread)
    values = await client.runs.wait(thread, "two", input={"foo": "new"}, checkpoint_id=at(history[1])["checkpoint_id"])
    assert values == {"foo": "newab", "log": ["a", "a", "b"]}
