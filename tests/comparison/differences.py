"""Where two masked answers differ, and which of those differences are allowed.

A difference has a place: `status`, `headers.location`, `body.tasks[0].error`, `events[3].data`. An allowance names
steps and places by patterns in which `*` stands for anything; the file of allowances says what each is for. One that
allows nothing any more is reported, so that the list can only hold what is true.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from masking import ANY_TEXT
from steps import Json

ABSENT = "(absent)"

KINDS = ("bug", "improvement", "own")
"""A mark of the reference's defect; something done better on purpose; what names the program itself."""


@dataclass(frozen=True)
class Difference:
    step: str
    place: str
    reference: str
    selvedge: str


@dataclass
class Allowance:
    steps: list[str]
    places: list[str]
    kind: str
    reference: str
    selvedge: str
    reason: str
    used: int = field(default=0)

    def covers(self, difference: Difference) -> bool:
        return any(fits(p, difference.step) for p in self.steps) and any(fits(p, difference.place) for p in self.places)


def fits(pattern: str, text: str) -> bool:
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), text) is not None


def read_allowances(path: Path) -> list[Allowance]:
    allowances = [Allowance(**entry) for entry in tomllib.loads(path.read_text())["difference"]]
    for allowance in allowances:
        if allowance.kind not in KINDS:
            raise ValueError(f"{path}: {allowance.kind!r} is no kind of difference; there are {', '.join(KINDS)}")
    return allowances


def compare(step: str, reference: Json, selvedge: Json) -> Iterator[Difference]:
    """Every place in which the answers to one step differ. Answers of different statuses differ in that alone."""
    if reference.get("status") != selvedge.get("status"):
        yield Difference(step, "status", summary(reference), summary(selvedge))
        return
    for place, theirs, ours in walk("", reference, selvedge):
        yield Difference(step, place, shown(theirs), shown(ours))


def summary(answer: Json) -> str:
    if "unanswered" in answer:
        return str(answer["unanswered"])
    content = answer.get("events", answer.get("body"))
    return f"{answer['status']} {'' if content is None else shown(content)}".rstrip()


def walk(place: str, reference: Json, selvedge: Json) -> Iterator[tuple[str, Json, Json]]:
    match reference, selvedge:
        case dict(), dict():
            for name in [*reference, *(n for n in selvedge if n not in reference)]:
                inner = f"{place}.{name}" if place else name
                yield from walk(inner, reference.get(name, ABSENT), selvedge.get(name, ABSENT))
        case list(), list() if len(reference) == len(selvedge):
            for index, (theirs, ours) in enumerate(zip(reference, selvedge, strict=True)):
                yield from walk(f"{place}[{index}]", theirs, ours)
        case _ if reference == ANY_TEXT and isinstance(selvedge, str) and selvedge not in ("", ABSENT):
            return
        # In Python 1 == 1.0 == True; on the wire they are three different things.
        case _ if type(reference) is not type(selvedge) or reference != selvedge:
            yield place, reference, selvedge


def shown(value: Json) -> str:
    if value == ABSENT:
        return ABSENT
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def sort_out(differences: list[Difference], allowances: list[Allowance]) -> list[Difference]:
    """Counts what each allowance is good for, and gives the differences that none of them covers."""
    left = []
    for difference in differences:
        covering = [a for a in allowances if a.covers(difference)]
        for allowance in covering[:1]:
            allowance.used += 1
        if not covering:
            left.append(difference)
    return left
