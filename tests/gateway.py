"""The gateway as a process, and a trial that kills it and its server at random moments."""

import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import requests

from cxr_keras3.run import gate
from cxr_keras3.run.folder import GATE, Run
from cxr_keras3.serving import runtimes
from tests import drawn_run, hospital
from tests.orthanc import Orthanc, free_port
from tfds_cxr import phantom
from tfds_cxr.labels import LABELS

PATIENCE_SECONDS = 600.0
ROOT = Path(__file__).parent.parent


class Gateway:
    """`python -m cxr_keras3.pacs` on a server; what it says is in `log`. As a context manager it leaves none behind."""

    def __init__(self, folder: Path, *, dicomweb: str, run_dir: Path, more: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log, self.state, self._metrics = (
            folder / "gateway.log",
            folder / "state.sqlite3",
            f"127.0.0.1:{free_port()}",
        )
        self._command = [
            *(sys.executable, "-m", "cxr_keras3.pacs", "--dicomweb", dicomweb, "--model", str(run_dir)),
            *("--state", str(self.state), "--metrics", self._metrics, "--settle", "0", "--poll", "1", "--days", "1"),
            *more,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.end(signal.SIGKILL)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=ROOT, stdout=log, stderr=log)

    def end(self, number: signal.Signals) -> int:
        """Sends a signal and returns the exit code."""
        if self._process is None:
            raise RuntimeError("the gateway was not started")
        self._process.send_signal(number)
        return self._process.wait(timeout=60)

    def figures(self) -> dict[str, float]:
        """The metrics page, by name with labels; empty while there is none."""
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(self.log.read_text())
        try:
            text = requests.get(f"http://{self._metrics}/metrics", timeout=10).text
        except requests.ConnectionError:
            return {}
        return {name: float(value) for name, value in re.findall(r"^([^# ]\S*(?: \S+\}|)) (\S+)$", text, re.MULTILINE)}


def write_gated_run(folder: Path) -> Path:
    """A drawn run whose gate lets upright phantoms pass."""
    run_dir = drawn_run.write(folder)
    drawn = [phantom.draw(label, seed=3, index=index)[0] for index in range(15) for label in LABELS]
    films = np.stack(drawn)[..., np.newaxis]
    features = runtimes.load_runtime(Run.open(run_dir), "openvino", precision="float32").start(films)().features
    gate.save(gate.fit(features, features * 1.5, images_train=films), run_dir / GATE)
    return run_dir


def until_done(gateway: Gateway, *, stored: int, others: int) -> None:
    """Waits until so many studies are answered and so many found to hold no film, and a further pass is over."""
    expected = {'cxr_pacs_studies{stage="stored"}': stored, 'cxr_pacs_studies{stage="nothing"}': others}
    deadline = time.monotonic() + PATIENCE_SECONDS
    done_at = None
    while time.monotonic() < deadline:
        figures = gateway.figures()
        if all(figures.get(name) == count for name, count in expected.items()):
            last_pass = figures["cxr_pacs_last_pass_timestamp_seconds"]
            done_at = done_at or last_pass
            if last_pass > max(done_at, 1.0):
                return
        time.sleep(0.2)
    raise RuntimeError(f"the gateway is not done: {gateway.figures()}\n{gateway.log.read_text()}")


def until_ended(gateway: Gateway, items: Sequence[hospital.Item]) -> None:
    """Waits until work items have come to an end."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(item.state not in (hospital.COMPLETED, hospital.CANCELED) for item in items):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the gateway is not done\n{gateway.log.read_text()}")
        gateway.figures()
        time.sleep(0.2)


def torment(gateway: Gateway, orthanc: Orthanc, *, results: int, kills: int, restarts: int, seed: int) -> None:
    """Starts a gateway, kills it and restarts its server at moments drawn over the time in which results appear."""
    draw = random.Random(seed)
    present = orthanc.get("/statistics")["CountInstances"]
    moments = sorted(draw.sample(range(1, results), kills + restarts))
    blows = ["kill"] * kills + ["restart"] * restarts
    draw.shuffle(blows)
    gateway.start()
    for moment, blow in zip(moments, blows, strict=True):
        _wait_for_results(gateway, orthanc, present + moment)
        time.sleep(draw.uniform(0.0, 0.6))
        if blow == "kill":
            gateway.end(signal.SIGKILL)
            gateway.start()
        else:
            orthanc.stop()
            time.sleep(draw.uniform(0.5, 3.0))
            orthanc.start()


def _wait_for_results(gateway: Gateway, orthanc: Orthanc, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while orthanc.get("/statistics")["CountInstances"] < count:
        if time.monotonic() > deadline:
            raise RuntimeError(gateway.log.read_text())
        gateway.figures()
        time.sleep(0.02)


def kept_secrets(paths: Sequence[Path], secrets: Sequence[str]) -> list[str]:
    """The secrets that are in any of the files, which should be none."""
    contents = [path.read_bytes().lower() for path in paths]
    return [secret for secret in secrets if any(secret.lower().encode() in content for content in contents)]
