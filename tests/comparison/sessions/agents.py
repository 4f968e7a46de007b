"""Assistants as tools (MCP) and as agents for others (A2A)."""

from uuid import uuid5

from masking import ASSISTANT_NAMESPACE
from steps import Json, Session, Step, get, post

NOBODY = "00000000-0000-4000-8000-000000000000"
TAKES = {"accept": "application/json, text/event-stream"}

ABSENT = {"jsonrpc": "2.0", "id": 1, "method": "tasks/get", "params": {"id": "none"}}


def mcp(method: str, params: Json = None, **options: Json) -> Step:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
    return post("/mcp", message, headers=TAKES, **options)


def tool(name: str, arguments: Json) -> Step:
    return mcp("tools/call", {"name": name, "arguments": arguments})


def agent(graph: str) -> str:
    return f"/a2a/{uuid5(ASSISTANT_NAMESPACE, graph)}"


def a2a(graph: str, method: str, params: Json, **options: Json) -> Step:
    message = {"jsonrpc": "2.0", "id": "c", "method": method, "params": params}
    return post(agent(graph), message, headers=TAKES, **options)


def says(text: str, number: int, **where: str) -> Json:
    part = {"kind": "text", "text": text}
    return {"message": {"role": "user", "parts": [part], "messageId": f"message-{number}", **where}}


def gives(**data: Json) -> Json:
    return {"message": {"role": "user", "parts": [{"kind": "data", "data": data}], "messageId": "message-1"}}


SESSIONS = [
    Session(
        "mcp",
        mcp(
            "initialize",
            {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}},
        ),
        post("/mcp", {"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=TAKES),
        mcp("ping"),
        tool("two", {"foo": "x"}),
        tool("fail", {"foo": "x"}),
        tool("absent", {}),
        mcp("absent"),
        post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers={"accept": "text/html"}),
        post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers={"accept": "application/json"}),
        post("/mcp", b"{", headers=TAKES),
        post("/mcp", [{"jsonrpc": "2.0", "id": 1, "method": "ping"}], headers=TAKES),
    ),
    Session(
        "a2a: tasks",
        a2a(
            "echo_messages",
            "message/send",
            says("hi", 1),
            save={"context": "result.contextId", "task": "result.id"},
        ),
        a2a("echo_messages", "message/send", says("again", 2, contextId="{context}")),
        a2a("echo_messages", "tasks/get", {"id": "{task}"}),
        a2a("echo_messages", "tasks/get", {"id": "{task}", "historyLength": 0}),
        a2a("echo_messages", "tasks/cancel", {"id": "{task}"}),
        a2a("echo_messages", "message/send", says("late", 3, contextId="{context}", taskId="{task}")),
        a2a("two", "message/send", gives(foo="x")),
        a2a("fail", "message/send", gives(foo="x")),
        a2a("hitl", "message/send", gives(foo="x")),
        a2a("hitl", "message/stream", gives(foo="x")),
    ),
    Session(
        "a2a: refusals",
        a2a("two", "message/send", says("hi", 1)),
        a2a("two", "message/send", {}),
        a2a("two", "message/send", {"message": {"role": "user", "parts": [], "messageId": "message-1"}}),
        a2a("two", "message/send", {"message": {"role": "user", "parts": [{"kind": "text", "text": "x"}]}}),
        a2a("echo_messages", "message/send", says("hi", 1, contextId="none")),
        a2a("two", "tasks/get", {}),
        a2a("two", "tasks/get", {"id": "none"}),
        a2a("two", "tasks/get", {"id": f"{NOBODY}:{NOBODY}"}),
        a2a("two", "tasks/cancel", {"id": f"{NOBODY}:{NOBODY}"}),
        a2a("two", "absent", {}),
        post(agent("two"), b"{", headers=TAKES),
        post(agent("two"), [], headers=TAKES),
        post(agent("two"), {"id": 1, "method": "tasks/get"}, headers=TAKES),
        post(agent("two"), {"jsonrpc": "2.0", "id": {}, "method": "tasks/get"}, headers=TAKES),
        post(agent("two"), {"jsonrpc": "2.0", "method": "tasks/get"}, headers=TAKES),
        post("/a2a/none", ABSENT, headers=TAKES),
        post(f"/a2a/{NOBODY}", ABSENT, headers=TAKES),
        post("/a2a/none", ABSENT),
    ),
    Session(
        "a2a: cards",
        get(f"{agent('echo_messages')}/.well-known/agent-card.json", shape=True),
        get(f"/.well-known/agent-card.json?assistant_id={NOBODY}"),
        get("/.well-known/agent-card.json?assistant_id=none"),
        get("/.well-known/agent-card.json"),
    ),
]
