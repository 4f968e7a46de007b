"""A server process of one's own on a free port: Selvedge, or the reference."""

import asyncio
import hashlib
import json
import os
import shutil
import socket
import subprocess
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from time import monotonic

import embeddings
import httpx

ROOT = Path(__file__).resolve().parents[4]
REFERENCE = ROOT / "tests/comparison/reference/.venv/bin/langgraph"

# Set: the suite drives the reference server.
against_reference = bool(os.environ.get("REFERENCE"))

# What a server serves: its configuration, and the file with the graphs that this names.
GRAPHS = (
    [
        ROOT / "tests/comparison/reference/langgraph.json",
        ROOT / "tests/comparison/reference/graphs.py",
        embeddings.FILE,
    ]
    if against_reference
    else [ROOT / "tests/graphs/langgraph.json", ROOT / "tests/graphs/suite.wasm"]
)

# Selvedge compiles the component when it first sees it; the reference imports half of PyPI.
STARTING_SECS = 300


def _free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass
class Server:
    """A server whose data live in `directory` and outlast its process."""

    directory: Path
    port: int = field(default_factory=_free_port)
    # Keys of the configuration, as variables of the environment.
    settings: dict[str, str] = field(default_factory=dict)
    # API keys by identity; without any, nobody has to say who they are.
    keys: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    async def start(self) -> None:
        """Start the process and wait until it answers."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
                self._command(),
                cwd=self.directory,
                env=os.environ | {"LANGSMITH_TRACING": "false"} | self.settings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = monotonic() + STARTING_SECS
        async with httpx.AsyncClient(base_url=self.url) as http:
            while not await _answers(http):
                assert self._process.poll() is None, f"the server ended:\n{self.log}"
                assert monotonic() < deadline, f"the server does not answer:\n{self.log}"
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """End the process without a warning; what it has answered for is in its directory."""
        if self._process:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
            self._process = None

    def _command(self) -> list[str]:
        # The graphs are copied away from their source: `selvedge dev` would build them again, and the reference writes
        # its data into the directory that it runs in.
        for file in GRAPHS:
            shutil.copy(file, self.directory)
        self._configure()
        if against_reference:
            options = ("--no-browser", "--no-reload", "--n-jobs-per-worker", "10")
            return [str(REFERENCE), "dev", "--port", str(self.port), *options]
        data = self.directory / "data"
        if not data.exists():
            # All servers of a session keep what they compiled in one place: compiling takes much longer than a test.
            compiled = self.directory.parent / "components"
            compiled.mkdir(exist_ok=True)
            data.mkdir()
            (data / "components").symlink_to(compiled)
        return [os.environ["SELVEDGE"], "dev", "--port", str(self.port), "--data-dir", str(data)]

    def _configure(self) -> None:
        file = self.directory / "langgraph.json"
        configuration = json.loads(file.read_text())
        configuration["store"] = {"index": embeddings.REFERENCE_INDEX if against_reference else _embeddings().index}
        if self.keys:
            hashes = {who: f"sha256:{hashlib.sha256(key.encode()).hexdigest()}" for who, key in self.keys.items()}
            configuration["auth"] = {"api_keys": [{"name": who, "hash": digest} for who, digest in hashes.items()]}
        file.write_text(json.dumps(configuration))


@cache
def _embeddings() -> embeddings.Embeddings:
    return embeddings.Embeddings()


async def _answers(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/ok")).is_success
    except httpx.TransportError:
        return False
