"""Records what the reference shows of one run in both of its protocols: `record.py URL > pairs.jsonl`.

The reference must serve the graphs of `graphs.py` here (`calls`, `nested`, `nested_asks`, `says`) and of
`tests/comparison/reference` (`two`, `hitl`, `hitl_many`, `fail`, `chat`). A line for each run: its events as a run's
stream has them (`old`), and as the event protocol has them (`new`). The reference leaves messages of old runs out of the
protocol, so that those of `new` are another run's, with the message's id in the place of its own.
"""

import json
import sys
import time
import urllib.request
import uuid
from typing import Any

URL = sys.argv[1]
MODES = ["values", "updates", "messages-tuple", "custom", "tasks"]
CHANNELS = ["values", "updates", "messages", "custom", "lifecycle", "input", "tasks"]
HELLO = {"messages": [{"role": "user", "content": "hi", "id": "human-1"}]}
INPUTS = {
    **{name: {"foo": "x"} for name in ("two", "hitl", "hitl_many", "fail", "nested", "nested_asks", "says")},
    "chat": HELLO,
    "calls": HELLO,
}


def post(path: str, body: Any) -> Any:
    request = urllib.request.Request(f"{URL}{path}", json.dumps(body).encode(), {"content-type": "application/json"})
    return urllib.request.urlopen(request, timeout=1.5)


def frames(text: str) -> list[dict[str, Any]]:
    """Server-sent events, without comments."""
    read = []
    for block in text.split("\r\n\r\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\r\n") if ": " in line[1:])
        if "data" in lines:
            read.append({"event": lines["event"], "id": lines.get("id"), "data": json.loads(lines["data"])})
    return read


def protocol(thread: str) -> list[dict[str, Any]]:
    """What a late observer is told; the stream does not end."""
    text = b""
    try:
        with post(f"/threads/{thread}/stream/events", {"channels": CHANNELS}) as stream:
            while line := stream.readline():
                text += line
    except TimeoutError:
        pass
    return [frame["data"] for frame in frames(text.decode())]


def record(graph: str) -> dict[str, Any]:
    thread = str(uuid.uuid4())
    post("/threads", {"thread_id": thread})
    options = {"stream_mode": MODES, "stream_resumable": True, "stream_subgraphs": True}
    with post(f"/threads/{thread}/runs/stream", {"assistant_id": graph, "input": INPUTS[graph], **options}) as stream:
        old = frames(stream.read().decode())
    new = protocol(thread)
    if graph in ("chat", "calls"):
        other = str(uuid.uuid4())
        start = {"assistant_id": graph, "input": INPUTS[graph]}
        post(f"/threads/{other}/commands", {"id": 1, "method": "run.start", "params": start})
        time.sleep(2)
        new += [event for event in protocol(other) if event["method"] == "messages"]
    return {"graph": graph, "old": old, "new": new}


for name in INPUTS:
    print(json.dumps(record(name), separators=(",", ":")))
