"""Crons: made, changed, found, refused, fired.

The reference stops firing any cron while one with an `end_time` is enabled, so those here are not. `FAR` is a date that
shows to the second what a schedule and a time zone come to, whenever the answers are recorded.
"""

from steps import Json, Session, Step, delete, finished, get, patch, post, thread

NOBODY = "00000000-0000-4000-8000-000000000000"
CRONS = "/runs/crons"
SEARCH = "/runs/crons/search"
COUNT = "/runs/crons/count"

FAR = "0 12 1 7 * 0 2070"
TWO = {"assistant_id": "two", "schedule": FAR}

SOON = "* * * * * */10"
"""Often enough to wait for, and too seldom to fire again before the session deletes the cron."""

EVERYTHING: dict[str, Json] = {
    **TWO,
    "timezone": "Europe/Berlin",
    "end_time": "2071-01-01T00:00:00Z",
    "enabled": False,
    "input": {"foo": "c"},
    "metadata": {"cm": 1},
    "config": {"tags": ["t"], "recursion_limit": 9, "configurable": {"k": 1}, "metadata": {"m": 1}},
    "webhook": "http://127.0.0.1:9999/in",
    "interrupt_before": ["a"],
    "interrupt_after": "*",
    "stream_mode": "updates",
    "stream_subgraphs": True,
    "stream_resumable": True,
    "durability": "sync",
}

CHANGES: list[Json] = [
    {"schedule": "0 12 1 8 * 0 2070"},
    {"timezone": "Asia/Tokyo"},
    {"schedule": "0 0 1 1 * 0 2070", "timezone": "UTC"},
    {"end_time": "2071-06-01T00:00:00+00:00"},
    {"end_time": None},
    {"input": {"bar": 1}},
    {"metadata": {"x": {"y": 1}}},
    {"metadata": {"x": {"z": 2}, "cm": None}},
    {"config": {"configurable": {"n": 1}}},
    {"config": {"tags": ["q"]}},
    {"context": {"z": 1}},
    {"webhook": "http://127.0.0.1:9999/new"},
    {"interrupt_before": ["b"]},
    {"interrupt_after": []},
    {"on_run_completed": "delete"},
    {"enabled": True},
    {"stream_mode": ["values", "updates"]},
    {"stream_subgraphs": False},
    {"stream_resumable": False},
    {"durability": "exit"},
    {"multitask_strategy": "enqueue"},
    {"assistant_id": "hitl"},
]
"""Each member of a cron, one after the other."""


def cron(path: str = CRONS, *, save: str = "cron", shape: bool = False, **body: Json) -> Step:
    return post(path, {**TWO, **body}, save={save: "cron_id"}, shape=shape)


def found(**query: Json) -> Step:
    return post(SEARCH, {"metadata": {"suite": "search"}, **query})


def sorted_by(member: str, order: str) -> Step:
    return found(sort_by=member, sort_order=order, select=["schedule", member])


def refused(name: str, *bodies: Json, path: str = CRONS) -> Session:
    return Session(f"crons: refused: {name}", thread(), *(post(path, body) for body in bodies))


SESSIONS = [
    Session(
        "crons: life",
        cron(),
        get("/runs/crons/{cron}"),
        patch("/runs/crons/{cron}", {"enabled": False}),
        get("/runs/crons/{cron}"),
        delete("/runs/crons/{cron}"),
        get("/runs/crons/{cron}"),
        delete("/runs/crons/{cron}"),
        patch("/runs/crons/{cron}", {"enabled": True}),
    ),
    Session(
        "crons: create",
        thread(),
        cron(**EVERYTHING, on_run_completed="keep"),
        get("/runs/crons/{cron}"),
        cron("/threads/{thread}/runs/crons", save="on_thread", **EVERYTHING, multitask_strategy="interrupt"),
        get("/runs/crons/{on_thread}"),
        cron("/threads/{thread}/runs/crons", save="plain"),
        cron(save="context", context={"user": "u"}),
        cron(save="both", context={"user": "u"}, config={"configurable": {"k": 1}}),
        cron(save="reserved", metadata={"cron_id": "x", "run_id": "x", "graph_id": "x", "kept": 1}),
        cron(save="own", config={"configurable": {"cron_id": "mine", "k": 1}}),
        cron(save="list", input=[{"foo": "x"}]),
        cron(save="deprecated", checkpoint_during=False),
        cron(save="zone", timezone="America/New_York"),
        cron(save="utc", timezone="UTC"),
        cron(save="graph", assistant_id="ctx_given"),
    ),
    Session(
        "crons: schedules",
        *(
            cron(save=f"cron_{n}", schedule=schedule)
            for n, schedule in enumerate(
                (
                    "0 0 29 2 * 0 2068",
                    "0 0 L 2 * 0 2070",
                    "0 9 ? jan mon#2 0 2070",
                    "30 22-2 1 jan-mar * 0 2070",
                    "0 0 13 * fri 0 2070",
                    "0 0 * * L5 0 2070",
                    "*/10 0 1 1 7 */15 2070",
                    "  0  0 1 1 * 0 2070 ",
                )
            )
        ),
        *(
            cron(save=f"alias_{n}", schedule=schedule, shape=True)
            for n, schedule in enumerate(
                ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
            )
        ),
    ),
    Session(
        "crons: change",
        cron(**EVERYTHING, on_run_completed="keep"),
        *(patch("/runs/crons/{cron}", body) for body in CHANGES),
        get("/runs/crons/{cron}"),
        thread(),
        cron("/threads/{thread}/runs/crons", save="on_thread"),
        patch("/runs/crons/{on_thread}", {"multitask_strategy": "rollback"}),
        patch("/runs/crons/{on_thread}", {"context": {"u": 2}}),
    ),
    Session(
        "crons: search",
        thread(save="first"),
        thread(save="second"),
        cron(
            "/threads/{first}/runs/crons",
            save="a",
            schedule="0 0 1 3 * 0 2070",
            metadata={"suite": "search", "n": {"x": 1, "y": 2}},
            end_time="2071-02-01T00:00:00Z",
            enabled=False,
        ),
        cron(
            "/threads/{second}/runs/crons",
            save="b",
            assistant_id="hitl",
            schedule="0 0 1 2 * 0 2070",
            metadata={"suite": "search", "flag": True},
        ),
        cron(save="c", assistant_id="ctx", schedule="0 0 1 4 * 0 2070", metadata={"suite": "search"}),
        found(),
        found(limit=1),
        found(limit=2, select=["schedule"]),
        found(limit=2, offset=2, select=["schedule"]),
        found(offset=9),
        found(enabled=True, select=["schedule"]),
        found(enabled=False, select=["schedule"]),
        post(SEARCH, {"thread_id": "{first}", "select": ["schedule"]}),
        found(assistant_id="d2a02ed8-fb92-5e43-81ea-cb78d82caa2f", select=["schedule"]),
        post(SEARCH, {"metadata": {"suite": "search", "n": {"x": 1}}, "select": ["cron_id"]}),
        post(SEARCH, {"metadata": {"suite": "search", "flag": True}, "select": ["cron_id"]}),
        post(SEARCH, {"metadata": {"suite": "none"}}),
        *(
            sorted_by(member, order)
            for member in ("cron_id", "assistant_id", "thread_id", "next_run_date", "created_at", "updated_at")
            for order in ("asc", "desc")
        ),
        sorted_by("end_time", "asc"),
        found(select=["payload", "metadata", "on_run_completed", "timezone", "user_id", "enabled"]),
        found(select=[]),
        found(unknown=1, select=["schedule"]),
        post(COUNT, {"metadata": {"suite": "search"}}),
        post(COUNT, {"metadata": {"suite": "search"}, "thread_id": "{first}"}),
        post(COUNT, {"metadata": {"suite": "search"}, "assistant_id": "d2a02ed8-fb92-5e43-81ea-cb78d82caa2f"}),
        post(COUNT, {"thread_id": NOBODY}),
        post(COUNT, {"metadata": {"suite": "search"}, "enabled": True}),
    ),
    Session(
        "crons: refused: search and count",
        *(
            post(SEARCH, body)
            for body in (
                {"select": ["bogus"]},
                {"limit": 0},
                {"limit": 1001},
                {"offset": -1},
                {"sort_by": "schedule"},
                {"sort_order": "up"},
                {"enabled": "x"},
                {"enabled": None},
                {"metadata": "x"},
                {"thread_id": "nope"},
                {"thread_id": None},
                {"assistant_id": "two"},
                b"",
            )
        ),
        *(post(COUNT, body) for body in ({"metadata": "x"}, {"thread_id": "nope"}, {"assistant_id": "two"}, b"")),
    ),
    refused(
        "bodies",
        {"assistant_id": "two"},
        {"schedule": FAR},
        {},
        b"",
        b"[]",
        b"{",
    ),
    refused(
        "schedules",
        *(
            {**TWO, "schedule": schedule}
            for schedule in (
                "bad cron",
                "",
                "* * * *",
                "61 * * * *",
                "? ? ? ? ?",
                "0 0 * * 5L",
                "@reboot",
                "H * * * *",
                "0 0 30 2 *",
                "0 0 1 1 * 0 2020",
                None,
                5,
            )
        ),
    ),
    refused(
        "time zones",
        *(
            {**TWO, "timezone": zone}
            for zone in ("Mars/X", "Z", "+02:00", "GMT+2", "local", "", "../etc/passwd", None, 5)
        ),
    ),
    refused(
        "times of the end",
        *(
            {**TWO, "enabled": False, "end_time": time}
            for time in ("2020-01-01T00:00:00Z", "nope", "", "2030-13-01T00:00:00Z", None, 5)
        ),
    ),
    refused(
        "members",
        {**TWO, "assistant_id": "nope"},
        {**TWO, "assistant_id": NOBODY},
        {**TWO, "assistant_id": 5},
        {**TWO, "input": "x"},
        {**TWO, "input": [1]},
        {**TWO, "input": None},
        {**TWO, "metadata": []},
        {**TWO, "config": "x"},
        {**TWO, "config": {"tags": "x"}},
        {**TWO, "config": {"recursion_limit": "x"}},
        {**TWO, "config": {"configurable": 1}},
        {**TWO, "context": "x"},
        {**TWO, "interrupt_before": "a"},
        {**TWO, "interrupt_after": [1]},
        {**TWO, "on_run_completed": "explode"},
        {**TWO, "enabled": "yes"},
        {**TWO, "enabled": None},
        {**TWO, "stream_mode": "zzz"},
        {**TWO, "stream_subgraphs": "x"},
        {**TWO, "stream_resumable": 1},
        {**TWO, "durability": "zzz"},
        {**TWO, "webhook": ""},
        {**TWO, "webhook": None},
        {**TWO, "webhook": "ftp://example.com/x"},
        {**TWO, "webhook": "http://169.254.169.254/latest"},
        {**TWO, "assistant_id": "nope", "schedule": "bad", "timezone": "Mars/X"},
        {**TWO, "schedule": "bad", "webhook": "ftp://example.com/x"},
    ),
    refused(
        "members of a cron on a thread",
        {**TWO, "multitask_strategy": "zzz"},
        {**TWO, "assistant_id": "nope"},
        {**TWO, "schedule": "bad"},
        {**TWO, "input": "x"},
        path="/threads/{thread}/runs/crons",
    ),
    Session(
        "crons: refused: threads",
        post(f"/threads/{NOBODY}/runs/crons", TWO),
        post("/threads/nope/runs/crons", TWO),
    ),
    Session(
        "crons: refused: changes",
        cron(**EVERYTHING),
        *(
            patch("/runs/crons/{cron}", body)
            for body in (
                {},
                b"",
                b"[]",
                {"schedule": "bad"},
                {"schedule": None},
                {"timezone": "Mars/X"},
                {"timezone": None},
                {"end_time": "nope"},
                {"end_time": "2020-01-01T00:00:00Z"},
                {"webhook": "ftp://example.com/x"},
                {"webhook": None},
                {"enabled": "x"},
                {"on_run_completed": "explode"},
                {"input": "x"},
                {"input": None},
                {"metadata": None},
                {"config": None},
                {"durability": "zzz"},
            )
        ),
        patch(f"/runs/crons/{NOBODY}", {"schedule": "bad"}),
        patch(f"/runs/crons/{NOBODY}", {}),
        cron(save="never"),
        patch("/runs/crons/{never}", {"schedule": "0 0 30 2 *"}),
        get("/runs/crons/{never}"),
    ),
    Session(
        "crons: refused: ids",
        get("/runs/crons/nope"),
        patch("/runs/crons/nope", {"enabled": False}),
        delete("/runs/crons/nope"),
        get(f"/runs/crons/{NOBODY}"),
        patch(f"/runs/crons/{NOBODY}", {"enabled": False}),
        delete(f"/runs/crons/{NOBODY}"),
        get("/runs/crons"),
        get("/runs/crons/search"),
        delete("/runs/crons"),
    ),
    Session(
        "crons: what they hang on",
        thread(),
        cron("/threads/{thread}/runs/crons", save="on_thread"),
        delete("/threads/{thread}"),
        get("/runs/crons/{on_thread}"),
        post("/assistants", {"graph_id": "two"}, save={"assistant": "assistant_id"}),
        cron(save="of_assistant", assistant_id="{assistant}"),
        delete("/assistants/{assistant}"),
        get("/runs/crons/{of_assistant}"),
        post(SEARCH, {"assistant_id": "{assistant}"}),
    ),
    Session(
        "crons: fired",
        thread(metadata={"tm": 1}),
        cron(
            "/threads/{thread}/runs/crons",
            save="on_thread",
            schedule=SOON,
            input={"foo": "t"},
            metadata={"cm": 1},
            config={"configurable": {"k": 1}, "tags": ["t"], "metadata": {"m": 1}},
            multitask_strategy="reject",
            stream_mode=["updates"],
            durability="sync",
            interrupt_after=["b"],
            shape=True,
        ),
        cron(
            save="keeping",
            assistant_id="ctx",
            schedule=SOON,
            input={"foo": "k"},
            context={"user": "u", "level": 3},
            metadata={"suite": "fired"},
            on_run_completed="keep",
            shape=True,
        ),
        post(
            "/threads/search",
            {"metadata": {"suite": "fired"}, "status": "idle"},
            until=[{"metadata": {"suite": "fired"}, "values": {"seen_context": {"user": "u"}}}],
            save={"kept": "0.thread_id"},
        ),
        get("/threads/{thread}", until={"status": "idle", "values": {"foo": "tab"}}),
        delete("/runs/crons/{on_thread}"),
        delete("/runs/crons/{keeping}"),
        get("/threads/{thread}/runs", save={"run": "0.run_id"}),
        finished(),
        get("/threads/{kept}/runs", save={"kept_run": "0.run_id"}),
        get("/threads/{kept}"),
        get("/threads/{kept}/state"),
        alone=True,
    ),
]
