"""Runs that stop for a person: questions, breakpoints, and commands that go on."""

from typing import Any

import pytest

from support.clients import Client


async def interrupts(client: Client, thread: str) -> dict[str, str]:
    """Ids of the thread's interrupts, by the node that `hitl_many` asks in."""
    by_task = (await client.threads.get(thread))["interrupts"]
    return {i["value"]["ask"]: i["id"] for of_task in by_task.values() for i in of_task}


async def test_a_question_is_told_by_wait_thread_and_state(client: Client, thread: str) -> None:
    values = await client.runs.wait(thread, "hitl", input={"foo": "x"})
    (question,) = values.pop("__interrupt__")
    assert values == {"foo": "xa", "log": ["a"]}
    assert question["value"] == {"question": "continue?"}
    told = {"id": question["id"], "value": question["value"]}

    after = await client.threads.get(thread)
    assert after["status"] == "interrupted"
    ((task_id, (on_thread,)),) = after["interrupts"].items()
    assert told.items() <= on_thread.items()

    state = await client.threads.get_state(thread)
    assert state["next"] == ["ask"]
    assert state["tasks"][0]["id"] == task_id
    assert told.items() <= state["tasks"][0]["interrupts"][0].items()
    assert told.items() <= state["interrupts"][0].items()

    (run,) = await client.runs.list(thread)
    assert run["status"] == "success"


@pytest.mark.parametrize("answer", ["yes", {"type": "accept", "args": None}, False, 0, [1, 2]])
async def test_the_answer_reaches_the_node(client: Client, thread: str, answer: Any) -> None:
    await client.runs.wait(thread, "hitl", input={"foo": "x"})
    values = await client.runs.wait(thread, "hitl", command={"resume": answer})
    assert values == {"foo": "xa", "answer": answer, "log": ["a", "ask"]}
    after = await client.threads.get(thread)
    assert (after["status"], after["interrupts"]) == ("idle", {})


async def test_two_questions_of_one_step_are_answered_by_id(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "hitl_many", input={"foo": ""})
    ids = await interrupts(client, thread)
    assert set(ids) == {"left", "right"}
    values = await client.runs.wait(thread, "hitl_many", command={"resume": {ids["left"]: "L", ids["right"]: "R"}})
    assert values["log"] == ["left=L", "right=R", "after"]


async def test_one_of_two_questions_may_be_answered_first(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "hitl_many", input={"foo": ""})
    ids = await interrupts(client, thread)
    await client.runs.wait(thread, "hitl_many", command={"resume": {ids["right"]: "R"}})
    assert await interrupts(client, thread) == {"left": ids["left"]}
    values = await client.runs.wait(thread, "hitl_many", command={"resume": "L"})
    assert values["log"] == ["left=L", "right=R", "after"]


async def test_a_bare_answer_to_two_questions_fails_the_run(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "hitl_many", input={"foo": ""})
    ids = await interrupts(client, thread)
    with pytest.raises(Exception, match="you must specify the interrupt id when resuming"):
        await client.runs.wait(thread, "hitl_many", command={"resume": "both"})
    # The questions are still there to be answered.
    values = await client.runs.wait(thread, "hitl_many", command={"resume": {ids["left"]: "L", ids["right"]: "R"}})
    assert values["log"] == ["left=L", "right=R", "after"]


@pytest.mark.reference_differs("tells only the interrupts that came last")
async def test_wait_tells_all_questions_of_a_step(client: Client, thread: str) -> None:
    values = await client.runs.wait(thread, "hitl_many", input={"foo": "x"})
    asked = {i["value"]["ask"] for i in values["__interrupt__"]}
    assert asked == {"left", "right"}
    assert values["foo"] == "x"


async def test_a_node_asks_until_it_is_done(client: Client, thread: str) -> None:
    values = await client.runs.wait(thread, "hitl_loop", input={"answers": []})
    ids = []
    for so_far, answer in enumerate(["one", "two", "done"]):
        (question,) = values["__interrupt__"]
        assert question["value"] == {"question": "more?", "so_far": so_far}
        ids.append(question["id"])
        values = await client.runs.wait(thread, "hitl_loop", command={"resume": answer})
    assert values == {"answers": ["one", "two", "done"]}
    assert len(set(ids)) in (1, 3)


async def test_an_answer_to_nothing_changes_nothing(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "hitl", input={"foo": "x"})
    before = await client.runs.wait(thread, "hitl", command={"resume": "yes"})
    assert await client.runs.wait(thread, "hitl", command={"resume": "again"}) == before


async def test_new_input_while_a_question_waits_starts_over(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "hitl", input={"foo": "x"})
    values = await client.runs.wait(thread, "hitl", input={"foo": "y"})
    (question,) = values.pop("__interrupt__")
    assert values == {"foo": "ya", "log": ["a", "a"]}
    assert question["value"] == {"question": "continue?"}


async def test_an_answer_may_bring_an_update_along(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "hitl", input={"foo": "x"})
    command = {"resume": "yes", "update": {"foo": "updated"}}
    values = await client.runs.wait(thread, "hitl", command=command)
    assert (values["foo"], values["answer"]) == ("updated", "yes")


async def test_a_compiled_breakpoint_stops_and_null_input_goes_on(client: Client, thread: str) -> None:
    values = await client.runs.wait(thread, "breaks", input={"foo": "in"})
    assert values == {"foo": "ina", "log": ["a"]}
    after = await client.threads.get(thread)
    assert (after["status"], after["interrupts"]) == ("interrupted", {})
    assert (await client.threads.get_state(thread))["next"] == ["b"]
    assert await client.runs.wait(thread, "breaks") == {"foo": "inab", "log": ["a", "b"]}


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({"interrupt_before": ["b"]}, ["a"]),
        ({"interrupt_after": ["a"]}, ["a"]),
        ({"interrupt_before": "*"}, []),
        ({"interrupt_after": "*"}, ["a"]),
        ({"interrupt_before": ["nobody"]}, ["a", "b"]),
    ],
)
async def test_a_run_stops_where_its_options_say(
    client: Client, thread: str, options: dict[str, Any], seen: list[str]
) -> None:
    values = await client.runs.wait(thread, "two", input={"foo": ""}, **options)
    assert values["log"] == seen
    assert "__interrupt__" not in values
    status = "idle" if seen == ["a", "b"] else "interrupted"
    assert (await client.threads.get(thread))["status"] == status


async def test_a_graph_is_stepped_through(client: Client, thread: str) -> None:
    step: Any = {"interrupt_before": "*"}
    logs = [(await client.runs.wait(thread, "two", input={"foo": ""}, **step))]
    logs += [await client.runs.wait(thread, "two", **step) for _ in range(2)]
    assert [v["log"] for v in logs] == [[], ["a"], ["a", "b"]]


@pytest.mark.parametrize("update", [{"foo": "L", "log": ["by hand"]}, [("foo", "L"), ("log", ["by hand"])]], ids=type)
async def test_a_command_updates_a_finished_thread(client: Client, thread: str, update: Any) -> None:
    await client.runs.wait(thread, "two", input={"foo": "in"})
    after = {"foo": "L", "log": ["a", "b", "by hand"]}
    assert await client.runs.wait(thread, "two", command={"update": update}) == after
    assert (await client.threads.get_state(thread))["values"] == after


@pytest.mark.reference_differs("keeps the first update pending, and then has two for one key")
async def test_a_finished_thread_is_updated_again(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "two", input={"foo": "in"})
    await client.runs.wait(thread, "two", command={"update": {"foo": "L"}})
    values = await client.runs.wait(thread, "two", command={"update": {"foo": "M"}})
    assert values == {"foo": "M", "log": ["a", "b"]}


async def test_a_command_goes_to_a_node(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "two", input={"foo": "in"})
    by_name = {"goto": "b"}
    assert await client.runs.wait(thread, "two", command=by_name) == {
        "foo": "inabb",
        "log": ["a", "b", "b"],
    }
    by_send = {"update": {"foo": "u"}, "goto": [{"node": "b", "input": {"foo": "S"}}]}
    assert await client.runs.wait(thread, "two", command=by_send) == {
        "foo": "Sb",
        "log": ["a", "b", "b", "b"],
    }


async def test_a_command_to_the_end_leaves_nothing_to_do(client: Client, thread: str) -> None:
    await client.runs.wait(thread, "hitl", input={"foo": "x"})
    end = {"goto": "__end__"}
    await client.runs.wait(thread, "hitl", command=end)
    state = await client.threads.get_state(thread)
    assert state["values"] == {"foo": "xa", "log": ["a"]}
