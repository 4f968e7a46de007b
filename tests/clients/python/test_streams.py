"""Streams: what each mode shows, joining, replaying, and the stream of a thread."""

from typing import Any

import httpx
import pytest
from langgraph_sdk.schema import StreamPart

from support.clients import Client
from support.runs import data, ended, has_status, parts, slowly, until
from support.server import Server
from test_threads import TWO_AFTER_IN

VALUES_OF_TWO = [{"foo": "in", "log": []}, {"foo": "ina", "log": ["a"]}, TWO_AFTER_IN]
UPDATES_OF_TWO = [
    {"a": {"foo": "ina", "log": ["a"]}},
    {"b": {"foo": "inab", "log": ["b"]}},
]


async def stream_two(client: Client, thread: str | None, mode: Any) -> list[StreamPart]:
    return await parts(client.runs.stream(thread, "two", input={"foo": "in"}, stream_mode=mode))


async def test_a_stream_begins_with_its_run(client: Client, thread: str) -> None:
    stream = [p async for p in client.runs.stream(thread, "two", input={"foo": "in"})]
    (run,) = await client.runs.list(thread)
    assert stream[0].event == "metadata"
    assert stream[0].data == {"run_id": run["run_id"], "attempt": 1}
    assert {p.event for p in stream[1:]} <= {"values", "end"}


async def test_values_shows_the_state_after_each_step(client: Client, thread: str) -> None:
    stream = await stream_two(client, thread, "values")
    assert [(p.event, p.data) for p in stream] == [("values", v) for v in VALUES_OF_TWO]


async def test_a_stateless_run_is_streamed(client: Client) -> None:
    stream = await stream_two(client, None, "values")
    assert data(stream, "values") == VALUES_OF_TWO


async def test_updates_shows_what_each_node_wrote(client: Client, thread: str) -> None:
    stream = await stream_two(client, thread, "updates")
    assert [(p.event, p.data) for p in stream] == [("updates", u) for u in UPDATES_OF_TWO]


async def test_several_modes_come_interleaved(client: Client, thread: str) -> None:
    stream = await stream_two(client, thread, ["values", "updates", "tasks"])
    assert [p.event for p in stream] == [
        "values",
        *("tasks", "updates", "tasks", "values"),
        *("tasks", "updates", "tasks", "values"),
    ]
    assert data(stream, "values") == VALUES_OF_TWO


async def test_tasks_shows_each_start_and_end(client: Client, thread: str) -> None:
    stream = data(await stream_two(client, thread, "tasks"), "tasks")
    start, end = stream[:2]
    assert start["id"] == end["id"]
    assert (start["name"], start["triggers"]) == ("a", ["branch:to:a"])
    assert start["input"] == {"foo": "in", "log": []}
    assert {k: v for k, v in end.items() if k != "id"} == {
        "name": "a",
        "error": None,
        "result": {"foo": "ina", "log": ["a"]},
        "interrupts": [],
    }
    assert [t["name"] for t in stream] == ["a", "a", "b", "b"]


async def test_tasks_of_sends_start_together(client: Client, thread: str) -> None:
    stream = await parts(client.runs.stream(thread, "fan", input={"items": ["x", "y"]}, stream_mode="tasks"))
    starts = [t for t in data(stream, "tasks") if t["name"] == "work" and "triggers" in t]
    assert [t["input"] for t in starts] == [{"item": "x"}, {"item": "y"}]
    assert [t["triggers"] for t in starts] == [["__pregel_push"]] * 2
    assert [p.data["name"] for p in stream[:2]] == ["work", "work"]
    assert ["triggers" in p.data for p in stream[:2]] == [True, True]


async def test_checkpoints_shows_what_history_tells(client: Client, thread: str) -> None:
    stream = data(await stream_two(client, thread, "checkpoints"), "checkpoints")
    history = await client.threads.get_history(thread)
    assert [c["metadata"]["step"] for c in stream] == [-1, 0, 1, 2]
    assert [c["values"] for c in stream] == [s["values"] for s in history[::-1]]
    assert [c["next"] for c in stream] == [s["next"] for s in history[::-1]]
    ids = [c["config"]["configurable"]["checkpoint_id"] for c in stream]
    assert ids == [s["checkpoint"]["checkpoint_id"] for s in history[::-1]]
    parents = [c["parent_config"] for c in stream]
    assert parents[0] is None
    assert [p["configurable"]["checkpoint_id"] for p in parents[1:]] == ids[:-1]


async def test_debug_shows_tasks_and_checkpoints(client: Client, thread: str) -> None:
    stream = data(await stream_two(client, thread, "debug"), "debug")
    assert [(d["type"], d["step"]) for d in stream] == [
        ("checkpoint", -1),
        ("checkpoint", 0),
        *(("task", 1), ("task_result", 1), ("checkpoint", 1)),
        *(("task", 2), ("task_result", 2), ("checkpoint", 2)),
    ]
    assert stream[3]["payload"]["result"] == {"foo": "ina", "log": ["a"]}
    assert all("timestamp" in d for d in stream)


async def test_events_shows_the_graph_and_its_nodes(client: Client, thread: str) -> None:
    stream = data(await stream_two(client, thread, "events"), "events")
    shown = [(e["event"], e["name"]) for e in stream if e["name"] in ("two", "a", "b")]
    assert shown[0] == ("on_chain_start", "two")
    assert shown[-1] == ("on_chain_end", "two")
    for node in ("a", "b"):
        of_node = [event for event, name in shown if name == node]
        assert of_node == ["on_chain_start", "on_chain_stream", "on_chain_end"]
    ended = next(e for e in stream if (e["event"], e["name"]) == ("on_chain_end", "a"))
    assert ended["data"]["output"] == {"foo": "ina", "log": ["a"]}
    assert ended["metadata"]["langgraph_node"] == "a"


async def test_custom_shows_what_nodes_write(client: Client, thread: str) -> None:
    stream = await parts(client.runs.stream(thread, "custom", input={"foo": "x"}, stream_mode=["values", "custom"]))
    assert [(p.event, p.data) for p in stream] == [
        ("values", {"foo": "x", "log": []}),
        ("custom", {"progress": 1}),
        ("custom", "plain string"),
        ("values", {"foo": "c", "log": []}),
    ]


async def stream_chat(client: Client, thread: str, mode: Any) -> list[StreamPart]:
    question = {"messages": [{"role": "user", "content": "hi"}]}
    return await parts(client.runs.stream(thread, "chat", input=question, stream_mode=mode))


async def test_messages_shows_a_growing_message_and_a_whole_one(client: Client, thread: str) -> None:
    stream = await stream_chat(client, thread, "messages")
    assert [p.event for p in stream] == [
        "messages/metadata",
        *["messages/partial"] * 5,
        "messages/metadata",
        "messages/complete",
    ]
    (metadata,) = stream[0].data.values()
    assert metadata["metadata"]["langgraph_node"] == "chat"
    partial = [p.data[0] for p in stream[1:6]]
    said = ["hello", "hello ", "hello there", "hello there ", "hello there world"]
    assert [m["content"] for m in partial] == said
    assert {(m["id"], m["type"]) for m in partial} == {("ai-1", "ai")}
    (complete,) = stream[-1].data
    assert (complete["id"], complete["content"]) == ("ai-2", "final")


async def test_messages_tuple_shows_each_token(client: Client, thread: str) -> None:
    stream = await stream_chat(client, thread, "messages-tuple")
    assert {p.event for p in stream} == {"messages"}
    chunks = [p.data[0] for p in stream]
    assert [c["content"] for c in chunks] == ["hello", " ", "there", " ", "world", "final"]
    assert [c["type"] for c in chunks] == ["AIMessageChunk"] * 5 + ["ai"]
    assert [c["id"] for c in chunks] == ["ai-1"] * 5 + ["ai-2"]
    assert chunks[4]["chunk_position"] == "last"
    assert [p.data[1]["langgraph_node"] for p in stream] == ["chat"] * 5 + ["post"]


async def test_an_interrupt_shows_in_values_and_updates(client: Client, thread: str) -> None:
    stream = await parts(client.runs.stream(thread, "hitl", input={"foo": "x"}, stream_mode=["values", "updates"]))
    for event in ("values", "updates"):
        (question,) = data(stream, event)[-1]["__interrupt__"]
        assert question["value"] == {"question": "continue?"}


async def test_a_breakpoint_shows_in_updates(client: Client, thread: str) -> None:
    stream = await parts(client.runs.stream(thread, "breaks", input={"foo": "x"}, stream_mode="updates"))
    assert [p.data for p in stream][-1] == {"__interrupt__": []}


@pytest.mark.parametrize("mode", ["values", "updates", "messages-tuple", "custom", "events"])
async def test_a_failure_ends_a_stream_of_any_mode(client: Client, thread: str, mode: Any) -> None:
    stream = await parts(client.runs.stream(thread, "fail", input={"foo": "x"}, stream_mode=mode))
    assert stream[-1].event == "error"
    assert stream[-1].data == {"error": "ValueError", "message": "boom"}


async def test_the_status_is_final_when_the_stream_closes(client: Client, thread: str) -> None:
    for graph, run_status, thread_status in [
        ("two", "success", "idle"),
        ("hitl", "success", "interrupted"),
        ("fail", "error", "error"),
    ]:
        await parts(client.runs.stream(thread, graph, input={"foo": "x"}))
        (run, *_) = await client.runs.list(thread)
        assert run["status"] == run_status
        assert (await client.threads.get(thread))["status"] == thread_status


async def test_the_second_version_of_parts(client: Client, thread: str) -> None:
    stream = client.runs.stream(thread, "hitl", input={"foo": "x"}, version="v2")
    values = [p async for p in stream if p["type"] == "values"]
    assert values[0] == {
        "type": "values",
        "ns": [],
        "data": {"foo": "x", "log": []},
        "interrupts": [],
    }
    assert values[-1]["interrupts"][0]["value"] == {"question": "continue?"}


async def test_a_stream_of_subgraphs_of_a_flat_graph_is_the_same(client: Client, thread: str) -> None:
    stream = client.runs.stream(thread, "two", input={"foo": "in"}, stream_subgraphs=True)
    assert data(await parts(stream), "values") == VALUES_OF_TWO


async def test_joining_shows_what_comes_from_now_on(client: Client, thread: str) -> None:
    run = await client.runs.create(thread, "slow", input=slowly(4, 0.2), stream_mode=["custom", "values"])
    await has_status(client, run, "running")
    stream = await parts(client.runs.join_stream(thread, run["run_id"]))
    assert data(stream, "values")[-1]["done"] == 4
    assert data(stream, "custom")[-1] == {"step": 4}


async def test_joining_a_finished_run_shows_nothing(client: Client, thread: str) -> None:
    run = await client.runs.create(thread, "two", input={"foo": "in"})
    await ended(client, run)
    assert await parts(client.runs.join_stream(thread, run["run_id"])) == []


async def test_a_join_may_ask_for_one_mode_of_many(client: Client, thread: str) -> None:
    run = await client.runs.create(thread, "slow", input=slowly(3, 0.2), stream_mode=["custom", "values", "updates"])
    stream = await parts(client.runs.join_stream(thread, run["run_id"], stream_mode="updates"))
    assert {p.event for p in stream} == {"updates"}


@pytest.mark.reference_differs("looks only at the last of several modes")
async def test_a_join_may_ask_for_some_modes_of_many(client: Client, thread: str) -> None:
    run = await client.runs.create(thread, "slow", input=slowly(3, 0.2), stream_mode=["custom", "values", "updates"])
    stream = await parts(client.runs.join_stream(thread, run["run_id"], stream_mode=["custom", "updates"]))
    assert {p.event for p in stream} == {"custom", "updates"}


async def resumable(client: Client, thread: str, graph: str) -> list[StreamPart]:
    stream = client.runs.stream(
        thread,
        graph,
        input={"foo": "in"},
        stream_mode=["values", "updates"],
        stream_resumable=True,
    )
    return [p async for p in stream if p.event != "end"]


async def replay(client: Client, thread: str, last_event_id: str | None) -> list[StreamPart]:
    (run,) = await client.runs.list(thread)
    stream = client.runs.join_stream(thread, run["run_id"], last_event_id=last_event_id)
    return [p async for p in stream if p.event != "end"]


@pytest.mark.parametrize("start", ["0", "-", "-1"])
async def test_a_resumable_stream_is_replayed_from_the_start(client: Client, thread: str, start: str) -> None:
    live = await resumable(client, thread, "two")
    assert live[0].event == "metadata"
    assert await replay(client, thread, start) == live


@pytest.mark.reference_differs("gives events of one millisecond the same id, and loses them", sometimes=True)
async def test_a_resumable_stream_is_replayed_after_any_event(client: Client, thread: str) -> None:
    live = await resumable(client, thread, "two")
    keys = [tuple(int(n) for n in (p.id or "").split("-")) for p in live]
    assert keys == sorted(set(keys))
    for index, part in enumerate(live):
        assert await replay(client, thread, part.id) == live[index + 1 :]


@pytest.mark.reference_differs("does not keep the error event")
async def test_the_error_of_a_resumable_stream_is_replayed(client: Client, thread: str) -> None:
    live = await resumable(client, thread, "fail_b")
    assert live[-1].event == "error"
    assert live[-1].id
    assert await replay(client, thread, "0") == live


async def test_a_stream_that_is_not_resumable_has_no_ids(client: Client, thread: str) -> None:
    stream = await stream_two(client, thread, "values")
    assert {p.id for p in stream} == {None}


async def test_the_stream_of_a_thread_shows_all_its_runs(client: Client, thread: str) -> None:
    # Kept, so that it does not matter which comes first, the runs or their reader.
    first, second = [
        await client.runs.create(thread, "slow", input=slowly(1, 0.1), stream_mode="custom", stream_resumable=True)
        for _ in range(2)
    ]
    stream = await until(client.threads.join_stream(thread, last_event_id="-"), "custom", count=2)
    assert data(stream, "custom") == [{"step": 1}, {"step": 1}]
    assert all(p.id for p in stream)
    begun = [m["run_id"] for m in data(stream, "metadata") if "attempt" in m]
    assert begun == [first["run_id"], second["run_id"]]
    over = [m["run_id"] for m in data(stream, "metadata") if m.get("status") == "run_done"]
    assert over == [first["run_id"]]
    await ended(client, second)


@pytest.mark.reference_differs("reads another name of the parameter than its clients send")
async def test_the_stream_of_a_thread_may_show_updates_of_its_state(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "two", input={"foo": "in"})
    await client.threads.update_state(thread, {"foo": "by hand"})
    stream = client.threads.join_stream(thread, stream_mode=["state_update"], last_event_id="-")
    seen = await until(stream, "state_update")
    assert {p.event for p in seen} == {"state_update"}
    assert seen[-1].data["thread_id"] == thread
    assert seen[-1].data["state"]["values"]["foo"] == "by hand"


async def test_a_silent_stream_and_a_silent_wait_are_kept_alive(server: Server, thread: str, client: Client) -> None:
    run = await client.runs.create(thread, "slow", input=slowly(1, 8.0), stream_mode="updates")
    path = f"/threads/{thread}/runs/{run['run_id']}"
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
        waiting = http.build_request("GET", f"{path}/join")
        join = await http.send(waiting, stream=True)
        streamed = await http.get(f"{path}/stream")
        joined = await join.aread()
    assert ": heartbeat" in streamed.text
    assert joined.startswith(b"\n")
    assert join.json()["done"] == 1
