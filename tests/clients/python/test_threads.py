"""Threads: made, changed, found, copied, pruned, measured."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from langgraph_sdk.errors import NotFoundError

from support.clients import Client
from support.runs import ended, eventually, slowly
from test_assistants import TWO

TWO_AFTER_IN = {"foo": "inab", "log": ["a", "b"]}


async def test_a_new_thread_is_idle_and_empty(client: Client, mark: dict[str, str]) -> None:
    before = datetime.now(UTC)
    thread = await client.threads.create(metadata=mark)
    assert thread["status"] == "idle"
    assert thread["metadata"] == mark
    assert thread["values"] is None
    assert UUID(thread["thread_id"]).version == 7
    made = datetime.fromisoformat(str(thread["created_at"]))
    assert abs((made - before).total_seconds()) < 60
    assert (await client.threads.get(thread["thread_id"]))["metadata"] == mark


async def test_a_thread_may_be_given_its_id_and_graph(client: Client) -> None:
    thread_id = str(uuid4())
    thread = await client.threads.create(thread_id=thread_id, graph_id="two", metadata={"a": 1})
    assert thread["thread_id"] == thread_id
    assert thread["metadata"] == {"a": 1, "graph_id": "two"}


async def test_do_nothing_gives_the_thread_that_exists(client: Client) -> None:
    made = await client.threads.create(metadata={"a": 1})
    same = await client.threads.create(thread_id=made["thread_id"], metadata={"a": 2}, if_exists="do_nothing")
    assert same["thread_id"] == made["thread_id"]
    assert same["metadata"] == {"a": 1}


async def test_metadata_is_merged(client: Client) -> None:
    made = await client.threads.create(metadata={"a": 1, "b": 1})
    changed = await client.threads.update(made["thread_id"], metadata={"b": 2})
    assert changed["metadata"] == {"a": 1, "b": 2}
    assert changed["updated_at"] > made["updated_at"]
    minimal = await client.threads.update(made["thread_id"], metadata={"c": 3}, return_minimal=True)
    assert minimal is None
    assert (await client.threads.get(made["thread_id"]))["metadata"] == {"a": 1, "b": 2, "c": 3}


async def test_a_deleted_thread_is_gone_with_its_runs(client: Client) -> None:
    thread = (await client.threads.create())["thread_id"]
    run = await client.runs.create(thread, "two", input={"foo": "in"})
    await ended(client, run)
    assert await client.threads.delete(thread) is None
    with pytest.raises(NotFoundError):
        await client.threads.get(thread)
    with pytest.raises(NotFoundError):
        await client.runs.get(thread, run["run_id"])


async def test_a_thread_is_deleted_while_a_run_is_active(client: Client, thread: str) -> None:
    await client.runs.create(thread, "slow", input=slowly(1, 30))
    await client.threads.delete(thread)
    with pytest.raises(NotFoundError):
        await client.threads.get(thread)


async def test_a_run_stamps_graph_and_assistant_on_its_thread(client: Client, mark: dict[str, str]) -> None:
    thread = (await client.threads.create(metadata=mark))["thread_id"]
    await client.runs.wait(thread, "two", input={"foo": "in"})
    after = await client.threads.get(thread)
    assert after["metadata"] == mark | {"graph_id": "two", "assistant_id": TWO}
    assert after["values"] == TWO_AFTER_IN
    assert (after["status"], after["interrupts"]) == ("idle", {})
    found = await client.threads.search(metadata={"graph_id": "two"} | mark)
    assert [t["thread_id"] for t in found] == [thread]


async def test_search_finds_by_id_metadata_status_and_values(client: Client, mark: dict[str, str]) -> None:
    idle, waiting, failed = [(await client.threads.create(metadata=mark | {"n": n}))["thread_id"] for n in range(3)]
    await client.runs.wait(idle, "two", input={"foo": "in"})
    await client.runs.wait(waiting, "hitl", input={"foo": "x"})
    await client.runs.wait(failed, "fail", input={"foo": "x"}, raise_error=False)

    async def ids(**query: object) -> list[str]:
        found = await client.threads.search(**query)
        return sorted(t["thread_id"] for t in found)

    assert await ids(ids=[idle, failed]) == sorted([idle, failed])
    assert await ids(metadata=mark) == sorted([idle, waiting, failed])
    assert await ids(metadata=mark | {"n": 1}) == [waiting]
    assert await ids(metadata=mark, status="idle") == [idle]
    assert await ids(metadata=mark, status="interrupted") == [waiting]
    assert await ids(metadata=mark, status="error") == [failed]
    assert await ids(metadata=mark, status="busy") == []
    assert await ids(metadata=mark, values={"foo": "inab"}) == [idle]
    assert await client.threads.count(metadata=mark) == 3
    assert await client.threads.count(metadata=mark, status="interrupted") == 1
    assert await client.threads.count(metadata=mark, values={"foo": "inab"}) == 1


@pytest.mark.reference_differs("answers 500 as soon as a thread has no values")
async def test_a_search_by_values_passes_over_threads_without_any(client: Client, mark: dict[str, str]) -> None:
    await client.threads.create(metadata=mark)
    assert await client.threads.search(metadata=mark, values={"foo": "x"}) == []


async def test_search_sorts_pages_and_selects(client: Client, mark: dict[str, str]) -> None:
    made = [(await client.threads.create(metadata=mark))["thread_id"] for _ in range(3)]
    await client.threads.update(made[0], metadata={"touched": True})
    by_default = await client.threads.search(metadata=mark)
    assert [t["thread_id"] for t in by_default] == [made[0], made[2], made[1]]
    oldest = await client.threads.search(metadata=mark, sort_by="created_at", sort_order="asc")
    assert [t["thread_id"] for t in oldest] == made
    page = await client.threads.search(metadata=mark, sort_by="created_at", sort_order="asc", limit=1, offset=1)
    assert [t["thread_id"] for t in page] == [made[1]]
    selected = await client.threads.search(metadata=mark, select=["thread_id", "status"], limit=1)
    assert selected == [{"thread_id": made[0], "status": "idle"}]


async def test_search_extracts_parts_of_a_thread(client: Client, mark: dict[str, str]) -> None:
    thread = (await client.threads.create(metadata=mark))["thread_id"]
    await client.runs.wait(thread, "two", input={"foo": "in"})
    paths = {
        "foo_now": "values.foo",
        "last": "values.log[-1]",
        "first": "values.log[0]",
        "whose": "metadata.mark",
        "nothing": "values.nobody.here",
    }
    found = await client.threads.search(metadata=mark, extract=paths)
    assert found[0]["extracted"] == {
        "foo_now": "inab",
        "last": "b",
        "first": "a",
        "whose": mark["mark"],
        "nothing": None,
    }


async def test_a_copy_has_the_same_state_and_goes_its_own_way(client: Client, mark: dict[str, str]) -> None:
    thread = (await client.threads.create(metadata=mark))["thread_id"]
    await client.runs.wait(thread, "two", input={"foo": "in"})
    copied = await client.threads.copy(thread)
    assert isinstance(copied, dict)
    copy = copied["thread_id"]
    assert copy != thread
    assert copied["metadata"]["mark"] == mark["mark"]
    assert (await client.threads.get_state(copy))["values"] == TWO_AFTER_IN
    assert len(await client.threads.get_history(copy)) == 4
    await client.runs.wait(copy, "two", input={"foo": "new"})
    assert (await client.threads.get_state(thread))["values"] == TWO_AFTER_IN


async def test_prune_deletes_the_threads_it_is_given(client: Client) -> None:
    made = [(await client.threads.create())["thread_id"] for _ in range(3)]
    assert await client.threads.prune([*made[:2], str(uuid4())]) == {"pruned_count": 2}
    assert [t["thread_id"] for t in await client.threads.search(ids=made)] == made[2:]


@pytest.mark.reference_differs("keep_latest is not there in memory")
async def test_prune_keeps_the_latest_checkpoint_when_asked(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "two", input={"foo": "in"})
    assert await client.threads.prune([thread], strategy="keep_latest") == {"pruned_count": 1}
    history = await client.threads.get_history(thread)
    assert [state["values"] for state in history] == [TWO_AFTER_IN]


@pytest.mark.reference_differs("takes a time to live and does not tell it in memory")
async def test_a_thread_tells_its_time_to_live_when_asked(client: Client) -> None:
    made = await client.threads.create(ttl=60)
    with_ttl = await client.threads.get(made["thread_id"], include=["ttl"])
    assert "ttl" not in await client.threads.get(made["thread_id"])
    assert with_ttl["ttl"]["strategy"] == "delete"
    assert with_ttl["ttl"]["ttl_minutes"] == 60


@pytest.mark.reference_differs("takes a time to live and does not act on it in memory")
async def test_a_thread_goes_when_its_time_is_over(client: Client) -> None:
    # A tenth of a second, in minutes.
    made = await client.threads.create(ttl={"ttl": 0.1 / 60, "strategy": "delete"})

    async def gone() -> bool:
        return not await client.threads.search(ids=[made["thread_id"]])

    await eventually(gone)


async def test_a_thread_is_made_with_supersteps(client: Client) -> None:
    steps = [
        {"updates": [{"values": {"foo": "in"}, "as_node": "__input__"}]},
        {"updates": [{"values": {"foo": "ina", "log": ["a"]}, "as_node": "a"}]},
    ]
    thread = await client.threads.create(graph_id="two", supersteps=steps)
    state = await client.threads.get_state(thread["thread_id"])
    assert state["values"] == {"foo": "ina", "log": ["a"]}
    assert state["next"] == ["b"]
    assert await client.runs.wait(thread["thread_id"], "two") == TWO_AFTER_IN
