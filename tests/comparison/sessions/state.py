"""The state of a thread: as it is, as it was, and changed by hand."""

from steps import Session, get, patch, post, thread

RAN = (
    thread(),
    post("/threads/{thread}/runs/wait", {"assistant_id": "two", "input": {"foo": "x"}}),
)

HISTORY = post(
    "/threads/{thread}/history",
    {"limit": 10},
    save={
        "newest": "0.checkpoint.checkpoint_id",
        "before_b": "1.checkpoint.checkpoint_id",
        "before_a": "2.checkpoint.checkpoint_id",
        "input": "3.checkpoint.checkpoint_id",
    },
)

SESSIONS = [
    Session(
        "state: read",
        *RAN,
        HISTORY,
        get("/threads/{thread}/state"),
        get("/threads/{thread}/state?subgraphs=true"),
        get("/threads/{thread}/state/{before_b}"),
        post(
            "/threads/{thread}/state/checkpoint", {"checkpoint": {"checkpoint_id": "{before_b}", "checkpoint_ns": ""}}
        ),
        post("/threads/{thread}/state/checkpoint", {}),
        get("/threads/{thread}/history"),
        get("/threads/{thread}/history?limit=2"),
        get("/threads/{thread}/history?limit=2&before={newest}"),
        get("/threads/{thread}/history?limit=abc"),
        post("/threads/{thread}/history", {}),
        post("/threads/{thread}/history", {"limit": 2, "before": {"configurable": {"checkpoint_id": "{before_b}"}}}),
        post("/threads/{thread}/history", {"limit": 2, "before": {"checkpoint_id": "{before_b}"}}),
        post("/threads/{thread}/history", {"limit": 10, "metadata": {"source": "input"}}),
        post("/threads/{thread}/history", {"limit": 10, "metadata": {"step": 1}}),
        post("/threads/{thread}/history", {"limit": 0}),
        post("/threads/{thread}/history", {"limit": 1001}),
    ),
    Session(
        "state: update",
        *RAN,
        post("/threads/{thread}/state", {"values": {"foo": "patched"}, "as_node": "a"}),
        get("/threads/{thread}/state"),
        get("/threads/{thread}"),
        post("/threads/{thread}/runs/wait", {"assistant_id": "two"}),
        post("/threads/{thread}/state", {"values": {"foo": "by last", "unknown": 1}}),
        get("/threads/{thread}/state"),
        post("/threads/{thread}/state", {"values": None, "as_node": "a"}),
        get("/threads/{thread}/state"),
        post("/threads/{thread}/state", {"values": None, "as_node": "__end__"}),
        get("/threads/{thread}/state"),
        post("/threads/{thread}/state", {"values": {"foo": "in"}, "as_node": "__input__"}),
        get("/threads/{thread}/state"),
        post("/threads/{thread}/state", {"values": {"foo": "x"}, "as_node": "bogus"}),
        post("/threads/{thread}/state", {"values": "nonsense", "as_node": "a"}),
        post("/threads/{thread}/state", {"values": [{"log": ["l1"]}, {"log": ["l2"]}], "as_node": "a"}),
        get("/threads/{thread}/state"),
    ),
    Session(
        "state: fork by update",
        *RAN,
        HISTORY,
        post(
            "/threads/{thread}/state",
            {
                "values": {"foo": "forked"},
                "as_node": "a",
                "checkpoint": {"checkpoint_id": "{before_b}", "checkpoint_ns": ""},
            },
        ),
        post("/threads/{thread}/state", {"values": {"foo": "short"}, "as_node": "a", "checkpoint_id": "{before_a}"}),
        post("/threads/{thread}/history", {"limit": 10}),
        post("/threads/{thread}/runs/wait", {"assistant_id": "two", "input": None}),
    ),
    Session(
        "state: no graph yet",
        thread(),
        post("/threads/{thread}/state", {"values": {"foo": "x"}}),
        patch("/threads/{thread}", {"metadata": {"graph_id": "two"}}),
        post("/threads/{thread}/state", {"values": {"foo": "x"}, "as_node": "a"}),
        get("/threads/{thread}/state"),
        get("/threads/{thread}"),
    ),
    Session(
        "state: numbers",
        thread(metadata={"graph_id": "two"}),
        post("/threads/{thread}/state", b'{"as_node": "b", "values": {"log": [12345678901234567890123, 1.10]}}'),
        get("/threads/{thread}"),
        get("/threads/{thread}/state"),
        post("/threads/{thread}/history", {"limit": 1}),
    ),
    Session(
        "state: interrupted",
        thread(),
        post("/threads/{thread}/runs/wait", {"assistant_id": "hitl", "input": {"foo": "x"}}),
        get("/threads/{thread}"),
        get("/threads/{thread}/state"),
        post("/threads/{thread}/history", {"limit": 10}),
        post("/threads/{thread}/runs/wait", {"assistant_id": "hitl", "command": {"resume": "yes"}}),
        get("/threads/{thread}"),
        post("/threads/{thread}/history", {"limit": 1}),
    ),
    Session(
        "state: failed",
        thread(),
        post("/threads/{thread}/runs/wait", {"assistant_id": "fail_b", "input": {"foo": "x"}}),
        get("/threads/{thread}"),
        get("/threads/{thread}/state"),
        post("/threads/{thread}/history", {"limit": 10}),
    ),
]
