"""The server that all tests share, and the client in both flavours."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast
from uuid import uuid4

import pytest

import test_coverage
from support.clients import FLAVOURS, Client, Flavour
from support.server import Server, against_reference

Connect = Callable[..., Client]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Which methods were called is known at the end.
    items.sort(key=lambda item: item.path.name == "test_coverage.py")
    for item in items:
        mark = item.get_closest_marker("reference_differs")
        if mark and against_reference:
            strict = not mark.kwargs.get("sometimes", False)
            item.add_marker(pytest.mark.xfail(reason=mark.args[0], strict=strict))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(test_coverage.summary())


@pytest.fixture(scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    try:
        await server.start()
    except AssertionError as error:
        pytest.exit(str(error), returncode=1)
    yield server
    await server.kill()


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server that no other test sees, to be killed and started again."""
    server = Server(tmp_path)
    await server.start()
    yield server
    await server.kill()


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    return cast("Flavour", request.param)


@pytest.fixture
async def connect(flavour: Flavour) -> AsyncIterator[Connect]:
    """Open further clients, to other addresses or with a key."""
    opened: list[Client] = []

    def open_client(url: str, api_key: str | None = None) -> Client:
        opened.append(Client(flavour, url, api_key))
        return opened[-1]

    yield open_client
    for client in opened:
        await client.close()


@pytest.fixture
def client(connect: Connect, server: Server) -> Client:
    return connect(server.url)


@pytest.fixture
async def thread(client: Client) -> str:
    """The id of a thread without runs."""
    return (await client.threads.create())["thread_id"]


@pytest.fixture
def mark() -> dict[str, str]:
    """Metadata by which a test finds what it made among what others left."""
    return {"mark": str(uuid4())}
