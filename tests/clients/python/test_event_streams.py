"""`threads.stream`: runs started, watched and answered over the event protocol."""

import asyncio
from typing import Any

import pytest

from support.clients import Client, Json
from support.runs import eventually, has_status, slowly
from support.server import against_reference
from support.sessions import TRANSPORTS, Transport, session
from test_streams import VALUES_OF_TWO
from test_threads import TWO_AFTER_IN

HELLO = {"messages": [{"role": "user", "content": "hi"}]}

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS)


def is_end(event: Json) -> bool:
    """Whether a run ends with it, of whichever kind."""
    told = event["params"]["data"]
    ends = ("completed", "failed", "interrupted")
    return event["method"] == "lifecycle" and not event["params"]["namespace"] and told["event"] in ends


async def test_a_run_is_started_and_gives_its_state(client: Client, transport: Transport) -> None:
    async with session(client, "two", transport) as stream:
        started = await stream.start(input={"foo": "in"})
        assert await stream.output() == TWO_AFTER_IN
    runs = await client.runs.list((await client.runs.get(*(await where(client, started))))["thread_id"])
    assert [run["run_id"] for run in runs] == [started["run_id"]]


async def where(client: Client, started: Json) -> tuple[str, str]:
    """Thread and run of what was started on a thread of its own."""

    async def found() -> str | None:
        for thread in await client.threads.search(limit=1000):
            runs = await client.runs.list(thread["thread_id"])
            if any(run["run_id"] == started["run_id"] for run in runs):
                return str(thread["thread_id"])
        return None

    return await eventually(found), started["run_id"]


async def test_values_are_told_step_by_step(client: Client, thread: str, transport: Transport) -> None:
    async with session(client, "two", transport, thread) as stream:
        await stream.start(input={"foo": "in"})
        events = await stream.events(["values", "lifecycle"], is_end)
    assert [e["params"]["data"] for e in events if e["method"] == "values"] == VALUES_OF_TWO


async def test_messages_are_told_as_they_grow(client: Client, thread: str, transport: Transport) -> None:
    async with session(client, "chat", transport, thread) as stream:
        await stream.start(input=HELLO)
        assert await stream.texts() == ["hello there world"]


async def test_a_failure_is_raised(client: Client, thread: str, transport: Transport) -> None:
    async with session(client, "fail", transport, thread) as stream:
        await stream.start(input={"foo": "x"})
        with pytest.raises(RuntimeError, match="boom" if not against_reference else "errored"):
            await stream.output()


async def test_a_question_is_answered(client: Client, thread: str, transport: Transport) -> None:
    async with session(client, "hitl", transport, thread) as stream:
        await stream.start(input={"foo": "x"})

        async def asked() -> list[Json]:
            return stream.questions

        (question,) = await eventually(asked)
        state = await client.threads.get_state(thread)
        assert question["interrupt_id"] == state["interrupts"][0]["id"]
        await stream.respond("yes")
        assert (await stream.output())["answer"] == "yes"


async def test_two_questions_are_answered_one_by_one(client: Client, thread: str, transport: Transport) -> None:
    async with session(client, "hitl_many", transport, thread) as stream:
        await stream.start(input={"foo": ""})

        async def asked() -> list[Json]:
            return stream.questions if len({q["interrupt_id"] for q in stream.questions}) == 2 else []

        questions = {q["interrupt_id"]: q for q in await eventually(asked)}
        for interrupt in questions:
            await stream.respond("ok", interrupt_id=interrupt)
        assert (await stream.output())["log"] == ["left=ok", "right=ok", "after"]


async def test_custom_events_are_told(client: Client, thread: str, transport: Transport) -> None:
    if against_reference:
        pytest.skip("the reference needs a transformer in the graph")
    async with session(client, "custom", transport, thread) as stream:
        await stream.start(input={"foo": "x"})
        events = await stream.events(["custom", "lifecycle"], is_end)
    told = [e["params"]["data"] for e in events if e["method"] == "custom"]
    assert told == [{"payload": {"progress": 1}}, {"payload": "plain string"}]


async def test_whoever_comes_late_sees_everything(client: Client, thread: str, transport: Transport) -> None:
    # A run of the older protocol, which is over by then.
    options: dict[str, Any] = {"stream_mode": "values", "stream_resumable": True}
    async for _ in client.runs.stream(thread, "two", input={"foo": "in"}, **options):
        pass
    async with session(client, "two", transport, thread) as late:
        # The sync client asks for nothing before it has started a run.
        await late.start(input={"foo": "x"})
        events = await late.events(["values", "lifecycle"], is_end)
    numbers = [e["seq"] for e in events]
    assert len(numbers) == 5 and numbers == sorted(set(numbers))
    assert [e["params"]["data"] for e in events if e["method"] == "values"] == VALUES_OF_TWO


async def test_a_run_that_is_cancelled_says_so(client: Client, thread: str, transport: Transport) -> None:
    if against_reference:
        pytest.skip("the reference says nothing, and its clients wait for ever")
    async with session(client, "slow", transport, thread) as stream:
        started = await stream.start(input=slowly(600, 0.1))
        told = asyncio.create_task(stream.events(["lifecycle"], is_end))
        await has_status(client, {"thread_id": thread, **started}, "running")
        await client.runs.cancel(thread, started["run_id"], wait=True)
        events = await told
    assert events[-1]["params"]["data"]["event"] == "interrupted"
