"""`threads.stream`: what is told of graphs inside graphs, and how they are answered."""

from typing import Any

import pytest

from support.clients import Client, Json
from support.runs import eventually
from support.sessions import TRANSPORTS, Session, Transport, session
from test_event_streams import HELLO, is_end
from test_remote_graph import NESTED_DONE

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS)


def place(event: Json) -> list[str]:
    """The nodes that the graph of an event is inside."""
    return [segment.split(":")[0] for segment in event["params"]["namespace"]]


def lifecycle(events: list[Json]) -> list[Any]:
    told = [(place(e), e["params"]["data"]) for e in events if e["method"] == "lifecycle"]
    return [(where, data["event"], data["graph_name"]) for where, data in told]


def ended(event: Json) -> Any:
    return event["params"]["data"].get("event") if event["method"] == "lifecycle" else None


def values(events: list[Json]) -> list[Any]:
    return [(place(e), e["params"]["data"].get("foo")) for e in events if e["method"] == "values"]


async def asked(stream: Session, count: int = 1) -> dict[str, list[str]]:
    """The nodes that the graphs are inside which ask, by question.

    A session stops reading at questions, wherever it has got to in what the run has told.
    """

    async def found() -> list[Json]:
        return stream.questions if len(stream.questions) == count else []

    questions = await eventually(found)
    return {q["interrupt_id"]: [segment.split(":")[0] for segment in q["namespace"]] for q in questions}


async def test_they_begin_and_end(client: Client, thread: str, transport: Transport) -> None:
    async with session(client, "nested", transport, thread) as stream:
        await stream.start(input={"foo": "x"})
        (question,) = await asked(stream)
        await stream.respond("Y", interrupt_id=question)
        told = await stream.events(["lifecycle"], lambda event: is_end(event) and ended(event) == "completed")
        assert lifecycle(told)[-3:] == [
            (["mid", "leaf"], "completed", "leaf"),
            (["mid"], "completed", "mid"),
            ([], "completed", "nested"),
        ]
        started = [e["params"] for e in told if ended(e) == "started"]
        assert {(params["data"]["graph_name"], *params["data"]["namespace"]) for params in started} == {
            ("mid", f"mid:{started[0]['data']['trigger_call_id']}"),
            ("leaf", *started[1]["namespace"]),
        }


@pytest.mark.parametrize(("filters", "places"), [({"depth": 0}, {("mid",)}), ({}, {("mid",), ("mid", "leaf")})])
async def test_a_reader_chooses_among_them(
    client: Client, thread: str, transport: Transport, filters: Any, places: Any
) -> None:
    async with session(client, "nested", transport, thread) as stream:
        await stream.start(input={"foo": "x"})
        (question,) = await asked(stream)
        state = await client.threads.get_state(thread)
        namespace = state["tasks"][0]["checkpoint"]["checkpoint_ns"]
        await stream.respond("Y", interrupt_id=question)

        def is_last(event: Json) -> bool:
            return event["params"]["namespace"] == [namespace] and ended(event) == "completed"

        events = await stream.events(["values", "lifecycle"], is_last, namespaces=[[namespace]], **filters)
        assert {tuple(place(event)) for event in events} == places
        assert (["mid"], "xamiY") in values(events)


async def test_a_deep_question_is_answered(client: Client, thread: str, transport: Transport) -> None:
    async with session(client, "nested", transport, thread) as stream:
        await stream.start(input={"foo": "x"})
        ((question, inside),) = (await asked(stream)).items()
        assert inside == ["mid", "leaf"]
        state = await client.threads.get_state(thread)
        assert question == state["interrupts"][0]["id"]
        await stream.respond("Y", interrupt_id=question)
        assert await stream.output() == NESTED_DONE


async def test_questions_of_two_graphs_are_answered_one_by_one(
    client: Client, thread: str, transport: Transport
) -> None:
    async with session(client, "wide", transport, thread) as stream:
        await stream.start(input={"foo": "x"})
        questions = await asked(stream, 2)
        assert sorted(questions.values()) == [["left"], ["right"]]
        for question in questions:
            await stream.respond("ok", interrupt_id=question)
        assert (await stream.output())["log"] == ["left=ok", "right=ok", "after"]


async def test_a_graph_that_is_left_with_a_command_has_ended(client: Client, thread: str, transport: Transport) -> None:
    async with session(client, "handover", transport, thread) as stream:
        await stream.start(input={"foo": "x"})
        events = await stream.events(["lifecycle", "values"], is_end)
        assert lifecycle(events) == [
            ([], "running", "handover"),
            (["sub"], "started", "sub"),
            (["sub"], "completed", "sub"),
            ([], "completed", "handover"),
        ]
        assert values(events)[-1] == ([], "from inside b")


async def test_messages_are_told_where_they_are_made(client: Client, thread: str, transport: Transport) -> None:
    async with session(client, "talking", transport, thread) as stream:
        await stream.start(input=HELLO)
        events = await stream.events(["messages", "lifecycle"], is_end)
        told = [e for e in events if e["method"] == "messages"]
        assert {tuple(place(e)) for e in told} == {("sub",)}
        deltas = [e["params"]["data"]["delta"]["text"] for e in told if "delta" in e["params"]["data"]]
        assert "".join(deltas) == "hello there world"


async def test_a_session_finds_them(client: Client, thread: str, transport: Transport) -> None:
    async with session(client, "talking", transport, thread) as stream:
        await stream.start(input=HELLO)
        (sub,) = await stream.all(lambda session: session.subgraphs)
        assert (sub.graph_name, sub.status, sub.path[0].split(":")[0]) == ("sub", "completed", "sub")
