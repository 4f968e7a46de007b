"""Every method that LangGraph documents with `webhook`, called as the documentation shows, ends in a delivery."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from support.clients import Client, Flavour, Json
from support.receiver import Receiver
from support.server import Server

INPUT = {"foo": "hello"}


@pytest.fixture
async def talkative_server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server that no other test sees, and whose log shows all that it ever would."""
    server = Server(tmp_path, settings={"SELVEDGE_TELEMETRY_LOG": "debug,selvedge=trace,hyper=trace"})
    await server.start()
    yield server
    await server.kill()


class Webhooks:
    """The URLs that were asked for, each for a run of its own."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.token = str(uuid4())
        self.paths: list[str] = []

    def to(self, name: str) -> str:
        self.paths.append(f"/{name}?token={self.token}")
        return self._receiver.url(self.paths[-1])


async def call_all(client: Client, webhooks: Webhooks) -> None:
    for place in ("thread", "stateless"):
        thread_id = (await client.threads.create())["thread_id"] if place == "thread" else None
        await client.runs.create(thread_id, "two", input=INPUT, webhook=webhooks.to(f"{place}/create"))
        stream = client.runs.stream(
            thread_id=thread_id,
            assistant_id="two",
            input=INPUT,
            stream_mode="updates",
            webhook=webhooks.to(f"{place}/stream"),
        )
        assert [part.event async for part in stream]
        await client.runs.wait(thread_id, "two", input=INPUT, webhook=webhooks.to(f"{place}/wait"))
    payloads = [{"assistant_id": "two", "input": INPUT, "webhook": webhooks.to(f"batch/{n}")} for n in range(3)]
    await client.runs.create_batch(payloads)


@pytest.mark.reference_differs("the values of a run without a thread are left out")
async def test_each_method_that_takes_a_webhook_ends_in_a_delivery(flavour: Flavour, talkative_server: Server) -> None:
    client = Client(flavour, talkative_server.url)
    with Receiver() as receiver:
        webhooks = Webhooks(receiver)
        await call_all(client, webhooks)
        received = [receiver.next() for _ in webhooks.paths]
    await client.close()
    assert sorted(request.path for request in received) == sorted(webhooks.paths)
    for request in received:
        run: Json = json.loads(request.body)
        assert run["status"] == "success", request
        assert run["kwargs"]["input"] == INPUT, request
        assert run["kwargs"]["webhook"] == receiver.url(request.path)
        # Those on the thread go on from what the one before has left.
        assert run["values"]["foo"] == "helloab", request

    async with httpx.AsyncClient(base_url=talkative_server.url) as http:
        metrics = (await http.get("/metrics")).text
    assert "lg_api_workers_max" in metrics
    assert webhooks.token not in metrics
    assert webhooks.token not in talkative_server.log
