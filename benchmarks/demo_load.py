"""The demo under load: many users at once, then ten thousand requests, against one server on this machine.

    python -m benchmarks.demo_load RUN [--users 50] [--films 500] [--requests 10000]

Starts `python -m demo` and measures the time from its start to its first answer. Each user has connections of its
own and sends drawn films one after the other to /predict; every answer is compared with that of the predictor itself,
so a mixed-up answer is an error. Memory is that of the server's process. The
requests of the last part are pages, health checks, forged and empty calls; none may end the server. Users, films and
server share the processor.
"""

import argparse
import asyncio
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from PIL import Image

from cxr_keras3 import serving
from tfds_cxr import phantom
from tfds_cxr.labels import LABELS

TOLERANCE = 1e-3  # between batches of one and of sixteen on a processor that computes in bfloat16
AT_ONCE = 100  # requests of the last part under way


@dataclass
class Outcome:
    """What the users saw, and the memory of the server's process meanwhile."""

    process: psutil.Process
    memory: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    mixed_up: int = 0


def main(arguments: Sequence[str]) -> None:
    """Runs the three parts and prints their figures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.demo_load",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--films", type=int, default=500)
    parser.add_argument("--requests", type=int, default=10_000)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        films = draw(Path(folder), options.films)
        expected = [dict(each.probabilities) for each in serving.load(options.run).predict(films)]
        log = Path(folder) / "log.txt"
        with log.open("w") as output:
            started = time.perf_counter()
            command = [sys.executable, "-m", "demo", "--model", str(options.run), "--port", "0"]
            server = subprocess.Popen(command, stderr=output)
            try:
                address = wait_for_address(server, log)
                process = psutil.Process(server.pid)
                first = Outcome(process)
                asyncio.run(all_users(address, films[:1], expected[:1], 1, first))
                took, used = time.perf_counter() - started, sum(process.cpu_times()[:2])
                print(f"start of the server to its first answer: {took:.1f} s ({used:.1f} s of a processor core)")
                load(address, films, expected, users=options.users, process=process)
                flood(address, options.requests, process=process)
            finally:
                server.terminate()
                server.wait(30)


def draw(folder: Path, count: int) -> list[Path]:
    """Writes drawn films, each of its own."""
    files = []
    for index in range(count):
        buffer = io.BytesIO()
        Image.fromarray(phantom.draw(LABELS[index % len(LABELS)], seed=5, index=index)[0]).save(buffer, "PNG")
        files.append(folder / f"film-{index:04d}.png")
        files[-1].write_bytes(buffer.getvalue())
    return files


def wait_for_address(server: subprocess.Popen[bytes], log: Path) -> str:
    """Where the server listens, once it says so."""
    while server.poll() is None:
        for line in log.read_text().splitlines():
            if line.startswith("serving on "):
                return line.removeprefix("serving on ")
        time.sleep(0.01)
    raise RuntimeError(log.read_text())


def load(
    address: str, films: list[Path], expected: list[dict[str, float]], *, users: int, process: psutil.Process
) -> None:
    """Sends all films by as many users at once, and prints what they saw."""
    outcome, started = Outcome(process), time.perf_counter()
    asyncio.run(all_users(address, films, expected, users, outcome))
    seconds = time.perf_counter() - started
    at = statistics.quantiles(outcome.seconds, n=100)
    print(
        f"{users} users at once, {len(films)} films in {seconds:.1f} s ({len(films) / seconds:.1f} a second): "
        f"{len(outcome.errors)} errors, {outcome.mixed_up} mixed-up answers"
    )
    print(f"seconds an answer, waiting included: 50 % {at[49]:.2f}, 90 % {at[89]:.2f}, 99 % {at[98]:.2f}")
    memory = [size / 2**20 for size in outcome.memory]
    print(f"memory of the server after each tenth, MiB: {', '.join(f'{size:.0f}' for size in memory)}")
    for error in sorted(set(outcome.errors))[:5]:
        print(f"error: {error}")


async def all_users(
    address: str, films: list[Path], expected: list[dict[str, float]], users: int, outcome: Outcome
) -> None:
    """Sends the films, each once, by as many users at once."""
    waiting = iter(range(len(films)))

    async def user() -> None:
        async with httpx.AsyncClient(base_url=address, timeout=120) as client:
            for index in waiting:  # all users take from one list
                await _send(client, films[index], expected[index], outcome)
                if len(outcome.seconds) % max(1, len(films) // 10) == 0:
                    outcome.memory.append(outcome.process.memory_info().rss)

    await asyncio.gather(*(user() for _ in range(users)))


async def _send(client: httpx.AsyncClient, film: Path, expected: dict[str, float], outcome: Outcome) -> None:
    """Uploads a film, asks for its answer and compares that, as any client of the interface does."""
    started = time.perf_counter()
    try:
        said = await ask(client, film)
        (record,) = json.loads(said.split("event: complete\ndata: ", 1)[1])
    except (httpx.HTTPError, ValueError, KeyError, IndexError) as error:
        outcome.errors.append(f"{type(error).__name__}: {error}")
        return
    outcome.seconds.append(time.perf_counter() - started)
    if record["file"] != film.name or not same(record["probabilities"], expected):
        outcome.mixed_up += 1


async def ask(client: httpx.AsyncClient, film: Path) -> str:
    """Uploads a file and asks for its answer; what the server says, as it says it."""
    (path,) = (await client.post("/gradio_api/upload", files={"files": (film.name, film.read_bytes())})).json()
    body = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}
    event = (await client.post("/gradio_api/call/predict", json=body)).json()["event_id"]
    return (await client.get(f"/gradio_api/call/predict/{event}")).text


def same(answered: dict[str, float], expected: dict[str, float]) -> bool:
    """Whether two answers are those of one film."""
    return answered.keys() == expected.keys() and all(
        abs(answered[name] - expected[name]) <= TOLERANCE for name in expected
    )


def flood(address: str, count: int, *, process: psutil.Process) -> None:
    """Sends requests without pause, many of them nonsense, and asks whether the server lives."""
    before, started = process.memory_info().rss, time.perf_counter()
    codes = asyncio.run(_flood(address, count))
    seconds = time.perf_counter() - started
    answer = httpx.get(f"{address}/healthz", timeout=30)
    grown = (process.memory_info().rss - before) / 2**20
    print(
        f"{count} requests, {AT_ONCE} at once, in {seconds:.0f} s: answers {json.dumps(codes, sort_keys=True)}; "
        f"then /healthz says {answer.json()['status']}; memory grew by {grown:.0f} MiB"
    )


async def _flood(address: str, count: int) -> dict[str, int]:
    forged = {"data": [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}], "session_hash": "flood"}
    kinds = (
        ("GET", "/healthz", None),
        ("GET", "/config", None),
        ("POST", "/gradio_api/queue/join", {**forged, "fn_index": 0}),
        ("POST", "/gradio_api/queue/join", None),
        ("POST", "/gradio_api/run/predict", forged),
        ("POST", "/gradio_api/upload", None),
        ("GET", "/gradio_api/file=/etc/passwd", None),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", None),
    )
    codes: dict[str, int] = {}
    gate = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(base_url=address, timeout=120) as client:

        async def send(index: int) -> None:
            method, path, body = kinds[index % len(kinds)]
            async with gate:
                try:
                    code = str((await client.request(method, path, json=body)).status_code)
                except httpx.HTTPError as error:
                    code = type(error).__name__
            codes[code] = codes.get(code, 0) + 1

        await asyncio.gather(*(send(index) for index in range(count)))
    return codes


if __name__ == "__main__":
    main(sys.argv[1:])
