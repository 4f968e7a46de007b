"""Graphs of LangGraph's, in the flavour of a client: assistants as `RemoteGraph`, and local graphs around them."""

import asyncio
import operator
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import uuid4

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.pregel.remote import RemoteGraph
from typing_extensions import TypedDict

from support.clients import Client, Json
from support.runs import PATIENCE_SECS

# LangGraph reads the annotations of this class, so they must be importable here: no `from __future__` annotations.


class Trail(TypedDict, total=False):
    """As in the graphs of the suite: a value that each node extends, and the names of the nodes that ran."""

    foo: str
    log: Annotated[list[str], operator.add]


class Graph:
    """A graph's methods, to be awaited in both flavours. What they give one by one comes as a list."""

    def __init__(self, graph: Any, client: Client) -> None:
        self.graph = graph
        self._is_sync = client.flavour == "sync"

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            async with asyncio.timeout(PATIENCE_SECS):
                if self._is_sync:
                    return await asyncio.to_thread(in_thread, *args, **kwargs)
                found = getattr(self.graph, f"a{name}")(*args, **kwargs)
                if isinstance(found, AsyncIterator):
                    return [item async for item in found]
                return await found

        def in_thread(*args: Any, **kwargs: Any) -> Any:
            found = getattr(self.graph, name)(*args, **kwargs)
            return list(found) if isinstance(found, Iterator) else found

        return call

    @asynccontextmanager
    async def event_run(self, given: Any, config: Any) -> AsyncIterator["EventRun"]:
        """Run it over the event protocol, which LangGraph calls its third."""
        if self._is_sync:
            with self.graph.stream_events(given, config, version="v3") as run:
                yield EventRun(run, is_sync=True)
        else:
            async with await self.graph.astream_events(given, config, version="v3") as run:
                yield EventRun(run, is_sync=False)


class EventRun:
    """A run that is watched over the event protocol. Every wait ends in time."""

    def __init__(self, run: Any, *, is_sync: bool) -> None:
        self._run = run
        self._is_sync = is_sync

    async def output(self) -> Any:
        async with asyncio.timeout(PATIENCE_SECS):
            if self._is_sync:
                return await asyncio.to_thread(lambda: self._run.output)
            return await self._run.output()

    async def all(self, projection: str) -> list[Any]:
        """Everything that one of its parts gives until the run has ended, or asks."""
        part = self._run.extensions[projection]
        async with asyncio.timeout(PATIENCE_SECS):
            if self._is_sync:
                return await asyncio.to_thread(list, part)
            return [item async for item in part]

    async def questions(self) -> list[Json]:
        return self._run.interrupts if self._is_sync else await self._run.interrupts()


def remote(client: Client, assistant: str) -> Graph:
    """An assistant as a graph."""
    sdk = {"client": client.sdk} if client.flavour == "async" else {"sync_client": client.sdk}
    return Graph(RemoteGraph(assistant, **sdk), client)


def around(client: Client, assistant: str) -> Graph:
    """A local graph whose second node is an assistant. A command may leave that for `b`."""

    def passes(name: str) -> Any:
        return lambda state: {"foo": state.get("foo", "") + name, "log": [name]}

    builder = (
        StateGraph(Trail)
        .add_node("before", passes("<"))
        .add_node("remote", remote(client, assistant).graph, destinations=("b",))
        .add_node("after", passes(">"))
        .add_node("b", passes("b"))
        .add_edge(START, "before")
        .add_edge("before", "remote")
        .add_edge("remote", "after")
        .add_edge("after", END)
    )
    return Graph(builder.compile(checkpointer=InMemorySaver()), client)


def on_thread() -> Any:
    """The configuration of runs on a thread of their own."""
    return {"configurable": {"thread_id": str(uuid4())}}
