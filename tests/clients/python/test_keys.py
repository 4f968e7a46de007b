"""Callers with API keys: whoever has one of the server's is let in and has what is theirs; nobody else is."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from langgraph_sdk import errors

from conftest import Connect
from support.runs import parts
from support.server import Server, against_reference

pytestmark = pytest.mark.skipif(against_reference, reason="the reference server has no API keys of its own")

KEYS = {"ann": "the-key-of-ann", "bob": "the-key-of-bob"}
INPUT = {"foo": "hello"}


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Server]:
    """A server that lets in Ann and Bob."""
    server = Server(tmp_path, keys=KEYS)
    await server.start()
    yield server
    await server.kill()


async def test_a_right_key_opens_what_is_its_owners(connect: Connect, guarded: Server) -> None:
    ann, bob = (connect(guarded.url, key) for key in KEYS.values())
    thread = (await ann.threads.create())["thread_id"]
    values = await ann.runs.wait(thread, "two", input=INPUT)
    assert values["foo"].startswith("hello")
    streamed = [part.event async for part in ann.runs.stream(thread, "two", input=INPUT)]
    assert streamed[0] == "metadata"
    cron = await ann.crons.create_for_thread(thread, "two", schedule="0 0 1 1 *", input=INPUT)
    assert cron["user_id"] == "ann"
    assert await ann.threads.count() == 1
    assert await bob.threads.count() == 0
    assert await bob.crons.search() == []
    with pytest.raises(errors.NotFoundError):
        await bob.threads.get(thread)


@pytest.mark.parametrize("key", [None, "the-key-of-nobody"])
async def test_without_a_right_key_there_is_nothing(connect: Connect, guarded: Server, key: str | None) -> None:
    client = connect(guarded.url, key)
    for call in (
        client.threads.create,
        client.assistants.search,
        lambda: client.runs.wait(None, "two", input=INPUT),
        lambda: parts(client.runs.stream(None, "two", input=INPUT)),
    ):
        # Not all methods of the SDK have its own exceptions, which are of this kind too.
        with pytest.raises(httpx.HTTPStatusError) as caught:
            await call()
        assert caught.value.response.status_code == 401


async def test_a_key_may_come_as_a_bearers(guarded: Server) -> None:
    async with httpx.AsyncClient(base_url=guarded.url) as http:
        for key, status in ((KEYS["ann"], 200), ("the-key-of-nobody", 401)):
            answer = await http.post("/threads", json={}, headers={"authorization": f"Bearer {key}"})
            assert answer.status_code == status
