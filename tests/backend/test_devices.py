"""The result of a training does not depend on how many devices and processes share it."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cxr_keras3.backend import selection
from cxr_keras3.base.errors import UserError
from tests.conftest import ROOT


def start(folder: Path, *together: object, simulated: int) -> subprocess.Popen[str]:
    environment = os.environ | {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={simulated}",
    }
    command = [sys.executable, "-m", "tests.train_on_devices", str(folder), *map(str, together)]
    with (folder.parent / f"{folder.name}-{together[-1] if together else 0}.log").open("w") as log:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)


def outcome(process: subprocess.Popen[str], log: Path) -> dict:
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, log.read_text()
    return json.loads(printed.splitlines()[-1])


def assert_same_history(mine: dict, theirs: dict) -> None:
    for row, other in zip(mine["rows"], theirs["rows"], strict=True):
        for key in ("loss", "val_loss"):
            assert row[key] == pytest.approx(other[key], abs=1e-4), (key, row, other)
    assert mine["weights"] == pytest.approx(theirs["weights"], rel=1e-3, abs=1e-3)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("devices") / "alone"
    found = outcome(start(folder, simulated=1), folder.parent / "alone-0.log")
    assert found["devices"] == 1
    return found


def test_four_devices_give_what_one_gives(alone: dict, tmp_path: Path) -> None:
    found = outcome(start(tmp_path / "four", simulated=4), tmp_path / "four-0.log")
    assert found["devices"] == 4
    assert_same_history(found, alone)


def test_two_processes_give_what_one_gives(alone: dict, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    both = [start(tmp_path / "two", address, 2, number, simulated=1) for number in range(2)]
    found = [outcome(process, tmp_path / f"two-{number}.log") for number, process in enumerate(both)]
    assert [each["devices"] for each in found] == [2, 2]
    assert found[0]["rows"] == found[1]["rows"]
    assert_same_history(found[0], alone)
    assert (tmp_path / "two" / "run-0" / "history.csv").exists()
    assert not (tmp_path / "two" / "run-1" / "history.csv").exists()  # the chief alone writes


def test_what_cannot_be_joined_is_said() -> None:
    with pytest.raises(UserError, match=r"--process must lie in 0\.\.1, received 2"):
        selection.Together("127.0.0.1:1", 2, 2)
