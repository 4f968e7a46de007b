"""Runs that are stopped: one, many, by whom they were started for."""

import pytest
from langgraph_sdk.errors import NotFoundError

from support.clients import Client, Json
from support.runs import ended, eventually, has_status, slowly, until


async def running(client: Client, thread: str) -> Json:
    """A run that has done one step and is in its second."""
    run = await client.runs.create(
        thread,
        "slow",
        input=slowly(10, 0.3),
        stream_mode="custom",
        stream_resumable=True,
        durability="sync",
    )
    await until(client.runs.join_stream(thread, run["run_id"], last_event_id="0"), "custom", count=2)
    return run


@pytest.mark.parametrize("wait", [True, False])
async def test_interrupt_keeps_what_was_done(client: Client, thread: str, *, wait: bool) -> None:
    run = await running(client, thread)
    await client.runs.cancel(thread, run["run_id"], wait=wait)
    if wait:
        assert (await client.runs.get(thread, run["run_id"]))["status"] == "interrupted"
    assert (await ended(client, run))["status"] == "interrupted"
    after = await client.threads.get(thread)
    assert after["status"] == "interrupted"
    assert after["error"]["error"] == "UserInterrupt"
    assert after["values"]["log"] == ["step 1"]
    assert (await client.threads.get_state(thread))["next"] == ["step"]
    # And goes on from there.
    values = await client.runs.wait(thread, "slow", command={"update": {"secs": 0.0}})
    assert values["log"] == [f"step {n}" for n in range(1, 11)]


async def test_rollback_undoes_the_run(client: Client, thread: str) -> None:
    run = await running(client, thread)
    await client.runs.cancel(thread, run["run_id"], wait=True, action="rollback")

    async def gone() -> bool:
        return not await client.runs.list(thread)

    await eventually(gone)
    after = await client.threads.get(thread)
    assert (after["status"], after["values"]) == ("idle", None)
    assert after["error"]["error"] == "UserRollback"
    assert await client.threads.get_history(thread) == []


async def test_a_run_that_waits_its_turn_is_cancelled(client: Client, thread: str) -> None:
    first = await client.runs.create(thread, "slow", input=slowly(1, 30))
    second = await client.runs.create(thread, "two", input={"foo": "x"})
    await client.runs.cancel(thread, second["run_id"], wait=True)
    assert (await client.runs.get(thread, second["run_id"]))["status"] == "interrupted"
    await client.runs.cancel(thread, first["run_id"], wait=True)


@pytest.mark.reference_differs("leaves the thread busy for ever")
async def test_a_run_that_waits_its_turn_is_rolled_back(client: Client, thread: str) -> None:
    run = await client.runs.create(thread, "two", input={"foo": "x"}, after_seconds=3600)
    await client.runs.cancel(thread, run["run_id"], action="rollback")
    with pytest.raises(NotFoundError):
        await client.runs.get(thread, run["run_id"])
    assert (await client.threads.get(thread))["status"] == "idle"


@pytest.mark.reference_differs("leaves the thread busy for ever")
async def test_a_running_run_is_deleted(client: Client, thread: str) -> None:
    run = await running(client, thread)
    await client.runs.delete(thread, run["run_id"])
    with pytest.raises(NotFoundError):
        await client.runs.get(thread, run["run_id"])

    async def idle() -> bool:
        return (await client.threads.get(thread))["status"] != "busy"

    await eventually(idle)


async def test_a_finished_run_cannot_be_cancelled(client: Client, thread: str) -> None:
    run = await client.runs.create(thread, "two", input={"foo": "in"})
    await ended(client, run)
    with pytest.raises(NotFoundError, match="No matching runs to cancel"):
        await client.runs.cancel(thread, run["run_id"])
    assert (await client.runs.get(thread, run["run_id"]))["status"] == "success"


async def test_the_stream_of_a_cancelled_run_ends(client: Client, thread: str) -> None:
    events: list[str] = []
    async for part in client.runs.stream(thread, "slow", input=slowly(10, 0.3), stream_mode=["custom", "updates"]):
        events.append(part.event)
        if part.event == "custom":
            (run,) = await client.runs.list(thread, select=["run_id", "thread_id"])
            if "cancelled" not in events:
                await client.runs.cancel(thread, run["run_id"])
                events.append("cancelled")
    assert "error" not in events
    (run,) = await client.runs.list(thread)
    assert run["status"] == "interrupted"


async def test_runs_are_cancelled_by_their_ids(client: Client, thread: str) -> None:
    runs = [await client.runs.create(thread, "slow", input=slowly(1, 30)) for _ in range(3)]
    ids = [r["run_id"] for r in runs]
    await client.runs.cancel_many(thread_id=thread, run_ids=ids[:2])
    for run in runs[:2]:
        assert (await ended(client, run))["status"] == "interrupted"
    await client.runs.cancel_many(thread_id=thread, run_ids=ids[2:], action="rollback")

    async def gone() -> bool:
        return len(await client.runs.list(thread)) == 2

    await eventually(gone)
    with pytest.raises(NotFoundError):
        await client.runs.cancel_many(thread_id=thread, run_ids=ids)


async def test_runs_are_cancelled_by_their_status(client: Client) -> None:
    threads = [(await client.threads.create())["thread_id"] for _ in range(2)]
    runs = [await client.runs.create(t, "slow", input=slowly(1, 30)) for t in threads]
    await has_status(client, runs[0], "running")
    later = await client.runs.create(threads[0], "two", input={"foo": "x"})
    await client.runs.cancel_many(status="pending")
    assert (await ended(client, later))["status"] == "interrupted"
    assert (await client.runs.get(threads[0], runs[0]["run_id"]))["status"] == "running"
    await client.runs.cancel_many(status="all")
    assert (await ended(client, runs[0]))["status"] == "interrupted"
    assert (await ended(client, runs[1]))["status"] == "interrupted"
    with pytest.raises(NotFoundError, match="No runs found to cancel"):
        await client.runs.cancel_many(status="all")


async def test_a_run_ends_with_its_stream_when_asked(client: Client, thread: str) -> None:
    stream = client.runs.stream(thread, "slow", input=slowly(10, 0.3), stream_mode="custom", on_disconnect="cancel")
    await until(stream, "custom")
    (run,) = await client.runs.list(thread)
    assert (await ended(client, run))["status"] == "interrupted"


async def test_a_run_outlives_its_stream(client: Client, thread: str) -> None:
    stream = client.runs.stream(thread, "slow", input=slowly(3, 0.1), stream_mode="custom")
    await until(stream, "custom")
    (run,) = await client.runs.list(thread)
    assert (await ended(client, run))["status"] == "success"


async def test_a_run_ends_with_who_joined_it_when_asked(client: Client, thread: str) -> None:
    run = await client.runs.create(thread, "slow", input=slowly(10, 0.3), stream_mode="custom")
    joined = client.runs.join_stream(thread, run["run_id"], cancel_on_disconnect=True)
    await until(joined, "custom")
    assert (await ended(client, run))["status"] == "interrupted"
