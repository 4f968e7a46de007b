"""What the comparison says: a table in the terminal, the same as Markdown, and the page docs/compatibility.md."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from differences import Allowance, Difference
from endpoints import NOT_HERE
from masking import DROPPED, DROPPED_OF_KWARGS

WIDTH = 60
"""Characters of a value in a table; the fixture has the whole of it."""

KIND_TITLES = {
    "bug": "Defects of the reference that are not copied",
    "improvement": "Improvements",
    "own": "What names the program itself",
}


MARKS = {"bug": "Defect", "improvement": "Improvement", "own": "What it is"}


def clipped(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def terminal(differences: list[Difference]) -> Iterable[str]:
    """Grouped by step, in the order of the sessions."""
    last = None
    for difference in differences:
        if difference.step != last:
            yield f"\n{difference.step}"
            last = difference.step
        yield f"    {difference.place}"
        yield f"        reference  {clipped(difference.reference)}"
        yield f"        selvedge   {clipped(difference.selvedge)}"


def by_session(steps: Iterable[str], differences: list[Difference]) -> Iterable[str]:
    """A line for each session: how many of its requests are answered alike."""
    total = Counter(step.split(":")[0] for step in steps)
    differing = Counter(step.split(":")[0] for step in {d.step for d in differences})
    width = max(map(len, total))
    for session, requests in total.items():
        mark = " " if not differing[session] else "✗"
        yield f"{mark} {session:{width}}  {requests - differing[session]:3} of {requests:3} alike"


def cell(text: str) -> str:
    return clipped(text).replace("\\", "\\\\").replace("|", "\\|").replace("\n", "⏎")


def markdown(differences: list[Difference]) -> str:
    lines = ["| request | where | reference | Selvedge |", "|---|---|---|---|"]
    for d in differences:
        lines.append(f"| {cell(d.step)} | `{d.place}` | `{cell(d.reference)}` | `{cell(d.selvedge)}` |")
    return "\n".join(lines) + "\n"


def mark(allowance: Allowance) -> list[int | str]:
    """What has the same mark stands together; defects stand in the order of their sections."""
    section, _, _ = allowance.mark.partition(" ")
    return [int(part) for part in section.split(".")] if allowance.kind == "bug" else [allowance.mark]


def table(first: str, allowances: list[Allowance]) -> list[str]:
    rows = [f"| {a.name} | {a.reference} | {a.selvedge} | {a.reason} |" for a in sorted(allowances, key=mark)]
    return [f"| {first} | The reference | Selvedge | Why |", "|---|---|---|---|", *rows]


def page(version: str, allowances: list[Allowance], requests: int, endpoints: int) -> str:
    """docs/compatibility.md: generated, so that it says what the comparison lets pass and nothing else."""
    lines = [
        "<!-- Generated: tests/comparison/run page -->",
        "# Compatibility with the reference server",
        "",
        f"The same sessions, {requests} requests to {endpoints} endpoints, are sent to the reference server",
        f"(`langgraph-api` {version} from PyPI, as `langgraph dev` starts it) and to Selvedge with equivalent graphs.",
        "Status, the headers that clients read, and every member of every body and every event are compared.",
        "What follows is every difference that remains between these answers, and why; any other fails the comparison.",
        "Each is a defect that was observed in that version, an improvement with a name, or names the program itself.",
    ]
    for kind, title in KIND_TITLES.items():
        of_kind = [a for a in allowances if a.kind == kind and a.seen]
        if not of_kind:
            continue
        lines += ["", f"## {title}", "", *table(MARKS[kind], of_kind)]
    lines += ["", "## Not compared", "", "What the sessions cannot show, and is known to differ:"]
    for kind in KIND_TITLES:
        if unseen := [a for a in allowances if a.kind == kind and not a.seen]:
            lines += ["", *table(MARKS[kind], unseen)]
    lines += ["", "Paths that are not asked:", ""]
    lines += [f"- `{part}`: {reason}" for part, reason in NOT_HERE.items()]
    lines += ["", "Ids and times are compared by their form. Left out altogether:", ""]
    lines += [f"- `{name}`: {reason}" for name, reason in DROPPED.items()]
    lines += [f"- `{name}` within `kwargs`: {reason}" for name, reason in DROPPED_OF_KWARGS.items()]
    lines += [
        "",
        "A 422 that the reference's schema validator gives shows a part of its own schema; there only the status and",
        "that `detail` is a text are compared.",
        "",
    ]
    return "\n".join(lines)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
