"""What differs between two runs of the *same* server is taken out of an answer here, so that the rest can be compared
to the letter: ids, times, and members that the documentation calls varying.

A value that a session saved keeps its name (`<thread v7>`: an id that is a version 7 UUID), so an answer that carries
the wrong run's id is a difference. Other ids become `<uuid>`.
"""

import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from http_client import Answer, Event
from steps import Json

ASSISTANT_NAMESPACE = uuid.UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")

COMPARED_HEADERS = re.compile(
    "content-type|location|content-location|x-pagination-.*|allow|cache-control|x-accel-buffering|access-control-.*"
)
"""The others say which program answers, and when."""

LISTING_HEADERS = ("allow", "access-control-allow-methods", "access-control-expose-headers")
"""Headers that are a set written as a list."""

DROPPED = {
    "langgraph_version": "the version of Python's library",
    "langgraph_api_version": "the version of the reference",
    "langgraph_plan": "the licence the reference runs under",
    "langgraph_host": "where the reference is hosted",
    "langgraph_api_url": "the address of the reference",
    "__pregel_node_finished": "an internal of the reference's in-memory runtime",
    "__request_start_time_ms__": "the clock",
}
"""Members that no client reads, and why each says nothing about compatibility."""

DROPPED_OF_KWARGS = {
    "run_attempt": "the reference adds it to a run's `kwargs` at some moment after the run's beginning",
}
"""The same within `kwargs` only."""

TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")
UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
HASH = re.compile(r"\b[0-9a-f]{32}\b")
EVENT_ID = re.compile(r"\b\d{13}-\d+\b")

SCHEMA_FAILURE = "Failed validating"
"""How the reference's validator ends its texts: they show its own schema, so only that there is a text can count."""

ANY_TEXT = "<any text>"

ROWS = re.compile(r"\[\{'run_id': .*\}\]", re.DOTALL)
"""What the reference prints of its runs when a thread is busy: times and addresses in Python's notation."""

FORMS = ((ROWS, "<rows>"), (TIME, "<time>"), (UUID, "<uuid>"), (HASH, "<hash>"), (EVENT_ID, "<event id>"))
"""What is left of a text that no session saved."""


class Masking:
    """Turns the answers of one session into what is compared."""

    def __init__(self, graphs: Iterable[str]) -> None:
        self.names = {str(uuid.uuid5(ASSISTANT_NAMESPACE, graph)): f"<assistant {graph}>" for graph in graphs}

    def saved(self, name: str, value: Json) -> None:
        """From now on `value` is called `name` wherever it appears."""
        if not isinstance(value, str) or len(value) < 8:
            return
        version = f" v{uuid.UUID(value).version}" if UUID.fullmatch(value) else ""
        self.names.setdefault(value, f"<{name}{version}>")

    def answer(self, answer: Answer, *, unordered: bool, shape: bool) -> dict[str, Json]:
        headers = {name: self.header(name, value) for name, value in answer.headers.items()}
        masked: dict[str, Json] = {
            "status": answer.status,
            "headers": {name: value for name, value in sorted(headers.items()) if COMPARED_HEADERS.fullmatch(name)},
        }
        if answer.events is not None:
            masked["events"] = [self.event(event) for event in answer.events]
        else:
            masked["body"] = self.value(answer.body)
        for part in ("events", "body"):
            if part in masked and shape:
                masked[part] = outline(masked[part])
            if isinstance(masked.get(part), list) and unordered:
                masked[part].sort(key=repr)
        return masked

    def header(self, name: str, value: str) -> str:
        if name in LISTING_HEADERS:
            value = ", ".join(sorted(part.strip() for part in value.split(",")))
        return self.text(value)

    def event(self, event: Event) -> Event:
        return {name: self.value(value) for name, value in event.items()}

    def value(self, value: Json, dropped: dict[str, str] = DROPPED) -> Json:
        match value:
            case str():
                return self.text(value)
            case list():
                return [self.value(item, dropped) for item in value]
            case dict():
                return self.members(value, dropped)
        return value

    def members(self, value: Mapping[str, Json], dropped: dict[str, str]) -> dict[str, Json]:
        masked = {
            self.text(name): self.value(item, dropped | DROPPED_OF_KWARGS if name == "kwargs" else dropped)
            for name, item in value.items()
            if name not in dropped
        }
        if set(masked) == {"detail"} and SCHEMA_FAILURE in str(masked["detail"]):
            return {"detail": ANY_TEXT}
        return masked

    def text(self, text: str) -> str:
        for value, name in self.names.items():
            text = text.replace(value, name)
        for pattern, name in FORMS:
            text = pattern.sub(name, text)
        return text


def outline(value: Any) -> Json:
    """Names and types only."""
    match value:
        case dict():
            return {name: outline(item) for name, item in value.items()}
        case list():
            return [outline(item) for item in value]
        case None:
            return None
    return f"<{type(value).__name__}>"
