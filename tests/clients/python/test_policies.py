"""What a graph says about its nodes: tried again, put off, cached, bounded in time."""

from typing import Any
from uuid import uuid4

import pytest

from support.clients import Client
from support.runs import data, parts


async def test_a_node_is_tried_again(client: Client) -> None:
    values = await client.runs.wait(None, "retry", input={"succeeds_at": 3})
    assert values["attempts"] == 3


async def test_a_node_is_not_tried_more_often_than_its_policy_says(
    client: Client,
) -> None:
    failing = {"succeeds_at": 4}
    values = await client.runs.wait(None, "retry", input=failing, raise_error=False)
    assert values["__error__"]["error"] == "ConnectionError"


async def test_a_failure_of_another_kind_is_not_tried_again(client: Client) -> None:
    failing = {"succeeds_at": 2, "kind": "ValueError"}
    values = await client.runs.wait(None, "retry", input=failing, raise_error=False)
    assert values == {"__error__": {"error": "ValueError", "message": "attempt 1"}}


async def test_a_deferred_node_waits_for_the_longest_path(client: Client) -> None:
    values = await client.runs.wait(None, "defer", input={"foo": ""})
    assert values["log"] == ["long_1", "short", "long_2", "last"]


async def test_a_cached_node_does_not_run_again(client: Client) -> None:
    given = {"foo": str(uuid4())}

    async def updates() -> Any:
        stream = client.runs.stream(None, "cached", input=given, stream_mode="updates")
        (update,) = data(await parts(stream), "updates")
        return update

    first, second = await updates(), await updates()
    assert "__metadata__" not in first
    assert second["__metadata__"] == {"cached": True}
    assert second["work"] == first["work"]
    given = {"foo": str(uuid4())}
    other = await updates()
    assert "__metadata__" not in other
    assert other["work"] != first["work"]


async def test_a_node_ends_within_its_time(client: Client) -> None:
    values = await client.runs.wait(None, "timed", input={"secs": 0})
    assert values["done"] is True


@pytest.mark.reference_differs("masks the message")
async def test_a_node_that_takes_longer_fails(client: Client) -> None:
    values = await client.runs.wait(None, "timed", input={"secs": 20}, raise_error=False)
    assert values["__error__"]["error"] == "NodeTimeoutError"
    assert "'work' exceeded its run timeout of 2.000s" in values["__error__"]["message"]
