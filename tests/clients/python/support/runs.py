"""Runs: inputs for the graphs, streams as lists, and waiting for what must become true."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from time import monotonic
from typing import Any

from langgraph_sdk.schema import StreamPart

from support.clients import Client, Json

# What a server that has nothing else to do needs at most for anything in this suite.
PATIENCE_SECS = 30.0


def slowly(steps: int, secs: float) -> dict[str, Any]:
    """Input of the graph `slow`. `done` makes a second run on the same thread count from the start."""
    return {"steps": steps, "secs": secs, "done": 0}


async def eventually(condition: Callable[[], Awaitable[Any]]) -> Any:
    """Ask until the answer is true, and give it."""
    deadline = monotonic() + PATIENCE_SECS
    while not (answer := await condition()):
        assert monotonic() < deadline, "it never became true"
        await asyncio.sleep(0.02)
    return answer


async def has_status(client: Client, run: Json, *statuses: str) -> Json:
    """Wait until the run has one of these statuses."""

    async def current() -> Json | None:
        now = await client.runs.get(run["thread_id"], run["run_id"])
        return now if now["status"] in statuses else None

    return await eventually(current)


async def ended(client: Client, run: Json) -> Json:
    """Wait until the run is over."""
    return await has_status(client, run, "success", "error", "timeout", "interrupted")


async def parts(stream: AsyncIterator[Any]) -> list[StreamPart]:
    """Read a stream to its end. The `metadata` and the `end` that frame the events are left out."""
    async with asyncio.timeout(PATIENCE_SECS):
        return [part async for part in stream if part.event not in ("metadata", "end")]


async def until(stream: AsyncGenerator[StreamPart], event: str, count: int = 1) -> list[StreamPart]:
    """Read a stream until as many events of this name came, and go away."""
    seen: list[StreamPart] = []
    async with asyncio.timeout(PATIENCE_SECS), aclosing(stream) as reading:
        async for part in reading:
            seen.append(part)
            if [p.event for p in seen].count(event) == count:
                return seen
    message = f"the stream ended without {count} {event}: {seen}"
    raise AssertionError(message)


def data(stream: list[StreamPart], event: str) -> list[Any]:
    """The data of all events of this name."""
    return [part.data for part in stream if part.event == event]
