"""A webhook receiver: a real HTTP server on loopback that takes everything and keeps it."""

import http.server
import queue
import threading
from typing import NamedTuple, Self

# What a delivery takes at most to arrive, from a server that has little else to do.
PATIENCE_SECS = 60


class Received(NamedTuple):
    """A request that arrived."""

    path: str
    # Their names in lower case.
    headers: dict[str, str]
    body: str


class Receiver:
    """Listens while it is entered."""

    def __init__(self) -> None:
        received: queue.Queue[Received] = queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                received.put(Received(self.path, headers, body.decode()))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._received = received
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def next(self) -> Received:
        """What arrived first of what was not asked for yet; waits for it."""
        return self._received.get(timeout=PATIENCE_SECS)
