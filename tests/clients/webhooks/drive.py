"""Lets a real server deliver during a rotation of secrets, and asks a verifier of another language what it makes of it.

    SERVER=http://… drive.py COMMAND…     the command reads deliveries from its input, see verify.py
"""

import json
import os
import subprocess
import sys
import urllib.request

from support.receiver import PATIENCE_SECS, Receiver

# As run gives them to the server: the newest first.
SECRETS = os.environ["SECRETS"].split(",")
STRANGER = "whsec_" + "c3RyYW5nZXJz" * 3


def delivery() -> tuple[dict[str, str], str]:
    """The headers and the body of what a run is delivered with."""
    with Receiver() as receiver:
        run = {
            "assistant_id": os.environ["GRAPH"],
            "input": {"messages": [{"role": "user", "content": "grüße 🌍"}]},
            "webhook": receiver.url("/in"),
        }
        request = urllib.request.Request(
            os.environ["SERVER"] + "/runs/wait",
            json.dumps(run).encode(),
            {"content-type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=PATIENCE_SECS).read()
        received = receiver.next()
    return received.headers, received.body


def main() -> int:
    headers, body = delivery()
    changed = body.replace("success", "SUCCESS")
    asked = [(secret, body, True) for secret in SECRETS] + [
        (STRANGER, body, False),
        (SECRETS[0], changed, False),
    ]
    lines = [json.dumps({"secret": secret, "headers": headers, "body": body}) for secret, body, _ in asked]
    verifier = subprocess.run(
        sys.argv[1:], input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=PATIENCE_SECS, check=True
    )
    answers = verifier.stdout.splitlines()
    assert len(answers) == len(asked), verifier
    for (_, _, good), answer in zip(asked, answers, strict=True):
        assert (answer == "good") == good, answers
    print(f"{sys.argv[1]}: {answers}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
