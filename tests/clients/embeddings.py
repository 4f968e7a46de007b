"""Embeddings for tests: the vector of a text says how often which words are in it.

`Embeddings` is a server that speaks OpenAI's `POST /embeddings`, for Selvedge; `embed` is the same as a function, which
the reference calls itself.
"""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FILE = Path(__file__)
DIMS = 8
UNEMBEDDABLE = "unembeddable"
"""Texts with this word have no vector."""
FIELDS = ["text", "tags[*]"]

REFERENCE_INDEX = {"dims": DIMS, "embed": f"./{FILE.name}:embed", "fields": FIELDS}
"""`store.index` of the reference, beside whose configuration this file lies."""


def vector(text: str) -> list[float]:
    """Words have an axis by the sum of their bytes."""
    numbers = [0.0] * DIMS
    for word in re.findall(r"[^\W_]+", text):
        numbers[sum(word.encode()) % DIMS] += 1.0
    return numbers


def embed(texts: list[str]) -> list[list[float]]:
    if any(UNEMBEDDABLE in text for text in texts):
        raise ValueError("a text cannot be embedded")
    return [vector(text) for text in texts]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        try:
            vectors = embed(asked["input"])
        except ValueError as error:
            self.answer(400, {"error": {"message": str(error), "type": "invalid_request_error"}})
        else:
            data = [{"index": index, "embedding": numbers} for index, numbers in enumerate(vectors)]
            self.answer(200, {"object": "list", "model": asked["model"], "data": data})

    def answer(self, status: int, answer: dict[str, object]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Embeddings(ThreadingHTTPServer):
    """A running one, on a free port of this machine."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def index(self) -> dict[str, object]:
        """`store.index` of a Selvedge that embeds here."""
        url = f"http://127.0.0.1:{self.server_address[1]}/v1"
        return {"dims": DIMS, "embed": "openai:words", "fields": FIELDS, "url": url}
