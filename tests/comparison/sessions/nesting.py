"""Graphs inside graphs: streams, state, history, answers, changes, drawings."""

from steps import Json, Session, get, post, thread

NESTED: Json = {"assistant_id": "nested", "input": {"foo": "x"}}
ANSWER: Json = {"assistant_id": "nested", "command": {"resume": "Y"}}
# The namespaces and the checkpoint of the innermost graph, which asks.
PLACES = {
    "mid": "tasks.0.state.checkpoint.checkpoint_ns",
    "leaf": "tasks.0.state.tasks.0.state.checkpoint.checkpoint_ns",
    "leaf_id": "tasks.0.state.tasks.0.state.checkpoint.checkpoint_id",
    "before": "checkpoint.checkpoint_id",
}
DEEP = "/threads/{thread}/state?subgraphs=true"


def streamed(mode: str, assistant: str = "nested") -> Session:
    hello = {"messages": [{"role": "user", "content": "hi", "id": "human-1"}]}
    given = hello if assistant == "talking" else {"foo": "x"}
    asked = {"assistant_id": assistant, "input": given, "stream_mode": mode}
    return Session(
        f"nesting: {mode} of {assistant}",
        thread(),
        post("/threads/{thread}/runs/stream", {**asked, "stream_subgraphs": True}),
        thread(save="other"),
        post("/threads/{other}/runs/stream", asked),
    )


SESSIONS = [
    streamed("values"),
    streamed("updates"),
    streamed("tasks"),
    streamed("messages", "talking"),
    streamed("messages-tuple", "talking"),
    streamed("values", "handover"),
    streamed("updates", "handover"),
    streamed("values", "leave"),
    Session(
        "nesting: a deep question",
        thread(),
        post("/threads/{thread}/runs/wait", NESTED),
        get("/threads/{thread}"),
        get("/threads/{thread}/state"),
        get(DEEP, save=PLACES),
        post("/threads/{thread}/state/checkpoint", {"checkpoint": {"checkpoint_ns": "{leaf}"}}),
        post("/threads/{thread}/history", {"checkpoint": {"checkpoint_ns": "{mid}"}}),
        post("/threads/{thread}/history", {"checkpoint": {"checkpoint_ns": "{leaf}"}}),
        post("/threads/{thread}/history", {}),
        post("/threads/{thread}/runs/wait", ANSWER),
        get(DEEP),
    ),
    Session(
        "nesting: a changed state",
        thread(),
        post("/threads/{thread}/runs/wait", NESTED),
        get(DEEP, save=PLACES),
        post(
            "/threads/{thread}/state",
            {
                "values": {"foo": "new "},
                "as_node": "i",
                "checkpoint": {"checkpoint_ns": "{leaf}", "checkpoint_id": "{leaf_id}"},
            },
        ),
        get(DEEP),
        post("/threads/{thread}/runs/wait", ANSWER),
    ),
    Session(
        "nesting: back to an earlier checkpoint",
        thread(),
        post("/threads/{thread}/runs/wait", NESTED),
        get(DEEP, save=PLACES),
        post("/threads/{thread}/runs/wait", ANSWER),
        post("/threads/{thread}/runs/wait", {"assistant_id": "nested", "checkpoint_id": "{before}"}),
        post("/threads/{thread}/runs/wait", ANSWER),
    ),
    Session(
        "nesting: taken up from elsewhere",
        thread(),
        post("/threads/{thread}/runs/wait", NESTED, save={"question": "__interrupt__.0.id"}),
        post("/threads/{thread}/runs/wait", {**NESTED, "config": {"configurable": {"__pregel_resuming": True}}}),
    ),
    Session(
        "nesting: descriptions",
        post("/assistants/search", {"graph_id": "nested"}, save={"assistant": "0.assistant_id"}),
        get("/assistants/{assistant}/graph"),
        get("/assistants/{assistant}/graph?xray=1", unordered=True),
        get("/assistants/{assistant}/graph?xray=true", unordered=True),
        get("/assistants/{assistant}/subgraphs"),
        get("/assistants/{assistant}/subgraphs?recurse=true"),
        get("/assistants/{assistant}/subgraphs/mid"),
    ),
]
