"""Makes generated cases worth asking: some ids exist, some graphs are served, nothing waits long or calls out.

Schemathesis draws ids that no server knows, so without this nearly every answer would be 404. What came back is
counted by operation and status, for `cases.py` to judge.
"""

import atexit
import itertools
import json
import os
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import schemathesis

SERVER = os.environ["SERVER"]

# It keeps no deliveries.
REFERENCE = bool(os.environ.get("REFERENCE"))

# `slow` and `limit` are not among them: they take their time by design.
GRAPHS = itertools.cycle(["two", "hitl", "fail_b", "chat", "custom", "fan"])

THREADS = 20
LONGEST_WAIT_SECS = 0.05
LONGER_THAN_ANY_CASE_SECS = 3600
SHORTEST_LIFE_MINUTES = 1000.0

# The store is not among them: nothing here counts on what it holds. `tests/truncate.rs` empties the others.
KEPT_TABLES = ("runs", "threads", "assistants", "checkpoint", "checkpoints", "crons")

# What crons are made with: nothing of theirs is due while cases run.
FAR = "0 12 1 7 * 0 2070"
END_OF_FAR = "2080-01-01T00:00:00Z"
ZONE = "Europe/Berlin"

# Nothing listens there, so no case calls anybody; it is no port that browsers, and the server, refuse.
NOBODY = "http://127.0.0.1:65535/"

Ids = dict[str, str]


def ask(path: str, body: Any = None) -> Any:
    request = urllib.request.Request(f"{SERVER}{path}", None if body is None else json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


class Existing:
    """An assistant, a thread, a run of it that is over with its newest checkpoint and its delivery, and a cron."""

    def __init__(self, graph: str) -> None:
        self.graph = graph
        self.ids = self.made()

    def made(self, **options: Any) -> Ids:
        """With options, the run is another one, which may still be under way."""
        assistant = ask("/assistants", {"graph_id": self.graph})["assistant_id"]
        thread = ask("/threads", {"metadata": {"graph_id": self.graph}})["thread_id"]
        body = {"assistant_id": assistant, "input": {"foo": "x"}, "webhook": NOBODY}
        run = ask(f"/threads/{thread}/runs", body)["run_id"]
        ask(f"/threads/{thread}/runs/{run}/join")
        checkpoint = ask(f"/threads/{thread}/state")["checkpoint"]["checkpoint_id"]
        ids = {"assistant_id": assistant, "thread_id": thread, "checkpoint_id": checkpoint}
        if not REFERENCE:
            ids["delivery_id"] = ask(f"/webhooks/deliveries?run_id={run}")[0]["delivery_id"]
        if options:
            run = ask(f"/threads/{thread}/runs", body | options)["run_id"]
        cron = ask("/runs/crons", {"assistant_id": assistant, "schedule": FAR})["cron_id"]
        return ids | {"run_id": run, "cron_id": cron}

    def for_case(self, case: schemathesis.Case[Any]) -> Ids:
        # What is deleted or cancelled is nobody else's.
        if case.method == "DELETE" and case.path_parameters:
            return self.made()
        if case.operation.path.endswith("/cancel"):
            return self.made(after_seconds=LONGER_THAN_ANY_CASE_SECS)
        return self.current()

    def current(self) -> Ids:
        """They are made anew once a case has taken one of them away."""
        paths = (
            "/assistants/{assistant_id}",
            "/threads/{thread_id}/runs/{run_id}",
            "/threads/{thread_id}/state/{checkpoint_id}",
            "/runs/crons/{cron_id}",
        )
        try:
            for path in paths:
                ask(path.format_map(self.ids))
        except urllib.error.HTTPError:
            self.ids = self.made()
        return self.ids


# Some threads are idle, some interrupted, some failed.
OUTCOMES = ["two", "hitl", "fail_b"]
# A node that each of them has.
NODE = "a"
EXISTING = itertools.cycle([Existing(graph) for graph in itertools.islice(itertools.cycle(OUTCOMES), THREADS)])

# Drawn ids may be those of earlier answers, and runs of a graph need its default assistant.
DEFAULTS = {
    assistant["assistant_id"]
    for assistant in ask("/assistants/search", {"metadata": {"created_by": "system"}, "limit": 1000})
}
NOBODYS = "00000000-0000-4000-8000-000000000000"

# What these make may have an id from their body.
NEW = {"POST /assistants": "assistant_id", "POST /threads": "thread_id"}

# What these filter by is ids, where others take a graph's name as well.
BY_ID = {"POST /runs/crons/search", "POST /runs/crons/count"}

# Where the query names an assistant.
BY_QUERY = {"GET /.well-known/agent-card.json"}

# Messages of protocols, of which a drawn object is hardly ever one.
MESSAGES: dict[str, list[dict[str, Any]]] = {
    "POST /mcp": [
        {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "two"}},
    ],
    "POST /a2a/{assistant_id}": [
        {"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {}},
        {
            "jsonrpc": "2.0",
            "id": 2,
            "method": "SendMessage",
            "params": {"message": {"role": "ROLE_USER", "messageId": "m", "parts": [{"data": {"foo": "x"}}]}},
        },
    ],
}
NEXT_MESSAGE = {operation: itertools.cycle(messages) for operation, messages in MESSAGES.items()}

# By operation, so that each gets both what is there and what is not, however few of its cases there are.
TURNS: defaultdict[str, Iterator[bool]] = defaultdict(lambda: itertools.cycle([True, False]))
ANSWERS: defaultdict[str, Counter[int]] = defaultdict(Counter)


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    ids = next(EXISTING).for_case(case) if next(TURNS[case.operation.label]) else {}
    if case.path_parameters:
        case.path_parameters.update({name: ids[name] for name in case.path_parameters if name in ids})
        if case.method in {"DELETE", "PATCH"} and case.path_parameters.get("assistant_id") in DEFAULTS:
            case.path_parameters["assistant_id"] = NOBODYS
    if ids and case.operation.label in BY_QUERY:
        case.query = {"assistant_id": ids["assistant_id"]}
    bodies = case.body if isinstance(case.body, list) else [case.body]
    for body in bodies:
        if isinstance(body, dict):
            tame(body)
            if ids:
                point(body, ids, case.operation.label)
    if ids and isinstance(case.body, dict | list):
        case.body = storable(case.body)


@schemathesis.hook
def after_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], response: Any) -> None:
    # Some cases try what the path has no operation for.
    if case.method.upper() == case.operation.method.upper():
        ANSWERS[case.operation.label][response.status_code] += 1


@atexit.register
def tell() -> None:
    Path(os.environ["ANSWERS"]).write_text(json.dumps(ANSWERS))


def tame(body: dict[str, Any]) -> None:
    """Nothing waits long, calls out, or takes away what other cases need."""
    if isinstance(body.get("after_seconds"), int | float):
        body["after_seconds"] = min(body["after_seconds"], LONGEST_WAIT_SECS)
    if str(body.get("webhook", "")).startswith("http"):
        body["webhook"] = NOBODY
    for table in KEPT_TABLES:
        if body.get(table) is True:
            body[table] = False
    lives = body.get("ttl")
    if isinstance(lives, dict) and "ttl" in lives:
        lives["ttl"] = lengthened(lives["ttl"])
    elif lives:
        body["ttl"] = lengthened(lives)


def lengthened(ttl: Any) -> Any:
    """What is no time, or none that can be, stays as it was drawn."""
    is_time = isinstance(ttl, int | float) and not isinstance(ttl, bool) and ttl > 0
    return max(ttl, SHORTEST_LIFE_MINUTES) if is_time else ttl


def point(body: dict[str, Any], ids: Ids, operation: str) -> None:
    """Lets a body speak of what exists where it names anything of the kind, but for the id of what it is to make."""
    if operation in MESSAGES:
        drawn = dict(body)
        body |= next(NEXT_MESSAGE[operation])
        body["params"] = drawn | body.get("params", {})
    if operation in NEW:
        body.pop(NEW[operation], None)
    for member in ("assistant_id", "graph_id"):
        if member in body:
            body[member] = ids["assistant_id"] if operation in BY_ID else next(GRAPHS)
    for member, valid in (("schedule", FAR), ("timezone", ZONE), ("end_time", END_OF_FAR)):
        if isinstance(body.get(member), str):
            body[member] = valid
    if isinstance(body.get("checkpoint"), dict):
        body["checkpoint"] = {name: ids[name] for name in ("thread_id", "checkpoint_id")}
    if isinstance(body.get("checkpoint_id"), str):
        body["checkpoint_id"] = ids["checkpoint_id"]
    if isinstance(body.get("as_node"), str):
        body["as_node"] = NODE
    if isinstance(body.get("thread_ids"), list):
        body["thread_ids"] = [ids["thread_id"]]
    if isinstance(body.get("run_ids"), list):
        body |= {"thread_id": ids["thread_id"], "run_ids": [ids["run_id"]]}
    if isinstance(body.get("version"), int):
        body["version"] = 1


def storable(value: Any) -> Any:
    """Without U+0000 in the names of members, which many drawn ones have, and for which a body is refused."""
    if isinstance(value, dict):
        return {name.replace("\0", ""): storable(member) for name, member in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    return value
