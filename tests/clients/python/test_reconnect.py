"""Connections that break in the middle: the client comes back, and nothing is lost or told twice.

The numbers of bytes after which they break lie behind the head of the answer and before its end.
"""

import pytest

from conftest import Connect
from support.clients import Client
from support.proxy import CuttingProxy
from support.runs import data, slowly
from support.server import Server

STEPS = 4


@pytest.mark.parametrize("cut_after", [1000, 1300, 1600])
async def test_a_cut_stream_goes_on_after_the_last_event(
    connect: Connect, server: Server, thread: str, cut_after: int
) -> None:
    async with CuttingProxy(server.port, [cut_after]).open() as proxy:
        stream = connect(proxy.url).runs.stream(
            thread,
            "slow",
            input=slowly(STEPS, 0.05),
            stream_mode=["custom", "updates", "values"],
            stream_resumable=True,
        )
        seen = [p async for p in stream if p.event != "end"]
    assert proxy.connections > 1
    assert [p.event for p in seen].count("metadata") == 1
    assert data(seen, "custom") == [{"step": n} for n in range(1, STEPS + 1)]
    assert [u["step"]["done"] for u in data(seen, "updates")] == list(range(1, STEPS + 1))
    assert [v["done"] for v in data(seen, "values")] == list(range(STEPS + 1))


async def test_a_joined_stream_survives_several_cuts(
    connect: Connect, client: Client, server: Server, thread: str
) -> None:
    run = await client.runs.create(
        thread,
        "slow",
        input=slowly(STEPS, 0.05),
        stream_mode=["custom", "updates"],
        stream_resumable=True,
    )
    async with CuttingProxy(server.port, [800, 800]).open() as proxy:
        joined = connect(proxy.url).runs.join_stream(thread, run["run_id"], last_event_id="0")
        seen = [p async for p in joined if p.event != "end"]
    assert proxy.connections > 2
    assert data(seen, "custom") == [{"step": n} for n in range(1, STEPS + 1)]
    assert [u["step"]["done"] for u in data(seen, "updates")] == list(range(1, STEPS + 1))


async def test_a_cut_wait_gives_the_values_all_the_same(connect: Connect, server: Server, thread: str) -> None:
    items = ["item"] * 1000
    async with CuttingProxy(server.port, [3000]).open() as proxy:
        values = await connect(proxy.url).runs.wait(thread, "fan", input={"items": items})
    assert proxy.connections > 1
    assert values["results"] == ["ITEM"] * 1000


async def test_a_cut_stream_does_not_cancel_its_run(
    connect: Connect, client: Client, server: Server, thread: str
) -> None:
    async with CuttingProxy(server.port, [800]).open() as proxy:
        stream = connect(proxy.url).runs.stream(
            thread, "slow", input=slowly(STEPS, 0.1), stream_mode="values", stream_resumable=True
        )
        async for _ in stream:
            pass
    (run,) = await client.runs.list(thread)
    assert run["status"] == "success"
