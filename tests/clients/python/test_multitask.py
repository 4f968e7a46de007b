"""A second run on a thread that has one: waits, is refused, or takes the first one's place."""

from typing import Any

import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError

from support.clients import Client, Json
from support.runs import ended, has_status, slowly, until


async def busy(client: Client, thread: str, secs: float = 30) -> Json:
    """A run that has done one step of two."""
    before = slowly(2, 0) | {"secs": 0.0}
    await client.runs.wait(thread, "slow", input=before | {"steps": 1})
    run = await client.runs.create(thread, "slow", input=slowly(1, secs))
    return await has_status(client, run, "running")


async def test_enqueue_runs_one_after_the_other_in_order(client: Client, thread: str) -> None:
    first = await client.runs.create(thread, "slow", input=slowly(1, 0.2))
    rest = [
        await client.runs.create(thread, "two", input={"foo": foo}, multitask_strategy="enqueue") for foo in ("1", "2")
    ]
    assert (await client.threads.get(thread))["status"] == "busy"
    await client.runs.join(thread, rest[1]["run_id"])
    done = [await client.runs.get(thread, r["run_id"]) for r in (first, *rest)]
    assert [r["status"] for r in done] == ["success"] * 3
    assert [r["updated_at"] for r in done] == sorted(r["updated_at"] for r in done)
    values = (await client.threads.get(thread))["values"]
    assert (values["foo"], values["log"]) == ("2ab", ["step 1", "a", "b", "a", "b"])


@pytest.mark.parametrize("call", ["create", "wait", "stream"])
async def test_reject_refuses_whatever_the_call(client: Client, thread: str, call: str) -> None:
    run = await client.runs.create(thread, "slow", input=slowly(1, 30))
    second: Any = {"input": slowly(1, 0), "multitask_strategy": "reject"}
    if call == "create":
        with pytest.raises(ConflictError, match="Thread is already running a task"):
            await client.runs.create(thread, "slow", **second)
    elif call == "wait":
        # This method of the SDK raises what httpx raises.
        with pytest.raises(Exception, match="409"):
            await client.runs.wait(thread, "slow", **second)
    else:
        with pytest.raises(ConflictError, match="Thread is already running a task"):
            await until(client.runs.stream(thread, "slow", **second), "values")
    assert [r["run_id"] for r in await client.runs.list(thread)] == [run["run_id"]]
    await client.runs.cancel(thread, run["run_id"], wait=True)


async def test_reject_runs_where_nothing_does(client: Client, thread: str) -> None:
    values = await client.runs.wait(thread, "two", input={"foo": "in"}, multitask_strategy="reject")
    assert values == {"foo": "inab", "log": ["a", "b"]}


async def test_interrupt_keeps_what_the_first_has_done(client: Client, thread: str) -> None:
    first = await busy(client, thread)
    second = await client.runs.create(thread, "slow", input=slowly(1, 0), multitask_strategy="interrupt")
    assert (await ended(client, second))["status"] == "success"
    assert (await client.runs.get(thread, first["run_id"]))["status"] == "interrupted"
    # Its input step is there, by which the history is longer.
    history = await client.threads.get_history(thread, limit=100)
    assert first["run_id"] in {(s["metadata"] or {}).get("run_id") for s in history}
    assert (await client.threads.get(thread))["status"] == "idle"


async def test_rollback_undoes_the_first(client: Client, thread: str) -> None:
    first = await busy(client, thread)
    second = await client.runs.create(thread, "slow", input=slowly(1, 0), multitask_strategy="rollback")
    assert (await ended(client, second))["status"] == "success"
    with pytest.raises(NotFoundError):
        await client.runs.get(thread, first["run_id"])
    history = await client.threads.get_history(thread, limit=100)
    assert first["run_id"] not in {(s["metadata"] or {}).get("run_id") for s in history}
    values = (await client.threads.get(thread))["values"]
    assert values["log"] == ["step 1", "step 1"]


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
async def test_a_strategy_also_ends_runs_that_wait(client: Client, thread: str, strategy: Any) -> None:
    running = await busy(client, thread)
    waiting = await client.runs.create(thread, "two", input={"foo": "never"})
    last = await client.runs.create(thread, "two", input={"foo": "last"}, multitask_strategy=strategy)
    assert (await ended(client, last))["status"] == "success"
    values = (await client.threads.get(thread))["values"]
    assert values["foo"] == "lastab"
    for run in (running, waiting):
        if strategy == "interrupt":
            assert (await client.runs.get(thread, run["run_id"]))["status"] == "interrupted"
        else:
            with pytest.raises(NotFoundError):
                await client.runs.get(thread, run["run_id"])
    assert (await client.threads.get(thread))["status"] == "idle"
