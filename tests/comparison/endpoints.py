"""Which endpoints the reference has, and which of them the sessions ask: one that nobody asks fails the comparison."""

import re
from collections.abc import Iterable

from http_client import send
from steps import Session, every

NOT_HERE = {
    "/mcp/": "asked as `/mcp`, where it leads",
    "/commands": "the event protocol has recordings of its own: host/protocol/tests/recorded",
    "/stream/events": "as `/commands`",
    "/docs": "a page for people",
    "/ui/": "generative UI is not served",
    "/metrics": "names the program's own measurements",
}
"""Parts of paths that are not asked, and why."""


def endpoints_of(server: str) -> list[str]:
    """`METHOD /path/{parameter}` of everything in the server's OpenAPI document."""
    paths = send(server, "GET", "/openapi.json").body["paths"]
    found = [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]
    return sorted(e for e in found if not any(part in e for part in NOT_HERE))


def covered(endpoints: Iterable[str], sessions: Iterable[Session]) -> set[str]:
    """A parameter stands for one segment; of two endpoints that fit, the one with fewer parameters is asked."""
    known = sorted(endpoints, key=lambda e: e.count("{"))
    asked = set()
    for session in sessions:
        for step in every(session.steps):
            request = f"{step.method} {step.path.split('?')[0]}"
            asked |= set([e for e in known if pattern(e).fullmatch(request)][:1])
    return asked


def pattern(endpoint: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(endpoint)))


def uncovered(endpoints: Iterable[str], sessions: Iterable[Session]) -> list[str]:
    return sorted(set(endpoints) - covered(endpoints, sessions))
