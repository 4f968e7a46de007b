"""Performs sessions against one server and gives the masked answer of every step.

Sessions run side by side, steps of one session one after the other. A step that needs what an earlier one could not
save is not sent: its answer says which variable was missing.
"""

import re
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from http_client import Answer, Event, send
from masking import Masking
from steps import NO_BODY, Json, Session, Step

SIDE_BY_SIDE = 6
"""Sessions at a time: most of their time is the reference's queue, which looks for work twice a second."""

POLL_DEADLINE_SECONDS = 60
POLL_INTERVAL_SECONDS = 0.05

VARIABLE = re.compile(r"\{(\w+)\}")

Answers = dict[str, Json]


class Missing(Exception):
    """A variable that no earlier step saved."""


def perform(server: str, sessions: Iterable[Session], graphs: Iterable[str]) -> Answers:
    """The masked answer of each step, under the step's name."""
    graphs = list(graphs)
    sessions = list(sessions)
    answers: Answers = {}
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        together = [s for s in sessions if not s.alone]
        for performed in pool.map(lambda s: Driver(server, graphs).session(s), together):
            answers |= performed
    for session in sessions:
        if session.alone:
            answers |= Driver(server, graphs).session(session)
    return {name: answers[name] for session in sessions for name, _ in session.named_steps()}


class Driver:
    """One session under way."""

    def __init__(self, server: str, graphs: Iterable[str]) -> None:
        self.server = server
        self.masking = Masking(graphs)
        self.variables: dict[str, str] = {}
        self.taken: dict[str, tuple[Step, Answer | str]] = {}
        self.names: dict[int, str] = {}

    def session(self, session: Session) -> Answers:
        self.names = {id(step): name for name, step in session.named_steps()}
        for step in session.steps:
            self.step(step)
        # Masked last, when every id has its name: an answer may show an id that a later step saves.
        return {name: self.masked(*self.taken[name]) for name in self.names.values()}

    def masked(self, step: Step, answer: Answer | str) -> Json:
        if isinstance(answer, str):
            return {"unanswered": answer}
        return self.masking.answer(answer, unordered=step.unordered, shape=step.shape)

    def step(self, step: Step) -> None:
        try:
            answer: Answer | str = self.asked(step)
        except Missing as missing:
            answer = f"nothing was saved as {missing}"
        except (OSError, ValueError) as error:
            answer = f"{type(error).__name__}: {error}"
        self.taken[self.names[id(step)]] = (step, answer)
        if isinstance(answer, str):
            for inner in step.during:
                self.taken.setdefault(self.names[id(inner)], (inner, "the stream around it did not open"))
            return
        for name, place in step.save.items():
            if (value := find(answer, place)) is not None:
                self.variables[name] = str(value)
                self.masking.saved(name, value)

    def asked(self, step: Step) -> Answer:
        if step.during:
            return self.streaming(step)
        deadline = time.monotonic() + POLL_DEADLINE_SECONDS
        while True:
            answer = self.sent(step)
            if step.until is None or answer.status >= 400 or matches(answer.body, step.until):
                return answer
            if time.monotonic() > deadline:
                raise TimeoutError(f"the answer never had {step.until}, last it was {answer.body}")
            time.sleep(POLL_INTERVAL_SECONDS)

    def streaming(self, step: Step) -> Answer:
        """Opens the stream, does what is to happen meanwhile, and reads the stream to its end."""
        opened = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(self.sent, step, opened.set)
            reading.add_done_callback(lambda _: opened.set())
            opened.wait()
            for inner in step.during:
                self.step(inner)
            return reading.result()

    def sent(self, step: Step, opened: Callable[[], None] = lambda: None) -> Answer:
        def is_last(event: Event) -> bool:
            return step.stop_at is not None and matches(event, step.stop_at)

        return send(
            self.server,
            step.method,
            self.filled(step.path, quote=True),
            step.body if step.body is NO_BODY else self.filled(step.body),
            {name: self.filled(value) for name, value in step.headers.items()},
            opened=opened,
            is_last=is_last,
        )

    def filled(self, value: Json, *, quote: bool = False) -> Json:
        """`value` with every `{variable}` in its strings replaced."""
        match value:
            case str():
                return VARIABLE.sub(lambda found: self.variable(found[1], quote), value)
            case list():
                return [self.filled(item) for item in value]
            case dict():
                return {self.filled(name): self.filled(item) for name, item in value.items()}
        return value

    def variable(self, name: str, quote: bool) -> str:
        if name not in self.variables:
            raise Missing(name)
        value = self.variables[name]
        return urllib.parse.quote(value, safe="/") if quote else value


def find(answer: Answer, place: str) -> Json:
    """What is at `0.checkpoint.checkpoint_id` of the body, at `events.2.id`, or at `header:location`."""
    if place.startswith("header:"):
        return answer.headers.get(place.removeprefix("header:"))
    found: Json = answer.body if answer.events is None else {"events": answer.events}
    for part in place.split("."):
        match found:
            case dict():
                # `*` is the one member whose name is an id.
                found = next(iter(found.values()), None) if part == "*" else found.get(part)
            case list():
                found = found[int(part)] if part.lstrip("-").isdigit() and int(part) < len(found) else None
            case _:
                return None
    return found


def matches(value: Json, wanted: Json) -> bool:
    """Whether `value` has at least the members of `wanted`; a list has to be as long."""
    if isinstance(wanted, list):
        same_length = isinstance(value, list) and len(value) == len(wanted)
        return same_length and all(map(matches, value, wanted))
    if isinstance(wanted, Mapping):
        return isinstance(value, Mapping) and all(n in value and matches(value[n], w) for n, w in wanted.items())
    return bool(value == wanted)
