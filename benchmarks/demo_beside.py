"""Users' answers while hostile files are being read by the same server, against their answers without.

    python -m benchmarks.demo_beside RUN FOLDER [--users 10] [--films 100] [--hostile 10]

Starts `python -m demo`. Each user sends drawn films one after the other, as in `demo_load`, first alone, then while
hostile users send the files of FOLDER without pause, then alone again. Users, files and server share the processor.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import httpx
import psutil

from benchmarks.demo_load import Outcome, all_users, ask, draw, wait_for_address
from cxr_keras3 import serving


def main(arguments: Sequence[str]) -> None:
    """Runs the three parts and prints their figures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.demo_beside",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--users", type=int, default=10)
    parser.add_argument("--films", type=int, default=100)
    parser.add_argument("--hostile", type=int, default=10)
    options = parser.parse_args(arguments)
    files = sorted(path for path in options.folder.iterdir() if path.suffix in {".dcm", ".jpg", ".png", ".tif"})
    with tempfile.TemporaryDirectory() as folder:
        films = draw(Path(folder), options.films)
        expected = [dict(each.probabilities) for each in serving.load(options.run).predict(films)]
        log = Path(folder) / "log.txt"
        with log.open("w") as output:
            command = [sys.executable, "-m", "demo", "--model", str(options.run), "--port", "0"]
            server = subprocess.Popen(command, stderr=output)
        try:
            address, process = wait_for_address(server, log), psutil.Process(server.pid)
            for part, hostile in (("alone", 0), ("beside hostile files", options.hostile), ("alone again", 0)):
                outcome, told = Outcome(process), Counter[str]()
                sent = _part(
                    address, films, expected, outcome, users=options.users, files=files, hostile=hostile, told=told
                )
                asyncio.run(sent)
                _report(part, outcome, told)
        finally:
            server.terminate()
            server.wait(30)


async def _part(
    address: str,
    films: list[Path],
    expected: list[dict[str, float]],
    outcome: Outcome,
    *,
    users: int,
    files: list[Path],
    hostile: int,
    told: Counter[str],
) -> None:
    """Sends all films by the users; `hostile` others send `files` in turn until the users are done."""
    waiting = cycle(files)

    async def attack() -> None:
        async with httpx.AsyncClient(base_url=address, timeout=120) as client:
            while True:
                said = await ask(client, next(waiting))
                told["refused" if '"accepted":false' in said.replace(" ", "") else said[:40]] += 1

    attacks = [asyncio.create_task(attack()) for _ in range(hostile)]
    await all_users(address, films, expected, users, outcome)
    for each in attacks:
        each.cancel()
    for found in await asyncio.gather(*attacks, return_exceptions=True):
        if isinstance(found, Exception):
            raise found  # a hostile user was not answered


def _report(part: str, outcome: Outcome, told: Counter[str]) -> None:
    at = statistics.quantiles(outcome.seconds, n=100)
    memory = max(outcome.memory, default=0) / 2**20
    print(
        f"{part}: {len(outcome.seconds)} answers, {len(outcome.errors)} errors, {outcome.mixed_up} mixed up; seconds "
        f"an answer: 50 % {at[49]:.2f}, 90 % {at[89]:.2f}, slowest {max(outcome.seconds):.2f}; {memory:.0f} MiB; "
        f"hostile files answered meanwhile: {dict(told) or 'none sent'}"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
