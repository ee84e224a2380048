"""`python -m demo` in a process of its own, as a user starts it."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Served:
    """A running server.

    Attributes:
        address: Where it listens.
        process: The number of its process.
        log: The file of all that it writes.
        uploads: The folder of uploads.
    """

    address: str
    process: int
    log: Path
    uploads: Path


@contextmanager
def served(run: Path, *arguments: str | Path, **environment: str) -> Iterator[Served]:
    """Serves a run until the block ends."""
    command = [sys.executable, "-m", "demo", "--model", run, "--port", "0", *arguments]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.txt"
        with log.open("w") as output:
            server = subprocess.Popen(
                [str(part) for part in command],
                cwd=ROOT,
                env=os.environ | {"TMPDIR": folder} | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            address = _address(server, log)
            (uploads,) = Path(environment.get("TMPDIR", folder)).glob("cxr_keras3-demo-*")
            yield Served(address, server.pid, log, uploads)
        finally:
            server.terminate()
            server.wait(timeout=30)


def _address(server: subprocess.Popen, log: Path) -> str:
    while server.poll() is None:
        for line in log.read_text().splitlines():
            if line.startswith("serving on "):
                return line.removeprefix("serving on ")
        time.sleep(0.05)
    raise RuntimeError(f"the server ended: {log.read_text()}")


def free_port() -> int:
    """A port of loopback that nobody holds at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]
