"""A thread's stream of events in the client's two flavours, behind one face.

The SDK has an async and a sync session with the same parts. What the sync one waits for, it waits for in a thread.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal, get_args

from support.clients import Client, Json
from support.runs import PATIENCE_SECS

Transport = Literal["sse", "websocket"]
TRANSPORTS: tuple[Transport, ...] = get_args(Transport)


class Session:
    """An open session. Every wait ends in time."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._is_sync = type(stream).__name__.startswith("Sync")

    async def start(self, **run: Any) -> Json:
        """Start a run."""
        return await self._call(self._stream.run.start, **run)

    async def respond(self, answer: Any, **to: Any) -> Json:
        """Answer a question of the run's."""
        return await self._call(self._stream.run.respond, answer, **to)

    async def output(self) -> Any:
        """Wait for the end of the run, and give the state."""
        if self._is_sync:
            return await _in_time(asyncio.to_thread(lambda: self._stream.output))
        return await _in_time(self._stream.output)

    async def all(self, projection: Callable[[Any], Any]) -> list[Any]:
        """Everything that one of the session's parts gives until the run has ended, or asks."""
        part = projection(self._stream)
        if self._is_sync:
            return await _in_time(asyncio.to_thread(list, part))

        async def read() -> list[Any]:
            return [item async for item in part]

        return await _in_time(read())

    async def texts(self) -> list[str]:
        """The texts of the messages."""
        if self._is_sync:
            return [str(message.text) for message in await self.all(lambda session: session.messages)]
        return [await message.text for message in await self.all(lambda session: session.messages)]

    async def events(self, channels: list[str], is_last: Callable[[Json], bool], **of: Any) -> list[Json]:
        """The events of these channels and `namespaces`, from the thread's first on, until one is the last."""
        seen: list[Json] = []
        reading = self._stream.subscribe(channels, **of)

        def read() -> list[Json]:
            for event in reading:
                seen.append(event)
                if is_last(event):
                    break
            return seen

        async def read_too() -> list[Json]:
            async for event in reading:
                seen.append(event)
                if is_last(event):
                    break
            return seen

        return await _in_time(asyncio.to_thread(read) if self._is_sync else read_too())

    @property
    def questions(self) -> list[Json]:
        """What the run asks."""
        return list(self._stream.interrupts)

    async def _call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._is_sync:
            return await _in_time(asyncio.to_thread(method, *args, **kwargs))
        return await _in_time(method(*args, **kwargs))


async def _in_time(waiting: Any) -> Any:
    async with asyncio.timeout(PATIENCE_SECS):
        return await waiting


@asynccontextmanager
async def session(
    client: Client, graph: str, transport: Transport = "sse", thread: str | None = None
) -> AsyncIterator[Session]:
    """Open a session, on a thread of its own unless there is one."""
    stream = client.threads.stream(thread, assistant_id=graph, transport=transport)
    if asyncio.iscoroutine(stream):
        with await stream as opened:
            yield Session(opened)
    else:
        async with stream as opened:
            yield Session(opened)
