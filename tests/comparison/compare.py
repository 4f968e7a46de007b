"""Compares what Selvedge answers with what the reference server answers, request by request.

    compare.py compare [--markdown FILE]    a running Selvedge against the recorded answers
    compare.py record                       writes a running reference's answers to reference.jsonl
    compare.py verify                       a running reference against them: no allowances
    compare.py page [--check]               writes docs/compatibility.md, or says whether it is current

`tests/comparison/run` starts the servers and names them in SERVER. `--only TEXT` takes the sessions whose name
contains TEXT.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import report
from differences import compare, read_allowances, sort_out
from driver import Answers, perform
from endpoints import covered, endpoints_of, uncovered
from sessions import ALL
from steps import Json, Session

HERE = Path(__file__).parent
FIXTURE = HERE / "reference.jsonl"
ALLOWED = HERE / "allowed.toml"
PAGE = HERE.parents[1] / "docs" / "compatibility.md"
PINS = HERE / "reference" / "requirements.txt"
GRAPHS = json.loads((HERE / "reference" / "langgraph.json").read_text())["graphs"]


def read_fixture() -> tuple[list[str], Answers]:
    """The reference's endpoints, and its answers by the name of the step."""
    first, *lines = FIXTURE.read_text().rstrip("\n").split("\n")
    answers = {entry.pop("step"): entry for entry in map(json.loads, lines)}
    return json.loads(first)["endpoints"], answers


def write_fixture(endpoints: list[str], answers: Answers) -> None:
    entries: list[Json] = [{"endpoints": endpoints}, *({"step": name, **answer} for name, answer in answers.items())]
    with FIXTURE.open("w") as out:
        for entry in entries:
            out.write(json.dumps(entry, ensure_ascii=False, separators=(",", ":")) + "\n")


def record(server: str, sessions: list[Session], *, all: bool) -> int:
    """Writes the answers to these sessions; those of others stay as they are."""
    answers = perform(server, sessions, GRAPHS)
    unanswered = {name: answer["unanswered"] for name, answer in answers.items() if "unanswered" in answer}
    for name, reason in unanswered.items():
        print(f"{name}: {reason}")
    if unanswered:
        return 1
    if all:
        recorded: Answers = {}
    else:
        _, recorded = read_fixture()
    recorded |= answers
    names = [name for session in ALL for name, _ in session.named_steps()]
    write_fixture(endpoints_of(server), {name: recorded[name] for name in names if name in recorded})
    print(f"{FIXTURE.name}: {len(answers)} answers")
    return 0


def against_fixture(server: str, sessions: list[Session], *, allowed: bool, markdown: Path | None, all: bool) -> int:
    endpoints, recorded = read_fixture()
    answers = perform(server, sessions, GRAPHS)
    if unrecorded := [name for name in answers if name not in recorded]:
        print("Not recorded yet: " + ", ".join(unrecorded))
        return 1
    differences = [d for name, answer in answers.items() for d in compare(name, recorded[name], answer)]
    allowances = read_allowances(ALLOWED) if allowed else []
    left = sort_out(differences, allowances)
    unused = [(a, pattern) for a in allowances for pattern in a.unused] if all else []
    if markdown:
        report.write(markdown, report.markdown(differences))

    for line in [*report.terminal(left), "", *report.by_session(answers, left)]:
        print(line)
    for allowance, pattern in unused:
        print(f"\nAllows nothing any more: {pattern} ({allowance.name}: {allowance.reference})")
    missing = uncovered(endpoints, sessions) if all else []
    for endpoint in missing:
        print(f"\nNo session asks {endpoint}")
    differing = len({d.step for d in left})
    asked = len(covered(endpoints, sessions))
    print(
        f"\n{len(answers)} requests to {asked} endpoints: {len(answers) - differing} alike, "
        f"{differing} not; {len(differences) - len(left)} differences allowed, {len(left)} not; "
        f"{len(unused)} unused patterns"
    )
    return 1 if left or unused or missing else 0


def write_page(check: bool) -> int:
    endpoints, recorded = read_fixture()
    version = next(p.split("==")[1] for p in PINS.read_text().split() if p.startswith("langgraph-api=="))
    page = report.page(version, read_allowances(ALLOWED), len(recorded), len(covered(endpoints, ALL)))
    if not check:
        report.write(PAGE, page)
    elif not PAGE.exists() or PAGE.read_text() != page:
        print(f"docs/{PAGE.name} is not what the comparison says; tests/comparison/run page writes it")
        return 1
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=["compare", "record", "verify", "page"])
    parser.add_argument("--server", default=os.environ.get("SERVER", "http://127.0.0.1:8123"))
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    sessions = [s for s in ALL if given.only in s.name]
    match given.mode:
        case "record":
            return record(given.server, sessions, all=not given.only)
        case "page":
            return write_page(given.check)
    return against_fixture(
        given.server, sessions, allowed=given.mode == "compare", markdown=given.markdown, all=not given.only
    )


if __name__ == "__main__":
    sys.exit(main())
