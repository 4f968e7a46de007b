"""The words in which sessions are written: a session is a name and the requests of one caller, in order.

    Session(
        "threads",
        post("/threads", {"metadata": {"u": 1}}, save={"thread": "thread_id"}),
        get("/threads/{thread}"),
    )

`{thread}` in a path, a header or a string of a body stands for what an earlier step saved under that name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Json = Any

NO_BODY = object()


@dataclass(frozen=True)
class Step:
    method: str
    path: str
    body: Json = NO_BODY
    """Sent as JSON, or as it stands when it is `bytes`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    save: Mapping[str, str] = field(default_factory=dict)
    """Variable → where its value is in the answer: `thread_id`, `0.checkpoint.checkpoint_id`, or `header:location`."""
    until: Json = None
    """Ask again until the answer has these members; only the last answer counts. A list needs as many as it names."""
    stop_at: Mapping[str, Json] | None = None
    """Hang up at the first event of the stream that has these members: `{"event": "values"}`."""
    during: tuple["Step", ...] = ()
    """What the same caller does while this stream is open."""
    unordered: bool = False
    """The order of events, or of the members of a list, is chance."""
    shape: bool = False
    """Only names and types of the answer's members are compared, not their values."""


def get(path: str, **options: Any) -> Step:
    return Step("GET", path, **options)


def post(path: str, body: Json = NO_BODY, **options: Any) -> Step:
    return Step("POST", path, body, **options)


def put(path: str, body: Json = NO_BODY, **options: Any) -> Step:
    return Step("PUT", path, body, **options)


def patch(path: str, body: Json = NO_BODY, **options: Any) -> Step:
    return Step("PATCH", path, body, **options)


def delete(path: str, body: Json = NO_BODY, **options: Any) -> Step:
    return Step("DELETE", path, body, **options)


def request(method: str, path: str, **options: Any) -> Step:
    return Step(method, path, **options)


@dataclass(frozen=True)
class Session:
    name: str
    steps: tuple[Step, ...]
    alone: bool
    """Touches what belongs to others, so it runs when no other session does."""

    def __init__(self, name: str, *steps: Step, alone: bool = False) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "alone", alone)

    def named_steps(self) -> Iterator[tuple[str, Step]]:
        """Each step under a name that stays when others are added: its request, numbered when it is repeated."""
        seen: dict[str, int] = {}
        for step in every(self.steps):
            request = f"{step.method} {step.path}"
            seen[request] = seen.get(request, 0) + 1
            number = f" #{seen[request]}" if seen[request] > 1 else ""
            yield f"{self.name}: {request}{number}", step


def every(steps: tuple[Step, ...]) -> Iterator[Step]:
    """The steps and those inside them, in the order in which they begin."""
    for step in steps:
        yield step
        yield from every(step.during)


def thread(*, save: str = "thread", **body: Json) -> Step:
    """A new thread. Most sessions begin with one."""
    return post("/threads", body, save={save: "thread_id"})


def finished(status: str = "success", *, run: str = "run", thread: str = "thread") -> Step:
    """The run once it has ended so."""
    return get(f"/threads/{{{thread}}}/runs/{{{run}}}", until={"status": status})


def shaped(step: Step) -> Step:
    return replace(step, shape=True)
