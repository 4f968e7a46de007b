"""Bad input: each gives its status and a text that says what is wrong, never a 500."""

from steps import Json, Session, get, patch, post, thread

NOBODY = "00000000-0000-4000-8000-000000000000"
TWO = {"assistant_id": "two", "input": {"foo": "x"}}


def refused(name: str, *bodies: Json, path: str = "/threads/{thread}/runs") -> Session:
    return Session(f"errors: {name}", thread(), *(post(path, body) for body in bodies))


SESSIONS = [
    Session(
        "errors: bodies that are no JSON",
        post("/threads", b"{"),
        post("/threads", b""),
        post("/threads", b"[]"),
        post("/threads", b"null"),
        post("/runs", b""),
        post("/runs/wait", b"not json"),
        post("/runs/stream", b"\xff\xfe"),
        post("/assistants", b"[1"),
        post("/threads/search", b""),
        post("/runs/cancel", b""),
    ),
    Session(
        "errors: ids",
        thread(),
        get("/threads/nope"),
        get(f"/threads/{NOBODY}"),
        get("/threads/nope/state"),
        get(f"/threads/{NOBODY}/state"),
        get("/threads/nope/history"),
        get(f"/threads/{NOBODY}/history"),
        get("/threads/{thread}/state/nope"),
        get(f"/threads/{{thread}}/state/{NOBODY}"),
        get("/assistants/nope"),
        get(f"/assistants/{NOBODY}"),
        patch("/threads/nope", {"metadata": {}}),
        patch(f"/assistants/{NOBODY}", {"name": "x"}),
        post("/threads/nope/runs", TWO),
        post(f"/threads/{NOBODY}/runs", TWO),
        post(f"/threads/{NOBODY}/runs/stream", TWO),
        post("/runs", {"assistant_id": NOBODY}),
        post("/runs/wait", {"assistant_id": NOBODY}),
    ),
    refused(
        "the assistant of a run",
        {},
        {"assistant_id": "nope"},
        {"assistant_id": NOBODY},
        {"assistant_id": 1},
        {"assistant_id": None},
    ),
    refused(
        "options of a run",
        {**TWO, "stream_mode": "zzz"},
        {**TWO, "stream_mode": ["values", "tools"]},
        {**TWO, "stream_mode": 1},
        {**TWO, "multitask_strategy": "zzz"},
        {**TWO, "durability": "zzz"},
        {**TWO, "on_disconnect": "zzz"},
        {**TWO, "after_seconds": -1},
        {**TWO, "after_seconds": "x"},
        {**TWO, "metadata": []},
        {**TWO, "config": []},
        {**TWO, "config": {"recursion_limit": "x"}},
        {**TWO, "config": {"tags": "x"}},
        {**TWO, "config": {"recursion_limit": 0}},
        {**TWO, "context": 1},
        {**TWO, "interrupt_before": 1},
        {**TWO, "feedback_keys": "x"},
        {**TWO, "checkpoint": "x"},
        {**TWO, "checkpoint_id": 1},
        {**TWO, "checkpoint_during": "x"},
        {**TWO, "stream_subgraphs": "x"},
        {**TWO, "stream_resumable": 1},
        {**TWO, "if_not_exists": "x"},
        {**TWO, "command": {"update": 3}},
    ),
    refused(
        "options of a stateless run", {**TWO, "on_completion": "zzz"}, {**TWO, "command": {"resume": 1}}, path="/runs"
    ),
    refused(
        "webhooks",
        {**TWO, "webhook": ""},
        {**TWO, "webhook": None},
        {**TWO, "webhook": 1},
        {**TWO, "webhook": "/relative"},
        {**TWO, "webhook": "ftp://example.com/x"},
        {**TWO, "webhook": "http://169.254.169.254/latest"},
        {**TWO, "webhook": "http://localhost:9/x"},
        {**TWO, "webhook": "http://example.com/" + "x" * 5000},
    ),
]
