"""What users of such servers complain about, as far as a client sees it."""

import asyncio
import socket
from contextlib import closing

import pytest
from langgraph_sdk.errors import UnprocessableEntityError

from conftest import Connect
from support.clients import Client
from support.runs import data, ended, has_status, parts, slowly, until
from support.server import Server, against_reference

# Its data live in memory and are written every ten seconds, so there is nothing to compare with.
survives_a_crash = pytest.mark.skipif(against_reference, reason="the reference keeps its data in memory")


@survives_a_crash
async def test_no_run_stays_running_that_no_worker_has(connect: Connect, own_server: Server) -> None:
    client = connect(own_server.url)
    thread = (await client.threads.create())["thread_id"]
    stream = client.runs.stream(
        thread,
        "slow",
        input=slowly(3, 0.3),
        stream_mode="custom",
        stream_resumable=True,
        durability="sync",
    )
    before = await until(stream, "custom", count=2)
    await own_server.kill()
    await own_server.start()
    (run,) = await client.runs.list(thread)
    assert (await ended(client, run))["status"] == "success"
    # Steps that were finished are not done again, and none is missing.
    values = (await client.threads.get(thread))["values"]
    assert values["log"] == ["step 1", "step 2", "step 3"]
    replayed = await parts(client.runs.join_stream(thread, run["run_id"], last_event_id=before[-1].id))
    keys = [tuple(int(n) for n in (p.id or "").split("-")) for p in [*before, *replayed]]
    assert keys == sorted(set(keys))
    assert data(replayed, "custom")[-1] == {"step": 3}


@survives_a_crash
async def test_what_was_answered_survives_a_crash(connect: Connect, own_server: Server) -> None:
    client = connect(own_server.url)
    thread = (await client.threads.create(metadata={"a": 1}))["thread_id"]
    await client.runs.wait(thread, "hitl", input={"foo": "x"})
    await client.store.put_item(["a"], "k", {"v": 1})
    assistant = await client.assistants.create("two", name="mine")
    before = await client.threads.get_state(thread)
    await own_server.kill()
    await own_server.start()
    assert await client.threads.get_state(thread) == before
    assert (await client.store.get_item(["a"], "k"))["value"] == {"v": 1}
    assert await client.assistants.get(assistant["assistant_id"]) == assistant
    values = await client.runs.wait(thread, "hitl", command={"resume": "yes"})
    assert values["answer"] == "yes"


async def test_a_thread_is_not_busy_after_its_retries_are_exhausted(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "retry", input={"succeeds_at": 9}, raise_error=False)
    assert (await client.threads.get(thread))["status"] == "error"
    values = await client.runs.wait(thread, "retry", input={"succeeds_at": 1}, multitask_strategy="reject")
    assert values["attempts"] == 1
    assert (await client.threads.get(thread))["status"] == "idle"


async def test_success_does_not_overwrite_a_cancel(client: Client) -> None:
    async def race(secs: float) -> None:
        thread = (await client.threads.create())["thread_id"]
        run = await client.runs.create(thread, "slow", input=slowly(1, 0.1))
        await has_status(client, run, "running")
        await asyncio.sleep(secs)
        try:
            await client.runs.cancel(thread, run["run_id"], wait=True)
        except Exception as error:  # noqa: BLE001 - what matters is whether it was accepted
            assert "404" in str(error)  # noqa: PT017
            assert (await client.runs.get(thread, run["run_id"]))["status"] == "success"
            return
        first = (await client.runs.get(thread, run["run_id"]))["status"]
        assert first in ("interrupted", "success")
        await client.runs.wait(thread, "slow", input=slowly(1, 0))
        assert (await client.runs.get(thread, run["run_id"]))["status"] == first

    # From well before the end of the only step to well after it.
    await asyncio.gather(*(race(0.02 * n) for n in range(8)))


async def test_what_was_streamed_is_not_lost_on_cancel(client: Client, thread: str) -> None:
    stream = client.runs.stream(thread, "slow", input=slowly(9, 0.3), stream_mode="custom", stream_resumable=True)
    live = await until(stream, "custom", count=2)
    (run,) = await client.runs.list(thread)
    await client.runs.cancel(thread, run["run_id"], wait=True)
    replayed = await parts(client.runs.join_stream(thread, run["run_id"], last_event_id="0"))
    assert data(replayed, "custom")[:2] == data(live, "custom") == [{"step": 1}, {"step": 2}]


async def test_interrupts_are_not_missing_from_threads(client: Client, mark: dict[str, str]) -> None:
    thread = (await client.threads.create(metadata=mark))["thread_id"]
    await client.runs.wait(thread, "hitl", input={"foo": "x"})
    (found,) = await client.threads.search(metadata=mark, status="interrupted")
    assert found["interrupts"] == (await client.threads.get(thread))["interrupts"]
    (history,) = await client.threads.get_history(thread, limit=1)
    for state in (await client.threads.get_state(thread), history):
        assert state["tasks"][0]["interrupts"][0]["value"] == {"question": "continue?"}


@pytest.mark.reference_differs("many runs that wait on one thread stall the other threads")
async def test_busy_threads_do_not_stall_others(connect: Connect, own_server: Server) -> None:
    client = connect(own_server.url)
    threads = [(await client.threads.create())["thread_id"] for _ in range(5)]
    runs = [await client.runs.create(t, "slow", input=slowly(1, 30)) for t in threads]
    for _ in range(9):
        await client.runs.create(threads[0], "two", input={"foo": ""})
    elsewhere = (await client.threads.create())["thread_id"]
    other = await client.runs.create(elsewhere, "two", input={"foo": "in"})
    assert (await ended(client, other))["status"] == "success"
    now = [await client.runs.get(r["thread_id"], r["run_id"]) for r in runs]
    assert {r["status"] for r in now} == {"running"}


async def test_a_refused_webhook_is_refused_when_the_run_is_made(client: Client, thread: str) -> None:
    with pytest.raises(UnprocessableEntityError):
        await client.runs.create(thread, "two", input={"foo": "in"}, webhook="http://169.254.169.254/latest")
    assert await client.runs.list(thread) == []
    assert (await client.threads.get(thread))["status"] == "idle"


async def test_webhooks_that_nobody_takes_do_not_stop_a_worker(client: Client) -> None:
    with closing(socket.socket()) as reserved:
        # Bound and not listening: connections are refused.
        reserved.bind(("127.0.0.1", 0))
        webhook = f"http://127.0.0.1:{reserved.getsockname()[1]}/"
        runs = [
            await client.runs.create(None, "two", input={"foo": "x"}, webhook=webhook, on_completion="keep")
            for _ in range(12)
        ]
        for run in runs:
            assert (await ended(client, run))["status"] == "success"
    values = await client.runs.wait(None, "two", input={"foo": "in"})
    assert values == {"foo": "inab", "log": ["a", "b"]}
