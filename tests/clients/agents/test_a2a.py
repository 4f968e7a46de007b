"""The official client of the Agent2Agent protocol talks to assistants, in both versions of the protocol."""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from a2a.client import A2ACardResolver, Client, ClientConfig, ClientFactory
from a2a.types import a2a_pb2 as pb

SERVER = os.environ["SERVER"]

GRAPHS = uuid.UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")

version = pytest.mark.parametrize("version", ["1.0", "0.3"])


@asynccontextmanager
async def agent(graph: str, version: str, *, streaming: bool = False) -> AsyncIterator[Client]:
    url = f"{SERVER}/a2a/{uuid.uuid5(GRAPHS, graph)}"
    async with httpx.AsyncClient(timeout=60) as http:
        card = await A2ACardResolver(http, url).get_agent_card()
        # The client takes the best that is offered: let it be offered this alone.
        others = [offered for offered in card.supported_interfaces if offered.protocol_version != version]
        for other in others:
            card.supported_interfaces.remove(other)
        assert [offered.protocol_version for offered in card.supported_interfaces] == [version]
        client = ClientFactory(ClientConfig(streaming=streaming, httpx_client=http)).create(card)
        yield client


def says(text: str, **where: str) -> pb.SendMessageRequest:
    part = pb.Part(text=text)
    message = pb.Message(role=pb.ROLE_USER, message_id=str(uuid.uuid4()), parts=[part], **where)
    return pb.SendMessageRequest(message=message)


def gives(**members: str) -> pb.SendMessageRequest:
    request = says("")
    request.message.parts[0].data.struct_value.update(members)
    return request


async def answers(client: Client, request: pb.SendMessageRequest) -> list[pb.StreamResponse]:
    return [answer async for answer in client.send_message(request)]


async def task(client: Client, request: pb.SendMessageRequest) -> pb.Task:
    [answer] = await answers(client, request)
    assert answer.HasField("task")
    return answer.task


def said(task: pb.Task) -> list[tuple[int, str]]:
    return [(message.role, message.parts[0].text) for message in task.history]


@version
async def test_a_conversation_goes_on_in_its_context(version: str) -> None:
    async with agent("echo_messages", version) as client:
        first = await task(client, says("one"))
        assert first.status.state == pb.TASK_STATE_COMPLETED
        assert said(first) == [(pb.ROLE_USER, "one"), (pb.ROLE_AGENT, "one")]
        assert first.artifacts[0].parts[0].text == "one"
        second = await task(client, says("two", context_id=first.context_id))
        assert second.context_id == first.context_id
        assert [text for _, text in said(second)] == ["one", "one", "two", "two"]
        got = await client.get_task(pb.GetTaskRequest(id=first.id))
        assert (got.id, got.status.state) == (first.id, pb.TASK_STATE_COMPLETED)


@version
async def test_what_an_agent_says_is_streamed(version: str) -> None:
    async with agent("chat", version, streaming=True) as client:
        events = await answers(client, says("hi"))
        kinds = [event.WhichOneof("payload") for event in events]
        assert kinds[0] == "task"
        assert kinds[-2:] == ["artifact_update", "status_update"]
        updates = [event.status_update for event in events if event.HasField("status_update")]
        words = [update.status.message.parts[0].text for update in updates if update.status.HasField("message")]
        assert words[0] == "hello"
        assert words[-2:] == ["hello there world", "final"]
        assert updates[-1].status.state == pb.TASK_STATE_COMPLETED


@version
async def test_a_question_is_answered_under_the_tasks_id(version: str) -> None:
    async with agent("hitl", version) as client:
        asks = await task(client, gives(foo="x"))
        assert asks.status.state == pb.TASK_STATE_INPUT_REQUIRED
        question = asks.artifacts[0].parts[0].data.struct_value["value"]
        assert question["question"] == "continue?"
        done = await task(client, says("yes", task_id=asks.id, context_id=asks.context_id))
        assert (done.id, done.status.state) == (asks.id, pb.TASK_STATE_COMPLETED)
        assert done.artifacts[0].parts[0].data.struct_value["answer"] == "yes"


@version
async def test_a_task_that_fails_says_why(version: str) -> None:
    async with agent("fail", version) as client:
        failed = await task(client, gives(foo="x"))
        assert failed.status.state == pb.TASK_STATE_FAILED
        assert failed.status.message.parts[0].text == "ValueError: boom"


@version
async def test_a_task_that_goes_on_is_read_and_cancelled(version: str) -> None:
    async with agent("slow", version) as client:
        request = gives()
        request.message.parts[0].data.struct_value.update({"steps": 1, "secs": 600})
        request.configuration.return_immediately = True
        begun = await task(client, request)
        assert begun.status.state in {pb.TASK_STATE_SUBMITTED, pb.TASK_STATE_WORKING}
        got = await client.get_task(pb.GetTaskRequest(id=begun.id))
        assert got.status.state in {pb.TASK_STATE_SUBMITTED, pb.TASK_STATE_WORKING}
        cancelled = await client.cancel_task(pb.CancelTaskRequest(id=begun.id))
        assert (cancelled.id, cancelled.status.state) == (begun.id, pb.TASK_STATE_CANCELED)


async def test_the_tasks_of_a_context_are_listed() -> None:
    async with agent("echo_messages", "1.0") as client:
        first = await task(client, says("one"))
        second = await task(client, says("two", context_id=first.context_id))
        listed = await client.list_tasks(pb.ListTasksRequest(context_id=first.context_id))
        assert [task.id for task in listed.tasks] == [second.id, first.id]
        assert listed.total_size == 2
