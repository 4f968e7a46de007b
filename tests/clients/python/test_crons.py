"""Crons: made, found, changed, refused; and what their runs are given and deliver."""

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from langgraph_sdk import errors

from support.clients import Client, Json
from support.receiver import Receiver
from support.runs import eventually, slowly
from support.server import against_reference
from test_assistants import TWO
from test_errors import NOBODY, refused

EVERY_SECOND = "* * * * * *"

# So far away that nothing is due while a test runs, and to the second what the schedule says.
FAR = "0 12 1 7 * 0 2070"
FAR_IN_UTC = "2070-07-01T12:00:00+00:00"
FAR_IN_BERLIN = "2070-07-01T10:00:00+00:00"

INPUT = {"foo": "c"}
OPTIONS: Json = {
    "config": {"tags": ["t"], "recursion_limit": 9},
    "context": {"user": "u"},
    "interrupt_before": ["nobody"],
    "interrupt_after": ["nobody"],
    "stream_mode": ["updates", "values"],
    "stream_subgraphs": True,
    "stream_resumable": True,
    "durability": "sync",
}


class Deliveries:
    """What came, by path: the runs as their receivers see them."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._came: defaultdict[str, deque[Json]] = defaultdict(deque)

    def url(self, path: str = "/in") -> str:
        """Give the webhook whose deliveries have this path."""
        return self._receiver.url(path)

    async def next(self, path: str = "/in") -> Json:
        """Wait for the first that nobody asked for."""
        while not self._came[path]:
            received = await asyncio.to_thread(self._receiver.next)
            self._came[received.path].append(json.loads(received.body))
        return self._came[path].popleft()

    def waiting(self, path: str) -> int:
        """Count those that came before the last that was asked for, of this path."""
        return len(self._came[path])


@pytest.fixture
def receiver() -> Iterator[Deliveries]:
    with Receiver() as receiver:
        yield Deliveries(receiver)


@asynccontextmanager
async def kept(client: Client, made: Awaitable[Json]) -> AsyncIterator[Json]:
    """Take the cron away when the test is over, so that it fires for nobody."""
    cron = await made
    try:
        yield cron
    finally:
        await client.crons.delete(cron["cron_id"])


async def shown(client: Client, cron: Json) -> Json:
    """The cron as it is now: the client has no method that reads one."""
    found = await client.crons.search(limit=1000)
    return next(c for c in found if c["cron_id"] == cron["cron_id"])


def told(cron: Json, names: Json) -> Json:
    """These members of what the cron will ask of each run, without the id that the server adds."""
    payload = {name: cron["payload"][name] for name in names}
    assert payload["config"].pop("configurable") == {"cron_id": cron["cron_id"]}
    return payload


async def test_a_cron_tells_what_it_was_asked(client: Client, mark: dict[str, str], receiver: Deliveries) -> None:
    options = OPTIONS | {"webhook": receiver.url(), "multitask_strategy": "reject", "on_run_completed": "keep"}
    end = datetime(2071, 1, 1, tzinfo=UTC)
    made = client.crons.create(
        "two",
        schedule=FAR,
        input=INPUT,
        metadata=mark,
        end_time=end,
        enabled=False,
        timezone=ZoneInfo("Europe/Berlin"),
        **options,
    )
    async with kept(client, made) as cron:
        assert UUID(cron["cron_id"]).version == 7
        assert (cron["assistant_id"], cron["thread_id"], cron["metadata"]) == (TWO, None, mark)
        assert (cron["schedule"], cron["timezone"], cron["next_run_date"]) == (FAR, "Europe/Berlin", FAR_IN_BERLIN)
        assert datetime.fromisoformat(cron["end_time"]) == end
        assert (cron["enabled"], cron["on_run_completed"], cron["user_id"]) == (False, "keep", "")
        given = options | {"input": INPUT, "metadata": mark, "schedule": FAR, "timezone": "Europe/Berlin"}
        assert told(cron, given) == given
        assert await client.crons.search(metadata=mark) == [await shown(client, cron)]


async def test_a_cron_on_a_thread_tells_what_it_was_asked(client: Client, thread: str, mark: dict[str, str]) -> None:
    made = client.crons.create_for_thread(
        thread,
        "two",
        schedule=FAR,
        input=INPUT,
        metadata=mark,
        webhook="http://127.0.0.1:9999/in",
        multitask_strategy="interrupt",
        end_time=datetime(2071, 1, 1, tzinfo=UTC),
        enabled=False,
        timezone="Europe/Berlin",
        **OPTIONS,
    )
    async with kept(client, made) as cron:
        assert (cron["assistant_id"], cron["thread_id"]) == (TWO, thread)
        assert (cron["on_run_completed"], cron["next_run_date"]) == (None, FAR_IN_BERLIN)
        given = OPTIONS | {"multitask_strategy": "interrupt", "webhook": "http://127.0.0.1:9999/in"}
        assert told(cron, given) == given


async def test_the_older_name_for_durability_is_kept(client: Client) -> None:
    with pytest.warns(DeprecationWarning, match="checkpoint_during"):
        made = await client.crons.create("two", schedule=FAR, checkpoint_during=False)
    async with kept(client, _already(made)):
        assert made["payload"]["checkpoint_during"] is False
    thread = (await client.threads.create())["thread_id"]
    with pytest.warns(DeprecationWarning, match="checkpoint_during"):
        made = await client.crons.create_for_thread(thread, "two", schedule=FAR, checkpoint_during=True)
    assert made["payload"]["checkpoint_during"] is True
    await client.threads.delete(thread)


async def _already(made: Json) -> Json:
    return made


async def test_a_schedule_is_in_utc_unless_a_zone_is_named(client: Client) -> None:
    async with kept(client, client.crons.create("two", schedule=FAR)) as cron:
        assert (cron["timezone"], cron["next_run_date"]) == (None, FAR_IN_UTC)
        assert (cron["enabled"], cron["on_run_completed"], cron["end_time"]) == (True, "delete", None)
        changed = await client.crons.update(cron["cron_id"], timezone=ZoneInfo("Europe/Berlin"))
        assert (changed["timezone"], changed["next_run_date"]) == ("Europe/Berlin", FAR_IN_BERLIN)


async def test_a_run_without_a_thread_leaves_nothing_but_its_delivery(client: Client, receiver: Deliveries) -> None:
    made = client.crons.create("two", schedule=EVERY_SECOND, input=INPUT, webhook=receiver.url())
    async with kept(client, made) as cron:
        first, second = await receiver.next(), await receiver.next()
    for run in (first, second):
        assert (run["status"], run["assistant_id"]) == ("success", TWO)
        assert run["values"] == (None if against_reference else {"foo": "cab", "log": ["a", "b"]})
        assert run["kwargs"]["config"]["configurable"]["cron_id"] == cron["cron_id"]
        with pytest.raises(errors.NotFoundError):
            await client.threads.get(run["thread_id"])
    assert first["run_id"] != second["run_id"]
    assert first["thread_id"] != second["thread_id"]


async def test_a_run_may_leave_its_thread(client: Client, receiver: Deliveries, mark: dict[str, str]) -> None:
    made = client.crons.create(
        "two",
        schedule=EVERY_SECOND,
        input=INPUT,
        metadata=mark,
        webhook=receiver.url(),
        on_run_completed="keep",
    )
    async with kept(client, made):
        run = await receiver.next()
    assert run["values"] == {"foo": "cab", "log": ["a", "b"]}
    assert run["metadata"]["mark"] == mark["mark"]
    thread = await client.threads.get(run["thread_id"])
    assert (thread["status"], thread["values"]) == ("idle", run["values"])
    assert thread["metadata"]["mark"] == mark["mark"]
    assert [r["run_id"] for r in await client.runs.list(run["thread_id"])] == [run["run_id"]]


async def test_the_configuration_of_a_cron_is_that_of_its_runs(client: Client, receiver: Deliveries) -> None:
    config = {"configurable": {"user": "u", "level": 3}}
    made = client.crons.create(
        "ctx",
        schedule=EVERY_SECOND,
        input=INPUT,
        config=config,
        webhook=receiver.url(),
        on_run_completed="keep",
    )
    async with kept(client, made) as cron:
        assert cron["payload"]["config"]["configurable"] == config["configurable"] | {"cron_id": cron["cron_id"]}
        run = await receiver.next()
    assert run["values"]["seen_configurable"] == config["configurable"]
    assert run["kwargs"]["context"]["cron_id"] == cron["cron_id"]


async def test_runs_on_a_thread_go_on_from_each_other(client: Client, thread: str, receiver: Deliveries) -> None:
    made = client.crons.create_for_thread(
        thread, "two", schedule=EVERY_SECOND, input={"foo": "t"}, webhook=receiver.url()
    )
    async with kept(client, made):
        first, second = await receiver.next(), await receiver.next()
    assert (first["thread_id"], second["thread_id"]) == (thread, thread)
    assert first["values"]["log"] == ["a", "b"]
    assert second["values"]["log"] == ["a", "b", "a", "b"]
    assert first["run_id"] != second["run_id"]


async def test_the_run_has_what_the_cron_was_given(client: Client, receiver: Deliveries, mark: dict[str, str]) -> None:
    thread = (await client.threads.create())["thread_id"]
    made = client.crons.create_for_thread(
        thread,
        "ctx",
        schedule=EVERY_SECOND,
        input={"foo": "c"},
        metadata=mark,
        context={"user": "u", "level": 3},
        config={"tags": ["t"], "recursion_limit": 9},
        interrupt_after=["nobody"],
        stream_mode=["updates"],
        stream_resumable=True,
        durability="sync",
        multitask_strategy="rollback",
        webhook=receiver.url(),
    )
    async with kept(client, made) as cron:
        run = await receiver.next()
    assert run["values"]["seen_context"] == {"user": "u", "level": 3}
    assert run["multitask_strategy"] == "rollback"
    kwargs = run["kwargs"]
    assert (kwargs["input"], kwargs["context"]) == ({"foo": "c"}, {"user": "u", "level": 3})
    assert (kwargs["stream_mode"], kwargs["resumable"], kwargs["durability"]) == (["updates"], True, "sync")
    assert kwargs["interrupt_after"] == ["nobody"]
    assert kwargs["config"]["recursion_limit"] == 9
    assert kwargs["config"]["tags"] == ["t"]
    assert kwargs["config"]["configurable"]["cron_id"] == cron["cron_id"]
    assert run["metadata"]["mark"] == mark["mark"]


async def test_a_run_that_asks_waits_on_its_thread(client: Client, receiver: Deliveries) -> None:
    made = client.crons.create(
        "hitl", schedule=EVERY_SECOND, input=INPUT, webhook=receiver.url(), on_run_completed="keep"
    )
    async with kept(client, made):
        run = await receiver.next()
    thread = run["thread_id"]
    assert (await client.threads.get(thread))["status"] == "interrupted"
    values = await client.runs.wait(thread, "hitl", command={"resume": "yes"})
    assert values["answer"] == "yes"


async def test_a_cron_whose_runs_fail_goes_on(client: Client, receiver: Deliveries) -> None:
    made = client.crons.create("fail", schedule=EVERY_SECOND, input=INPUT, webhook=receiver.url())
    async with kept(client, made):
        first, second = await receiver.next(), await receiver.next()
    for run in (first, second):
        assert (run["status"], run["error"]) == ("error", {"error": "ValueError", "message": "boom"})


@pytest.mark.reference_differs("says nothing of the ticks that it could not make a run for")
async def test_a_cron_that_cannot_run_says_why(client: Client, thread: str) -> None:
    busy = await client.runs.create(thread, "slow", input=slowly(600, 0.1))
    made = client.crons.create_for_thread(
        thread, "two", schedule=EVERY_SECOND, input=INPUT, multitask_strategy="reject"
    )
    async with kept(client, made) as cron:

        async def complaint() -> Json | None:
            return (await shown(client, cron))["last_error"]

        assert "already running" in str(await eventually(complaint))
        assert [r["run_id"] for r in await client.runs.list(thread)] == [busy["run_id"]]
    await client.runs.cancel(thread, busy["run_id"], wait=True)


async def test_a_disabled_cron_fires_when_it_is_enabled(client: Client, receiver: Deliveries) -> None:
    disabled = client.crons.create(
        "two", schedule=EVERY_SECOND, input=INPUT, webhook=receiver.url("/disabled"), enabled=False
    )
    other = client.crons.create("two", schedule=EVERY_SECOND, input=INPUT, webhook=receiver.url("/other"))
    async with kept(client, disabled) as cron, kept(client, other):
        for _ in range(2):
            await receiver.next("/other")
        assert receiver.waiting("/disabled") == 0
        assert (await client.crons.update(cron["cron_id"], enabled=True))["enabled"] is True
        assert (await receiver.next("/disabled"))["status"] == "success"


async def test_an_update_changes_what_is_named_and_nothing_else(client: Client, mark: dict[str, str]) -> None:
    made = client.crons.create("two", schedule=FAR, input=INPUT, metadata=mark, enabled=False, **OPTIONS)
    async with kept(client, made) as cron:
        changes: Json = {
            "input": {"foo": "new"},
            "webhook": "http://127.0.0.1:9999/new",
            "interrupt_before": "*",
            "interrupt_after": ["b"],
            "context": {"other": 1},
            "stream_mode": "values",
            "stream_subgraphs": False,
            "stream_resumable": False,
            "durability": "exit",
        }
        for name, value in changes.items():
            before = await shown(client, cron)
            after = await client.crons.update(cron["cron_id"], **{name: value})
            assert after["payload"] == before["payload"] | {name: value}
            assert after["updated_at"] > before["updated_at"]
        after = await client.crons.update(cron["cron_id"], config={"tags": ["new"]})
        assert after["payload"]["config"] == {"tags": ["new"], "configurable": {"cron_id": cron["cron_id"]}}
        after = await client.crons.update(cron["cron_id"], metadata={"more": 1}, on_run_completed="keep")
        assert after["metadata"] == mark | {"more": 1}
        assert after["on_run_completed"] == "keep"
        after = await client.crons.update(cron["cron_id"], schedule="0 0 1 1 * 0 2070")
        assert (after["schedule"], after["next_run_date"]) == ("0 0 1 1 * 0 2070", "2070-01-01T00:00:00+00:00")
        assert after == await shown(client, cron)


async def test_an_end_is_set_and_taken_away(client: Client) -> None:
    async with kept(client, client.crons.create("two", schedule=FAR, enabled=False)) as cron:
        end = datetime(2071, 1, 1, tzinfo=UTC)
        after = await client.crons.update(cron["cron_id"], end_time=end)
        assert datetime.fromisoformat(after["end_time"]) == end
        after = await client.crons.update(cron["cron_id"], webhook="http://127.0.0.1:9999/in")
        assert datetime.fromisoformat(after["end_time"]) == end
        after = await client.crons.update(cron["cron_id"], end_time=None)
        assert after["end_time"] is None


@pytest.mark.reference_differs("stops firing every cron while one of them has an end")
async def test_no_run_is_made_after_the_end(client: Client, receiver: Deliveries) -> None:
    end = datetime.now(UTC) + timedelta(seconds=3)
    ending = client.crons.create(
        "two", schedule=EVERY_SECOND, input=INPUT, webhook=receiver.url("/ending"), end_time=end
    )
    other = client.crons.create("two", schedule=EVERY_SECOND, input=INPUT, webhook=receiver.url("/other"))
    async with kept(client, ending) as cron, kept(client, other):
        assert datetime.fromisoformat((await receiver.next("/ending"))["created_at"]) <= end
        # What was made three seconds later was delivered; what the first had made by then, as well.
        while datetime.fromisoformat((await receiver.next("/other"))["created_at"]) < end + timedelta(seconds=3):
            pass
        while receiver.waiting("/ending"):
            assert datetime.fromisoformat((await receiver.next("/ending"))["created_at"]) <= end
        assert (await shown(client, cron))["enabled"] is True


async def test_a_changed_cron_fires_as_it_was_changed(client: Client, receiver: Deliveries) -> None:
    made = client.crons.create("two", schedule=FAR, input=INPUT, webhook=receiver.url("/old"))
    async with kept(client, made) as cron:
        changes: Json = {"schedule": EVERY_SECOND, "input": {"foo": "new"}, "webhook": receiver.url("/new")}
        await client.crons.update(cron["cron_id"], on_run_completed="keep", **changes)
        assert (await receiver.next("/new"))["values"]["foo"] == "newab"
    assert receiver.waiting("/old") == 0


async def test_crons_are_found_and_counted(client: Client, thread: str, mark: dict[str, str]) -> None:
    crons = client.crons
    system = {"created_by": "system"}
    hitl = (await client.assistants.search(graph_id="hitl", metadata=system))[0]["assistant_id"]
    async with (
        kept(client, crons.create("two", schedule="0 0 1 3 * 0 2070", metadata=mark)) as first,
        kept(client, crons.create_for_thread(thread, "hitl", schedule=FAR, metadata=mark | {"n": 1})) as second,
        kept(client, crons.create("two", schedule="0 0 1 1 * 0 2070", metadata=mark, enabled=False)) as third,
    ):
        by_id = {first["cron_id"]: 1, second["cron_id"]: 2, third["cron_id"]: 3}

        async def found(**query: object) -> list[int]:
            return [by_id[cron["cron_id"]] for cron in await crons.search(**{"metadata": mark, **query})]

        assert await found() == [3, 2, 1]
        assert await found(limit=1, offset=1) == [2]
        assert await found(enabled=False) == [3]
        assert await found(enabled=True) == [2, 1]
        assert await found(thread_id=thread) == [2]
        assert await found(assistant_id=hitl) == [2]
        assert await found(metadata=mark | {"n": 1}) == [2]
        assert await found(sort_by="next_run_date", sort_order="asc") == [3, 1, 2]
        assert await found(sort_by="cron_id") == [3, 2, 1]
        assert await found(sort_by="created_at", sort_order="asc") == [1, 2, 3]
        selected = await crons.search(metadata=mark, select=["schedule", "enabled"], limit=1)
        assert selected == [{"schedule": "0 0 1 1 * 0 2070", "enabled": False}]

        assert await crons.count(metadata=mark) == 3
        assert await crons.count(metadata=mark, thread_id=thread) == 1
        assert await crons.count(metadata=mark, assistant_id=TWO) == 2
        assert await crons.count(thread_id=NOBODY) == 0


async def test_a_deleted_cron_is_gone(client: Client, mark: dict[str, str]) -> None:
    cron = await client.crons.create("two", schedule=FAR, metadata=mark)
    assert await client.crons.delete(cron["cron_id"]) is None
    assert await client.crons.search(metadata=mark) == []
    await refused(client.crons.delete(cron["cron_id"]), errors.NotFoundError, "Not Found")
    text = f"Cron '{cron['cron_id']}' not found"
    await refused(client.crons.update(cron["cron_id"], enabled=False), errors.NotFoundError, text)


async def test_crons_go_with_their_thread_and_their_assistant(client: Client, mark: dict[str, str]) -> None:
    thread = (await client.threads.create())["thread_id"]
    assistant = (await client.assistants.create("two"))["assistant_id"]
    await client.crons.create_for_thread(thread, "two", schedule=FAR, metadata=mark)
    await client.crons.create(assistant, schedule=FAR, metadata=mark)
    assert await client.crons.count(metadata=mark) == 2
    await client.threads.delete(thread)
    assert [c["assistant_id"] for c in await client.crons.search(metadata=mark)] == [assistant]
    await client.assistants.delete(assistant)
    assert await client.crons.count(metadata=mark) == 0


async def test_what_cannot_be_is_refused(client: Client, thread: str) -> None:
    crons = client.crons
    wrong, missing = errors.UnprocessableEntityError, errors.NotFoundError
    schedule, zone = "Invalid cron schedule: 'bad cron'.", "Invalid timezone: 'Mars/X'."
    await refused(crons.create("two", schedule="bad cron"), wrong, schedule)
    await refused(crons.create_for_thread(thread, "two", schedule="bad cron"), wrong, schedule)
    await refused(crons.create("two", schedule=FAR, timezone="Mars/X"), wrong, zone)
    ftp = "Webhook host blocked: scheme 'ftp' not allowed"
    await refused(crons.create("two", schedule=FAR, webhook="ftp://example.com/x"), wrong, ftp)
    await refused(crons.create("nope", schedule=FAR), missing, "Assistant 'nope' not found")
    await refused(crons.create_for_thread(NOBODY, "two", schedule=FAR), missing, f"Thread with ID '{NOBODY}' not found")
    await refused(crons.create_for_thread(thread, NOBODY, schedule=FAR), missing, f"Assistant '{NOBODY}' not found")
    async with kept(client, crons.create("two", schedule=FAR)) as cron:
        update = crons.update
        await refused(update(cron["cron_id"]), errors.BadRequestError, "Request body cannot be empty")
        await refused(update(cron["cron_id"], schedule="bad cron"), wrong, schedule)
        await refused(update(cron["cron_id"], timezone="Mars/X"), wrong, zone)
        await refused(update(cron["cron_id"], webhook="ftp://example.com/x"), wrong, ftp)
        assert await shown(client, cron) == cron
    await refused(crons.search(limit=0), wrong, "")
    await refused(crons.search(sort_by="schedule"), wrong, "")
    await refused(crons.search(select=["bogus"]), wrong, "")
    await refused(crons.count(thread_id="nope"), wrong, "Invalid thread ID: must be a UUID")


@pytest.mark.reference_differs("takes an end that is over, and answers 400 for a schedule that never comes")
async def test_a_cron_that_would_never_fire_is_refused(client: Client) -> None:
    crons, wrong = client.crons, errors.UnprocessableEntityError
    over = datetime(2020, 1, 1, tzinfo=UTC)
    await refused(crons.create("two", schedule=FAR, end_time=over, enabled=False), wrong, "end_time")
    await refused(crons.create("two", schedule="0 0 30 2 *"), wrong, "0 0 30 2 *")
    async with kept(client, crons.create("two", schedule=FAR, enabled=False)) as cron:
        await refused(crons.update(cron["cron_id"], end_time=over), wrong, "end_time")
        await refused(crons.update(cron["cron_id"], schedule="0 0 30 2 *"), wrong, "0 0 30 2 *")
        assert await shown(client, cron) == cron
