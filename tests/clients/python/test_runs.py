"""Runs: made, waited for, listed, deleted, and what their options do."""

from uuid import UUID, uuid4

import pytest
from langgraph_sdk.errors import NotFoundError

from support.clients import Client, Json
from support.runs import ended, eventually, slowly, until
from test_assistants import TWO
from test_threads import TWO_AFTER_IN


async def test_a_run_tells_what_it_was_asked(client: Client, thread: str) -> None:
    run = await client.runs.create(
        thread,
        "two",
        input={"foo": "in"},
        metadata={"rm": 1},
        config={"tags": ["x"], "recursion_limit": 20},
        context={"c": 1},
        stream_mode="updates",
        stream_subgraphs=True,
        stream_resumable=True,
        interrupt_before=["nobody"],
        multitask_strategy="reject",
        durability="sync",
    )
    assert UUID(run["run_id"]).version == 7
    assert (run["thread_id"], run["assistant_id"]) == (thread, TWO)
    assert (run["status"], run["multitask_strategy"]) == ("pending", "reject")
    assert run["metadata"]["rm"] == 1
    kwargs = run["kwargs"]
    assert kwargs["input"] == {"foo": "in"}
    assert kwargs["stream_mode"] == ["updates"]
    assert (kwargs["subgraphs"], kwargs["resumable"], kwargs["temporary"]) == (True, True, False)
    assert kwargs["interrupt_before"] == ["nobody"]
    assert kwargs["durability"] == "sync"
    assert kwargs["context"] == {"c": 1}
    assert kwargs["config"]["tags"] == ["x"]
    assert kwargs["config"]["recursion_limit"] == 20
    assert kwargs["config"]["configurable"]["c"] == 1
    assert kwargs["config"]["metadata"]["rm"] == 1
    after = await ended(client, run)
    assert after["status"] == "success"
    assert after["updated_at"] > run["updated_at"]


async def test_wait_gives_the_last_values(client: Client, thread: str) -> None:
    assert await client.runs.wait(thread, "two", input={"foo": "in"}) == TWO_AFTER_IN


async def test_a_second_run_goes_on_from_the_first(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "two", input={"foo": "in"})
    again = await client.runs.wait(thread, "two", input={"foo": "x"})
    assert again == {"foo": "xab", "log": ["a", "b", "a", "b"]}
    assert len(await client.threads.get_history(thread)) == 8


async def test_wait_raises_what_the_graph_raised(client: Client, thread: str) -> None:
    with pytest.raises(Exception, match=r"^ValueError: boom-b$"):
        await client.runs.wait(thread, "fail_b", input={"foo": "x"})
    values = await client.runs.wait(thread, "fail_b", input={"foo": "x"}, raise_error=False)
    assert values == {"__error__": {"error": "ValueError", "message": "boom-b"}}


async def test_a_failure_shows_on_run_thread_and_state(client: Client, thread: str) -> None:
    run = await client.runs.create(thread, "fail_b", input={"foo": "x"})
    assert (await ended(client, run))["status"] == "error"
    after = await client.threads.get(thread)
    assert after["status"] == "error"
    assert after["error"] == {"error": "ValueError", "message": "boom-b"}
    assert after["values"] == {"foo": "xa", "log": ["a"]}
    state = await client.threads.get_state(thread)
    assert state["next"] == ["fail_b"]
    assert state["tasks"][0]["error"] == "ValueError('boom-b')"


async def test_null_input_tries_the_failed_node_again(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "fail_b", input={"foo": "x"}, raise_error=False)
    await client.runs.wait(thread, "fail_b", raise_error=False)
    # Node a did not run a second time.
    assert (await client.threads.get(thread))["values"] == {"foo": "xa", "log": ["a"]}


@pytest.mark.reference_differs("masks the messages of classes that it does not know")
async def test_the_message_of_a_graphs_own_error_is_told(client: Client) -> None:
    failing = {"foo": "x", "kind": "CustomError"}
    values = await client.runs.wait(None, "fail", input=failing, raise_error=False)
    assert values == {"__error__": {"error": "CustomError", "message": "boom"}}


async def test_join_waits_for_the_end(client: Client, thread: str) -> None:
    run = await client.runs.create(thread, "slow", input=slowly(2, 0.05))
    values = await client.runs.join(thread, run["run_id"])
    assert values["log"] == ["step 1", "step 2"]
    # Of a run that is over, at once.
    assert await client.runs.join(thread, run["run_id"]) == values


async def test_runs_are_listed_newest_first(client: Client, thread: str) -> None:
    made = []
    for graph in ("two", "fail", "two"):
        run = await client.runs.create(thread, graph, input={"foo": "x"})
        await ended(client, run)
        made.append(run["run_id"])
    listed = client.runs.list
    assert [r["run_id"] for r in await listed(thread)] == made[::-1]
    assert [r["run_id"] for r in await listed(thread, limit=1, offset=1)] == [made[1]]
    assert [r["run_id"] for r in await listed(thread, status="error")] == [made[1]]
    selected = await listed(thread, select=["run_id", "status"], limit=1)
    assert selected == [{"run_id": made[2], "status": "success"}]


async def test_a_deleted_run_is_gone(client: Client, thread: str) -> None:
    run = await client.runs.create(thread, "two", input={"foo": "in"})
    await ended(client, run)
    assert await client.runs.delete(thread, run["run_id"]) is None
    with pytest.raises(NotFoundError):
        await client.runs.get(thread, run["run_id"])
    with pytest.raises(NotFoundError):
        await client.runs.delete(thread, run["run_id"])


async def test_a_batch_makes_runs_in_order(client: Client, thread: str) -> None:
    batch = await client.runs.create_batch(
        [{"assistant_id": "two", "input": {"foo": str(n)}, "metadata": {"n": n}} for n in range(3)]
    )
    assert [r["metadata"]["n"] for r in batch] == [0, 1, 2]
    assert len({r["thread_id"] for r in batch} | {thread}) == 4


@pytest.mark.reference_differs("leaves the runs before the one that fails queued")
async def test_a_batch_is_made_whole_or_not_at_all(client: Client, mark: dict[str, str]) -> None:
    good = {
        "assistant_id": "two",
        "input": {"foo": "x"},
        "metadata": mark,
        "on_completion": "keep",
    }
    with pytest.raises(NotFoundError):
        await client.runs.create_batch([good, good | {"assistant_id": str(uuid4())}])
    assert await client.threads.count(metadata=mark) == 0
    await client.runs.wait(None, "two", input={"foo": "x"})
    assert await client.threads.count(metadata=mark) == 0


async def test_a_stateless_run_leaves_nothing_behind(client: Client) -> None:
    run = await client.runs.create(None, "two", input={"foo": "in"})

    async def gone() -> bool:
        try:
            await client.runs.get(run["thread_id"], run["run_id"])
        except NotFoundError:
            return True
        return False

    await eventually(gone)
    assert await client.threads.search(ids=[run["thread_id"]]) == []


async def test_a_stateless_run_is_kept_when_asked(client: Client) -> None:
    run = await client.runs.create(None, "two", input={"foo": "in"}, on_completion="keep")
    await client.runs.join(run["thread_id"], run["run_id"])
    assert (await client.threads.get_state(run["thread_id"]))["values"] == TWO_AFTER_IN
    assert (await client.runs.get(run["thread_id"], run["run_id"]))["status"] == "success"


async def test_a_thread_is_made_for_a_run_when_asked(client: Client) -> None:
    thread = str(uuid4())
    with pytest.raises(NotFoundError):
        await client.runs.create(thread, "two", input={"foo": "in"})
    values = await client.runs.wait(thread, "two", input={"foo": "in"}, if_not_exists="create")
    assert values == TWO_AFTER_IN
    assert (await client.threads.get(thread))["status"] == "idle"


async def test_a_run_may_start_later(client: Client, thread: str) -> None:
    run = await client.runs.create(thread, "two", input={"foo": "in"}, after_seconds=1)
    thread_row = await client.threads.get(thread)
    assert run["created_at"] > thread_row["updated_at"]
    assert (await client.runs.get(thread, run["run_id"]))["status"] == "pending"
    assert (await client.runs.join(thread, run["run_id"])) == TWO_AFTER_IN


async def test_a_run_that_starts_later_can_be_cancelled_before(client: Client, thread: str) -> None:
    run = await client.runs.create(thread, "two", input={"foo": "in"}, after_seconds=3600)
    await client.runs.cancel(thread, run["run_id"])
    assert (await ended(client, run))["status"] == "interrupted"
    assert (await client.threads.get(thread))["status"] == "idle"


@pytest.mark.parametrize(("durability", "checkpoints"), [("sync", 4), ("async", 4), ("exit", 1)])
async def test_durability_says_which_checkpoints_are_kept(
    client: Client, thread: str, durability: str, checkpoints: int
) -> None:
    await client.runs.wait(thread, "two", input={"foo": "in"}, durability=durability)
    history = await client.threads.get_history(thread)
    assert len(history) == checkpoints
    assert history[0]["values"] == TWO_AFTER_IN


@pytest.mark.filterwarnings("ignore:.checkpoint_during.:DeprecationWarning")
async def test_checkpoint_during_is_the_old_name_of_durability(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "two", input={"foo": "in"}, checkpoint_during=False)
    assert len(await client.threads.get_history(thread)) == 1


async def test_a_run_stops_at_its_recursion_limit(client: Client, thread: str) -> None:
    error = await client.runs.wait(
        thread, "limit", input={"count": 0}, config={"recursion_limit": 3}, raise_error=False
    )
    assert error["__error__"]["error"] == "GraphRecursionError"
    assert error["__error__"]["message"].startswith("Recursion limit of 3 reached without hitting a stop condition.")
    assert (await client.threads.get(thread))["values"] == {"count": 3}


async def test_context_reaches_the_nodes_as_the_graph_declares_it(
    client: Client,
) -> None:
    context = {"user": "ann", "level": 2, "extra": "not declared"}
    values = await client.runs.wait(None, "ctx", input={"foo": ""}, context=context)
    assert values["seen_context"] == {"user": "ann", "level": 2}
    configurable = {"configurable": {"user": "bob"}}
    values = await client.runs.wait(None, "ctx", input={"foo": ""}, config=configurable)
    assert values["seen_context"] == {"user": "bob"}
    assert values["seen_configurable"] == {"user": "bob"}


@pytest.mark.reference_differs("fails the run where no LangSmith is configured")
async def test_feedback_keys_do_not_fail_a_run(client: Client, thread: str) -> None:
    stream = client.runs.stream(thread, "two", input={"foo": "in"}, feedback_keys=["liked"])
    assert [p.event async for p in stream if p.event == "error"] == []
    assert (await client.threads.get(thread))["values"] == TWO_AFTER_IN


async def test_the_caller_hears_of_the_run_before_it_is_over(client: Client, thread: str) -> None:
    heard: list[Json] = []
    run = await client.runs.create(thread, "two", input={"foo": "in"}, on_run_created=heard.append)
    await client.runs.wait(thread, "two", input={"foo": "in"}, on_run_created=heard.append)
    stream = client.runs.stream(thread, "two", input={"foo": "in"}, on_run_created=heard.append)
    await until(stream, "metadata")
    assert len(heard) == 3
    assert heard[0] == {"run_id": run["run_id"], "thread_id": thread}
    listed = {r["run_id"] for r in await client.runs.list(thread)}
    assert {h["run_id"] for h in heard} == listed
    assert {h.get("thread_id") for h in heard} == {thread}


async def test_null_input_on_an_empty_thread_fails_the_run(client: Client, thread: str) -> None:
    with pytest.raises(Exception, match=r"^EmptyInputError: Received no input for __start__"):
        await client.runs.wait(thread, "two")
    assert (await client.threads.get(thread))["status"] == "error"


async def test_null_input_on_a_finished_thread_does_nothing(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "two", input={"foo": "in"})
    assert await client.runs.wait(thread, "two") == TWO_AFTER_IN
    assert len(await client.threads.get_history(thread)) == 4


async def test_input_of_another_form_fails_the_run(client: Client, thread: str) -> None:
    with pytest.raises(Exception, match=r"^InvalidUpdateError: Expected dict, got astring"):
        await client.runs.wait(thread, "two", input="astring")


async def test_unknown_members_of_the_input_are_ignored(client: Client) -> None:
    values = await client.runs.wait(None, "two", input={"foo": "in", "nobody": 1})
    assert values == TWO_AFTER_IN


async def test_a_message_may_be_a_bare_string_or_openais(client: Client) -> None:
    for given in ("hi", [{"role": "user", "content": "hi"}], [["user", "hi"]]):
        values = await client.runs.wait(None, "echo_messages", input={"messages": given})
        first, answer = values["messages"]
        assert (first["type"], first["content"]) == ("human", "hi")
        assert first["id"]
        assert (answer["type"], answer["content"], answer["id"]) == ("ai", "hi", "echo-1")


async def test_sends_map_and_reduce_in_order(client: Client, thread: str) -> None:
    items = ["c", "a", "b"]
    values = await client.runs.wait(thread, "fan", input={"items": items})
    assert values == {"items": items, "results": ["C", "A", "B"], "total": 3}


async def test_a_node_says_where_to_go(client: Client) -> None:
    values = await client.runs.wait(None, "goto", input={"to": ["right"], "foo": "z"})
    assert values["log"] == ["route", "right:z"]
    values = await client.runs.wait(None, "goto", input={"to": ["left", "right"], "foo": "z"})
    assert values["log"] == ["route", "left", "right:z"]
