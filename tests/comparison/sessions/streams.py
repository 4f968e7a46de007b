"""Event streams: every mode, from the start, joined, resumed, of a thread."""

from steps import Json, Session, finished, get, post, thread

TWO = {"assistant_id": "two", "input": {"foo": "in"}}


def mode(mode: str, assistant: str = "two", **options: Json) -> Session:
    """One run in this mode, on a thread and without one."""
    asked = {"assistant_id": assistant, "input": {"foo": "in"}, "stream_mode": mode}
    return Session(
        f"streams: {mode} of {assistant}",
        thread(),
        post("/threads/{thread}/runs/stream", asked, **options),
        post("/runs/stream", asked, **options),
    )


SESSIONS = [
    mode("values"),
    mode("updates"),
    mode("tasks"),
    mode("checkpoints"),
    mode("debug"),
    mode("custom"),
    mode("messages"),
    mode("messages-tuple"),
    mode("events", shape=True),
    mode("custom", "custom"),
    mode("values", "fail"),
    mode("values", "fail_b"),
    mode("values", "hitl"),
    mode("updates", "hitl"),
    mode("tasks", "hitl"),
    mode("debug", "hitl"),
    mode("tasks", "fail_b"),
    Session(
        "streams: several modes",
        thread(),
        post("/threads/{thread}/runs/stream", {**TWO, "stream_mode": ["values", "updates"]}),
        post("/threads/{thread}/runs/stream", {**TWO, "stream_mode": ["values", "tasks", "updates", "checkpoints"]}),
        post(
            "/threads/{thread}/runs/stream",
            {"assistant_id": "custom", "input": {"foo": "x"}, "stream_mode": ["values", "custom"]},
        ),
        post("/threads/{thread}/runs/stream", TWO),
    ),
    Session(
        "streams: chat",
        thread(),
        *(
            post(
                "/threads/{thread}/runs/stream",
                {
                    "assistant_id": "chat",
                    "input": {"messages": [{"role": "user", "content": "hi", "id": "human-1"}]},
                    "stream_mode": mode,
                },
            )
            for mode in ("messages", "messages-tuple", "values", "updates")
        ),
    ),
    Session(
        "streams: fan-out",
        thread(),
        post(
            "/threads/{thread}/runs/stream",
            {"assistant_id": "fan", "input": {"items": ["one", "two"]}, "stream_mode": ["values", "tasks", "updates"]},
            unordered=True,
        ),
    ),
    Session(
        "streams: odd text",
        thread(),
        post(
            "/threads/{thread}/runs/stream",
            {"assistant_id": "unicode", "input": {"text": "\u2028 😀"}, "stream_mode": ["values", "updates"]},
        ),
        get("/threads/{thread}/state"),
    ),
    Session(
        "streams: resumable",
        thread(),
        post(
            "/threads/{thread}/runs/stream",
            {**TWO, "stream_mode": ["values", "updates"], "stream_resumable": True},
            save={"run": "events.0.data.run_id"},
        ),
        get("/threads/{thread}/runs/{run}/stream", headers={"last-event-id": "0"}),
        get("/threads/{thread}/runs/{run}/stream", headers={"last-event-id": "-"}),
        get("/threads/{thread}/runs/{run}/stream?stream_mode=values", headers={"last-event-id": "0"}),
        get("/threads/{thread}/runs/{run}/stream?stream_mode=%5B%22updates%22%5D", headers={"last-event-id": "0"}),
        get(
            "/threads/{thread}/runs/{run}/stream?stream_mode=values&stream_mode=updates",
            headers={"last-event-id": "0"},
        ),
        get("/threads/{thread}/runs/{run}/stream"),
        get("/threads/{thread}/runs/{run}/stream", headers={"last-event-id": "nonsense"}),
    ),
    Session(
        "streams: a failure replayed",
        thread(),
        post(
            "/threads/{thread}/runs/stream",
            {"assistant_id": "fail_b", "input": {"foo": "x"}, "stream_resumable": True},
            save={"run": "events.0.data.run_id"},
        ),
        get("/threads/{thread}/runs/{run}/stream", headers={"last-event-id": "0"}),
    ),
    Session(
        "streams: joined in the middle",
        thread(),
        post(
            "/threads/{thread}/runs",
            {"assistant_id": "slow", "input": {"steps": 3, "secs": 0.7}, "stream_resumable": True},
            save={"run": "run_id"},
        ),
        get("/threads/{thread}/runs/{run}/stream", headers={"last-event-id": "0"}),
        finished(),
    ),
    Session(
        "streams: the caller goes away",
        thread(),
        post(
            "/threads/{thread}/runs/stream",
            {"assistant_id": "slow", "input": {"steps": 60, "secs": 0.2}, "on_disconnect": "cancel"},
            stop_at={"event": "values"},
            save={"run": "events.0.data.run_id"},
        ),
        finished("interrupted"),
        get("/threads/{thread}", until={"status": "interrupted"}, shape=True),
        post(
            "/threads/{thread}/runs/stream",
            {"assistant_id": "slow", "input": {"steps": 2, "secs": 0.2}},
            stop_at={"event": "values"},
            save={"second": "events.0.data.run_id"},
        ),
        finished(run="second"),
    ),
    Session(
        "streams: cancelled",
        thread(),
        post(
            "/threads/{thread}/runs",
            {"assistant_id": "slow", "input": {"steps": 60, "secs": 0.2}, "stream_resumable": True},
            save={"run": "run_id"},
        ),
        finished("running"),
        get(
            "/threads/{thread}/runs/{run}/stream?stream_mode=custom",
            during=(post("/threads/{thread}/runs/{run}/cancel"),),
        ),
    ),
    Session(
        "streams: of a thread",
        thread(),
        get(
            "/threads/{thread}/stream",
            during=(post("/threads/{thread}/runs", TWO, save={"run": "run_id"}),),
            stop_at={"event": "metadata", "data": {"status": "run_done"}},
        ),
        get(
            "/threads/{thread}/stream?stream_modes=state_update",
            during=(post("/threads/{thread}/state", {"values": {"foo": "by hand"}, "as_node": "b"}),),
            stop_at={"event": "state_update"},
        ),
        get(
            "/threads/{thread}/stream?stream_modes=lifecycle",
            during=(post("/threads/{thread}/runs/wait", TWO),),
            stop_at={"event": "metadata", "data": {"status": "run_done"}},
        ),
        get("/threads/{thread}/stream?stream_modes=bogus"),
        get("/threads/{thread}/stream", headers={"last-event-id": "nonsense"}),
    ),
    Session(
        "streams: several ask at once",
        thread(),
        post(
            "/threads/{thread}/runs/stream",
            {"assistant_id": "hitl_many", "input": {"foo": "x"}, "stream_mode": ["values", "updates"]},
            unordered=True,
        ),
    ),
]
