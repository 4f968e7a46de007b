"""Lets a real server deliver during a rotation of secrets, and asks a verifier of another language what it makes of it.

    SERVER=http://… drive.py COMMAND…     the command reads deliveries from its input, see verify.py
"""

import http.server
import json
import os
import queue
import subprocess
import sys
import threading
import urllib.request

# As run gives them to the server: the newest first.
SECRETS = os.environ["SECRETS"].split(",")
STRANGER = "whsec_" + "c3RyYW5nZXJz" * 3
PATIENCE_SECS = 60

deliveries: queue.Queue[tuple[dict[str, str], str]] = queue.Queue()


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        deliveries.put((headers, body.decode()))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def main() -> int:
    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    run = {
        "assistant_id": os.environ["GRAPH"],
        "input": {"messages": [{"role": "user", "content": "grüße 🌍"}]},
        "webhook": f"http://127.0.0.1:{receiver.server_port}/in",
    }
    request = urllib.request.Request(
        os.environ["SERVER"] + "/runs/wait",
        json.dumps(run).encode(),
        {"content-type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=PATIENCE_SECS).read()
    headers, body = deliveries.get(timeout=PATIENCE_SECS)

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
