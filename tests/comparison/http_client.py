"""One request, one answer: plain HTTP with nothing between the comparison and the wire.

An official client would hide what is compared here: it reconnects, it follows `Location`, it turns errors into
exceptions.
"""

import http.client
import json
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from steps import NO_BODY, Json

ANSWER_DEADLINE_SECONDS = 60
"""No answer of a session takes longer; a stream that stays open is cut by its step before that."""

Event = dict[str, Json]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: Json = None
    events: list[Event] | None = None


def send(
    server: str,
    method: str,
    path: str,
    body: Json = NO_BODY,
    headers: Mapping[str, str] | None = None,
    *,
    opened: Callable[[], None] = lambda: None,
    is_last: Callable[[Event], bool] = lambda _: False,
) -> Answer:
    """Sends one request and reads its whole answer.

    Of an event stream, `opened` is called when its headers are there, and reading ends at the event that `is_last`
    recognises or when the server closes.
    """
    host = urllib.parse.urlsplit(server)
    connection = http.client.HTTPConnection(host.hostname or "", host.port, timeout=ANSWER_DEADLINE_SECONDS)
    given = dict(headers or {})
    if body is not NO_BODY:
        given.setdefault("content-type", "application/json")
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        connection.request(method, path, body=None if body is NO_BODY else body, headers=given)
        response = connection.getresponse()
        answer = Answer(response.status, {name.lower(): value for name, value in response.getheaders()})
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            opened()
            answer.events = read_events(connection, response, is_last)
        else:
            answer.body = parse(response.read())
        return answer
    finally:
        connection.close()


def parse(content: bytes) -> Json:
    """JSON where it is JSON (keep-alive newlines before it do not matter), text where it is not, None for nothing."""
    text = content.decode()
    if not text.strip():
        return None
    try:
        return json.loads(text, parse_float=as_written)
    except ValueError:
        return {"text": text}


def as_written(number: str) -> Json:
    """A fraction, or its text where another text would be read as the same fraction: `1.10`, `1e2`."""
    usual = repr(float(number)).replace("e+", "e")
    return float(number) if number.replace("e+", "e") == usual else f"<number {number}>"


def read_events(
    connection: http.client.HTTPConnection, response: http.client.HTTPResponse, is_last: Callable[[Event], bool]
) -> list[Event]:
    events: list[Event] = []
    fields: Event = {}
    # Heartbeats keep a silent stream alive for ever, so a timeout of the socket would never strike.
    watchdog = threading.Timer(ANSWER_DEADLINE_SECONDS, shut, [connection])
    watchdog.start()
    try:
        for line in response:
            name, _, value = line.decode().rstrip("\r\n").partition(":")
            if name in ("event", "id"):
                fields[name] = value.strip()
            elif name == "data":
                fields[name] = json.loads(value, parse_float=as_written)
            elif not name and not value and fields:
                events.append(fields)
                if is_last(fields):
                    break
                fields = {}
        return events
    finally:
        watchdog.cancel()


def shut(connection: http.client.HTTPConnection) -> None:
    if connection.sock is not None:
        connection.sock.shutdown(2)
