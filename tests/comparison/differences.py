"""Where two masked answers differ, and which of those differences are allowed.

A difference has a place: `status`, `headers.location`, `body.tasks[0].error`, `events[3].data`. An allowance names
steps and places by patterns in which `*` stands for anything; the file of allowances says what each is for. A pattern
that allows nothing any more is reported, so that the list can only hold what is true.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path

from masking import ANY_TEXT
from steps import Json

ABSENT = "(absent)"

KINDS = ("bug", "improvement", "own")
"""A defect of the reference that is marked as one; something done better on purpose; what names the program itself."""

DEFECT = re.compile(r"(\d+\.\d+|\d+) (?P<name>\S.*)")
"""The mark of a defect: the section of the notes on the reference that has it, and what it is called."""


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
    mark: str
    reference: str
    selvedge: str
    reason: str
    shows: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set, init=False)
    """The patterns that covered something."""

    def covers(self, difference: Difference) -> bool:
        patterns = self.fitting(difference)
        return all(patterns) and (not self.shows or difference.selvedge in self.shows)

    def use(self, difference: Difference) -> None:
        for patterns in self.fitting(difference):
            self.used.update(patterns)

    def fitting(self, difference: Difference) -> tuple[list[str], list[str]]:
        steps = [p for p in self.steps if fits(p, difference.step)]
        return steps, [p for p in self.places if fits(p, difference.place)]

    @property
    def seen(self) -> bool:
        """Whether a step of a session shows it."""
        return bool(self.steps)

    @property
    def unused(self) -> list[str]:
        return [p for p in [*self.steps, *self.places] if p not in self.used]

    @property
    def name(self) -> str:
        """What the mark calls it, without where it is noted."""
        defect = DEFECT.fullmatch(self.mark) if self.kind == "bug" else None
        return defect["name"] if defect else self.mark


def fits(pattern: str, text: str) -> bool:
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), text) is not None


def read_allowances(path: Path) -> list[Allowance]:
    return allowances_of(tomllib.loads(path.read_text()))


def allowances_of(content: Json) -> list[Allowance]:
    """The entries of the file. A defect has to be a marked one, and whatever else differs is a name of the list."""
    names = content["names"]
    entries = [*content["difference"], *({"steps": [], "places": [], **e} for e in content.get("unseen", []))]
    required = {f.name for f in fields(Allowance) if f.init and f.default is MISSING and f.default_factory is MISSING}
    for entry in entries:
        if missing := required - set(entry):
            raise ValueError(f"an allowed difference lacks {', '.join(sorted(missing))}: {entry}")
    allowances = [Allowance(**entry) for entry in entries]
    for allowance in allowances:
        if allowance.kind not in KINDS:
            raise ValueError(f"{allowance.kind!r} is no kind of difference; there are {', '.join(KINDS)}")
        if allowance.kind == "bug" and not DEFECT.fullmatch(allowance.mark):
            raise ValueError(f"{allowance.mark!r} does not say where the defect is noted and what it is")
        if allowance.kind != "bug" and allowance.mark not in names:
            raise ValueError(f"{allowance.mark!r} is none of the `names`")
    if idle := set(names) - {a.mark for a in allowances}:
        raise ValueError(f"nothing is called {', '.join(sorted(idle))}")
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
            allowance.use(difference)
        if not covering:
            left.append(difference)
    return left
