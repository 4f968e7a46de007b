"""A TCP proxy that cuts connections in the middle of an answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK_BYTES = 65536


class CuttingProxy:
    """Passes bytes on, and resets each connection after as many bytes of the answer as `cuts` says.

    The n-th connection takes the n-th number; those after the last are never cut.
    """

    def __init__(self, port: int, cuts: list[int]) -> None:
        self._port = port
        self._cuts = iter(cuts)
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.url = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator["CuttingProxy"]:
        """Listen on a free port, and end all connections afterwards."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self.connections += 1
        cut = next(self._cuts, None)
        self._tasks.add(asyncio.create_task(self._serve(client, to_client, cut)))

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter, cut: int | None) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        requests = asyncio.create_task(_pass_on(client, to_server, None))
        try:
            await _pass_on(server, to_client, cut)
        finally:
            requests.cancel()
            to_server.transport.abort()
            to_client.close()
            with suppress(ConnectionError):
                await to_client.wait_closed()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None) -> None:
    """Copy until the reader ends, the writer is gone, or the limit is reached."""
    # Either side may go away at any time; the caller tells the other.
    with suppress(ConnectionError):
        while limit is None or limit > 0:
            chunk = await reader.read(CHUNK_BYTES if limit is None else limit)
            if not chunk:
                return
            limit = None if limit is None else limit - len(chunk)
            writer.write(chunk)
            await writer.drain()
