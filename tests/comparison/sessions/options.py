"""What a run may be asked for when it is created."""

from steps import Json, Session, Step, finished, get, post, thread

NEW = "0d7b6a3e-43a3-4a5a-9e4d-3d9f6f5e2001"
TWO = {"assistant_id": "two", "input": {"foo": "x"}}
SLOW = {"assistant_id": "slow", "input": {"steps": 40, "secs": 0.25}}

HITL = (
    thread(),
    post("/threads/{thread}/runs/wait", {"assistant_id": "hitl", "input": {"foo": "x"}}),
)


def with_two(name: str, **options: Json) -> Session:
    """One run of `two` with these options, and what it leaves behind."""
    return Session(
        f"options: {name}",
        thread(),
        post("/threads/{thread}/runs", {**TWO, **options}, save={"run": "run_id"}),
        finished(),
        get("/threads/{thread}"),
        post("/threads/{thread}/history", {"limit": 10}),
    )


def multitask(strategy: str, *rest: Step) -> Session:
    return Session(
        f"options: multitask {strategy}",
        thread(),
        post("/threads/{thread}/runs", SLOW, save={"first": "run_id"}),
        finished("running", run="first"),
        get("/threads/{thread}/state", until={"next": ["step"]}, shape=True),
        post(
            "/threads/{thread}/runs",
            {"assistant_id": "slow", "input": {"steps": 1, "secs": 0.01}, "multitask_strategy": strategy},
            save={"second": "run_id"},
        ),
        *rest,
    )


SESSIONS = [
    with_two("durability sync", durability="sync"),
    with_two("durability exit", durability="exit"),
    with_two("checkpoint_during false", checkpoint_during=False),
    with_two(
        "resumable, with subgraphs", stream_mode=["values", "updates"], stream_subgraphs=True, stream_resumable=True
    ),
    Session(
        "options: feedback keys",
        thread(),
        post("/threads/{thread}/runs/wait", {**TWO, "feedback_keys": ["k"]}),
        get("/threads/{thread}"),
    ),
    Session(
        "options: context",
        thread(),
        post(
            "/threads/{thread}/runs/wait",
            {"assistant_id": "ctx", "context": {"user": "Ann", "level": 2, "extra": 1}, "input": {"foo": "x"}},
        ),
        post("/threads/{thread}/runs", {**TWO, "config": {"configurable": {"k": 1}}}, save={"run": "run_id"}),
        finished(),
        post("/threads/{thread}/runs", {**TWO, "config": {"configurable": {"k": 1}}, "context": {"k": 1}}),
        post("/runs/wait", {**TWO, "config": {"configurable": {"k": 1}}, "context": {"k": 1}}),
    ),
    Session(
        "options: an assistant's config",
        post(
            "/assistants",
            {"graph_id": "two", "metadata": {"am": 1}, "config": {"tags": ["at"], "configurable": {"k": "a", "l": 1}}},
            save={"assistant": "assistant_id"},
        ),
        thread(metadata={"tm": 1}),
        post(
            "/threads/{thread}/runs",
            {
                "assistant_id": "{assistant}",
                "input": {"foo": "x"},
                "config": {"tags": ["rt"], "configurable": {"k": "r"}},
                "metadata": {"rm": 1},
            },
            save={"run": "run_id"},
        ),
        finished(),
        get("/threads/{thread}"),
    ),
    Session(
        "options: a thread that is not there",
        post(f"/threads/{NEW}/runs/wait", TWO),
        post(f"/threads/{NEW}/runs", {**TWO, "if_not_exists": "create", "metadata": {"m": 1}}, save={"run": "run_id"}),
        get(f"/threads/{NEW}/runs/{{run}}", until={"status": "success"}),
        get(f"/threads/{NEW}"),
        post(f"/threads/{NEW}/runs/wait", {**TWO, "if_not_exists": "bogus"}),
    ),
    Session(
        "options: after_seconds",
        thread(),
        post("/threads/{thread}/runs", {**TWO, "after_seconds": 1}, save={"run": "run_id"}),
        get("/threads/{thread}/runs/{run}/join"),
        finished(),
    ),
    Session(
        "options: recursion limit",
        thread(),
        post(
            "/threads/{thread}/runs/wait",
            {"assistant_id": "limit", "input": {"count": 0}, "config": {"recursion_limit": 3}},
        ),
        get("/threads/{thread}"),
        post("/threads/{thread}/runs/wait", {**TWO, "config": {"recursion_limit": 1}}),
    ),
    Session(
        "options: breakpoints",
        thread(),
        post("/threads/{thread}/runs/wait", {**TWO, "interrupt_before": ["b"]}),
        get("/threads/{thread}"),
        get("/threads/{thread}/state"),
        post("/threads/{thread}/runs/wait", {"assistant_id": "two", "input": None}),
        post("/threads/{thread}/runs/wait", {**TWO, "interrupt_after": "*"}),
        get("/threads/{thread}/state"),
        post(
            "/threads/{thread}/runs/stream",
            {"assistant_id": "two", "input": None, "stream_mode": ["updates", "values"]},
        ),
        post("/threads/{thread}/runs/wait", {**TWO, "interrupt_before": ["nobody"]}),
    ),
    Session(
        "options: resume by value",
        *HITL,
        post(
            "/threads/{thread}/runs/stream",
            {"assistant_id": "hitl", "command": {"resume": "yes"}, "stream_mode": ["values", "updates"]},
        ),
        get("/threads/{thread}"),
        post("/threads/{thread}/runs/wait", {"assistant_id": "hitl", "command": {"resume": "nothing asked"}}),
    ),
    Session(
        "options: resume by id",
        *HITL,
        get("/threads/{thread}/state", save={"interrupt": "tasks.0.interrupts.0.id"}),
        post("/threads/{thread}/runs/wait", {"assistant_id": "hitl", "command": {"resume": {"{interrupt}": "mapped"}}}),
    ),
    Session(
        "options: resume with an update",
        *HITL,
        post(
            "/threads/{thread}/runs/wait",
            {"assistant_id": "hitl", "command": {"resume": "yes", "update": {"log": ["by hand"]}}},
        ),
    ),
    Session(
        "options: several ask at once",
        thread(),
        post("/threads/{thread}/runs/wait", {"assistant_id": "hitl_many", "input": {"foo": "x"}}, unordered=True),
        get("/threads/{thread}/state", save={"first": "tasks.0.interrupts.0.id", "second": "tasks.1.interrupts.0.id"}),
        get("/threads/{thread}"),
        post("/threads/{thread}/runs/wait", {"assistant_id": "hitl_many", "command": {"resume": "one for both"}}),
        post("/threads/{thread}/runs/wait", {"assistant_id": "hitl_many", "command": {"resume": {"{first}": "1"}}}),
        get("/threads/{thread}/state"),
        post("/threads/{thread}/runs/wait", {"assistant_id": "hitl_many", "command": {"resume": {"{second}": "2"}}}),
    ),
    Session(
        "options: asked again and again",
        thread(),
        post("/threads/{thread}/runs/wait", {"assistant_id": "hitl_loop", "input": {"answers": []}}),
        post("/threads/{thread}/runs/wait", {"assistant_id": "hitl_loop", "command": {"resume": "more"}}),
        post("/threads/{thread}/runs/wait", {"assistant_id": "hitl_loop", "command": {"resume": "done"}}),
        get("/threads/{thread}/state"),
    ),
    Session(
        "options: command update and goto",
        thread(),
        post("/threads/{thread}/runs/wait", TWO),
        post("/threads/{thread}/runs/wait", {"assistant_id": "two", "command": {"update": {"foo": "L"}}}),
        post("/threads/{thread}/runs/wait", {"assistant_id": "two", "command": {"update": [["foo", "P"]]}}),
        post("/threads/{thread}/runs/wait", {"assistant_id": "two", "command": {"goto": "b"}}),
        post(
            "/threads/{thread}/runs/wait",
            {
                "assistant_id": "two",
                "command": {"update": {"foo": "L"}, "goto": [{"node": "b", "input": {"foo": "S"}}]},
            },
        ),
        post("/threads/{thread}/runs/wait", {"assistant_id": "two", "command": {"goto": "nowhere"}}),
        post("/threads/{thread}/runs/wait", {"assistant_id": "two", "command": {"goto": "__end__"}}),
        post("/threads/{thread}/runs/wait", {"assistant_id": "two", "command": {}}),
        post("/threads/{thread}/runs", {"assistant_id": "two", "command": {"goto": 3}}),
        post("/threads/{thread}/runs", {"assistant_id": "two", "command": "resume"}),
    ),
    Session(
        "options: command on an empty thread",
        thread(),
        post("/threads/{thread}/runs/wait", {"assistant_id": "two", "command": {"goto": "b"}}),
        thread(save="other"),
        post("/threads/{other}/runs/wait", {"assistant_id": "two", "input": None}),
        get("/threads/{other}"),
        post("/runs/wait", {"assistant_id": "two", "command": {"resume": 1}}),
    ),
    Session(
        "options: time travel",
        thread(),
        post("/threads/{thread}/runs/wait", TWO),
        post("/threads/{thread}/history", {"limit": 10}, save={"before_b": "1.checkpoint.checkpoint_id"}),
        post("/threads/{thread}/runs/wait", {"assistant_id": "two", "input": None, "checkpoint_id": "{before_b}"}),
        post("/threads/{thread}/history", {"limit": 10}),
        post(
            "/threads/{thread}/runs/wait",
            {"assistant_id": "two", "input": {"foo": "new"}, "checkpoint": {"checkpoint_id": "{before_b}"}},
        ),
        get("/threads/{thread}/state"),
        post("/threads/{thread}/runs/wait", {"assistant_id": "two", "input": None, "checkpoint_id": "nope"}),
    ),
    multitask("reject", post("/threads/{thread}/runs/{first}/cancel?wait=1")),
    multitask(
        "enqueue",
        get("/threads/{thread}/runs/{second}"),
        post("/threads/{thread}/runs/{first}/cancel?wait=1"),
        finished(run="second"),
        get("/threads/{thread}/runs?select=status"),
    ),
    multitask(
        "interrupt",
        finished(run="second"),
        finished("interrupted", run="first"),
        get("/threads/{thread}", until={"status": "idle"}, shape=True),
    ),
    multitask(
        "rollback",
        finished(run="second"),
        get("/threads/{thread}/runs?select=status"),
        get("/threads/{thread}/state"),
        get("/threads/{thread}/runs/{first}"),
    ),
    Session(
        "options: failed, then again",
        thread(),
        post("/threads/{thread}/runs/wait", {"assistant_id": "fail_b", "input": {"foo": "x"}}),
        post("/threads/{thread}/runs/wait", {"assistant_id": "fail_b", "input": None}),
        get("/threads/{thread}/state"),
    ),
]
