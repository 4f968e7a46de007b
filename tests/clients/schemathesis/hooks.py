"""Makes generated cases worth asking: some ids exist, some graphs are served, nothing waits long or calls out.

Schemathesis draws ids that no server knows, so without this nearly every answer would be 404.
"""

import itertools
import json
import os
import urllib.request
from typing import Any

import schemathesis

SERVER = os.environ["SERVER"]

# Every second id stays as it was drawn. `slow` and `limit` are not among the graphs: they take their time by design.
GRAPHS = itertools.cycle(["two", None, "hitl", None, "fail_b", None, "chat", None, "custom", None, "fan", None])

THREADS = 20
LONGEST_WAIT_SECS = 0.05

# Nothing listens there, so no case calls anybody.
NOBODY = "http://127.0.0.1:9/"


def post(path: str, body: Any) -> Any:
    request = urllib.request.Request(f"{SERVER}{path}", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def existing_threads() -> list[dict[str, str]]:
    """Threads with a run each, as path parameters: some idle, some interrupted, some failed."""
    made = []
    for graph in itertools.islice(itertools.cycle(["two", "hitl", "fail_b"]), THREADS):
        thread = post("/threads", {"metadata": {"graph_id": graph}})["thread_id"]
        run = post(f"/threads/{thread}/runs", {"assistant_id": graph, "input": {"foo": "x"}})
        made.append({"thread_id": thread, "run_id": run["run_id"], "assistant_id": run["assistant_id"]})
    return made


EXISTING = itertools.cycle(itertools.chain.from_iterable((ids, {}) for ids in existing_threads()))


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    # What is deleted would be missing for the cases after it.
    if case.method != "DELETE" and case.path_parameters:
        ids = next(EXISTING)
        case.path_parameters.update({name: ids[name] for name in case.path_parameters if name in ids})
    bodies = case.body if isinstance(case.body, list) else [case.body]
    for body in bodies:
        if isinstance(body, dict):
            tame(body)


def tame(body: dict[str, Any]) -> None:
    if "assistant_id" in body and (graph := next(GRAPHS)):
        body["assistant_id"] = graph
    if isinstance(body.get("after_seconds"), int | float):
        body["after_seconds"] = min(body["after_seconds"], LONGEST_WAIT_SECS)
    if str(body.get("webhook", "")).startswith("http"):
        body["webhook"] = NOBODY
