"""Runs schemathesis with at least as many cases as CASES asks for, and says what came out.

An operation that never succeeded was not tested, however many cases it had: that fails the whole.

Called by `run`, which names the server in SERVER. A report of every failure, with the request that shows it, is what
schemathesis prints before.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
SERVER = os.environ["SERVER"]
CASES = int(os.environ.get("CASES", "1000"))

# The reference's document is wrong about its answers in places, so there only crashes are looked for. It has some,
# which are shown and do not count.
REFERENCE = bool(os.environ.get("REFERENCE"))

METHODS = {"get", "put", "post", "patch", "delete"}

# Operations without parameters give one case, whatever is asked for.
MARGIN = 1.3

# Systematic cases at the edges of every schema: some thousands, whatever is asked for, so only in long runs.
COVERAGE_FROM_CASES = 5000


def operations() -> int:
    try:
        with urllib.request.urlopen(f"{SERVER}/openapi.json", timeout=30) as response:
            paths = json.load(response)["paths"]
    except OSError as error:
        sys.exit(f"{SERVER}/openapi.json: {error}; without it there is nothing to generate cases from")
    return sum(len(METHODS & methods.keys()) for methods in paths.values())


def main() -> int:
    each = math.ceil(CASES * MARGIN / operations())
    phases = "coverage,fuzzing" if CASES >= COVERAGE_FROM_CASES else "fuzzing"
    options = [*("--phases", phases), *("--max-examples", str(each))]
    if "SEED" in os.environ:
        options += ["--seed", os.environ["SEED"]]
    if REFERENCE:
        options += ["--checks", "not_a_server_error"]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "report.json"
        schemathesis = Path(sys.executable).with_name("schemathesis")
        command = [str(schemathesis), "run", f"{SERVER}/openapi.json", "--no-color", "--report-json-path", str(path)]
        answers_path = Path(directory) / "answers.json"
        told = os.environ | {"ANSWERS": str(answers_path)}
        tested = subprocess.run([*command, *options, *sys.argv[1:]], cwd=HERE, env=told, check=False)
        report = json.loads(path.read_text())
        answers: dict[str, dict[str, int]] = json.loads(answers_path.read_text())
    cases = report["test_cases"]
    print(
        f"schemathesis: {cases['generated']} cases of {report['operations']['tested']} operations, "
        f"{cases['unique_failures']} failures, {cases['errored']} errors, seed {report['seed']}"
    )
    for operation, statuses in sorted(answers.items()):
        print(f"  {operation}: " + ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items())))
    fruitless = [operation for operation, statuses in answers.items() if not any(s.startswith("2") for s in statuses)]
    if fruitless and not REFERENCE:
        print(f"never a success: {', '.join(fruitless)}")
        return 1
    if cases["generated"] < CASES:
        print(f"fewer than the {CASES} that were asked for")
        return 1
    return 0 if REFERENCE else tested.returncode


if __name__ == "__main__":
    sys.exit(main())
