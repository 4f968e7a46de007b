"""The official client in its two flavours, behind one face.

The SDK has an async and a sync client with the same methods. A test is written once, as for the async one; the sync
one's calls run in threads. Both note what was called, for `test_coverage.py`.

Answers have the type `Any` or `Json` here: what a server answers is for the tests to find out, whatever the SDK's types
promise.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, Literal, get_args

from langgraph_sdk import get_client, get_sync_client

Flavour = Literal["async", "sync"]
FLAVOURS: tuple[Flavour, ...] = get_args(Flavour)

# The parts of a client whose methods are the API.
AREAS = ("assistants", "threads", "runs", "crons", "store")

# Servers show every five seconds that they are still there; a busy machine may be late with that.
SILENCE_SECS = 30

# "RunsClient.wait", "SyncRunsClient.wait": every method that a test has called.
called: set[str] = set()

Json = dict[str, Any]

_END = object()


class Area:
    """One part of a client. Its methods give something to await, or a stream."""

    def __init__(self, area: object) -> None:
        self._area = area

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._area, name)
        called_name = f"{type(self._area).__name__}.{name}"
        returns = str(inspect.signature(method).return_annotation)

        def call(*args: object, **kwargs: object) -> object:
            called.add(called_name)
            begin = partial(method, *args, **kwargs)
            if returns.startswith("Iterator"):
                return _streamed_in_threads(begin)
            if called_name.startswith("Sync"):
                return asyncio.to_thread(begin)
            if returns.startswith("AsyncIterator"):
                return _streamed(begin)
            return begin()

        return call


class Client:
    """A client of either flavour."""

    def __init__(self, flavour: Flavour, url: str, api_key: str | None = None) -> None:
        connect = get_client if flavour == "async" else get_sync_client
        # Without one, the SDK takes none from the environment either.
        client: Any = connect(url=url, api_key=api_key, timeout=SILENCE_SECS)
        self.assistants = Area(client.assistants)
        self.threads = Area(client.threads)
        self.runs = Area(client.runs)
        self.crons = Area(client.crons)
        self.store = Area(client.store)
        self.flavour = flavour
        # The SDK's own, for what is built on it.
        self.sdk = client

    async def close(self) -> None:
        """Close the connections."""
        if self.flavour == "async":
            await self.sdk.aclose()
        else:
            self.sdk.close()


async def _streamed(begin: Callable[[], Any]) -> AsyncIterator[Any]:
    stream = begin()
    # Some methods give the stream, and some something to await for it.
    async with aclosing(await stream if isinstance(stream, Awaitable) else stream) as reading:
        async for item in reading:
            yield item


async def _streamed_in_threads(begin: Callable[[], Any]) -> AsyncIterator[Any]:
    iterator = await asyncio.to_thread(begin)
    while (item := await asyncio.to_thread(next, iterator, _END)) is not _END:
        try:
            yield item
        except GeneratorExit:
            # The reader goes away. The iterator is a generator of the SDK: closing it closes the connection.
            await asyncio.to_thread(iterator.close)
            raise
