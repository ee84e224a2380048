"""Several hosts: processes find each other by what SLURM tells them, and what is in deploy/ starts what it should."""

import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from docs import commands
from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
JOIN = """
from cxr_keras3.backend import selection
selection.select("jax", selection.Together("auto", 1, 0))
from pathlib import Path
from cxr_keras3.backend import devices
number, count = devices.process()
(Path(FOLDER) / str(number)).write_text(str(count))  # Gloo writes to standard output
"""


def srun_of(folder: Path) -> dict[str, str]:
    """An `srun` that starts its command twice on this machine, and tells the processes what SLURM would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = folder / "srun"
    script.write_text("""#!/bin/bash
[[ $1 == --* ]] && shift
for number in 0 1; do
    SLURM_PROCID=$number SLURM_LOCALID=$number "$@" & processes+=($!)
done
wait "${processes[0]}" && wait "${processes[1]}"
""")
    script.chmod(0o755)
    path = os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])
    job = {"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "localhost,other", "SLURM_NTASKS": "2"}
    return os.environ | job | {"PATH": path, "JAX_COORDINATOR_PORT": str(port), "JAX_PLATFORMS": "cpu"}


def run(*command: str | Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_two_processes_of_a_slurm_job_find_each_other(tmp_path: Path) -> None:
    program = f"FOLDER = {str(tmp_path)!r}{JOIN}"
    done = run(tmp_path / "srun", sys.executable, "-c", program, environment=srun_of(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(tmp_path / number).read_text() for number in ("0", "1")] == ["2", "2"]


def test_where_there_is_no_job_that_is_said(run_python) -> None:
    done = run_python("-m", "cxr_keras3.train", "--backend", "jax", "--coordinator", "auto", JAX_PLATFORMS="cpu")
    assert done.returncode == 2, done.stderr
    assert "--coordinator auto needs a job" in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_the_slurm_script_trains_one_model_in_two_processes(data_dir: Path, tmp_path: Path) -> None:
    settings = (
        "--backbone mobilenet_025 --weights none --image-size 64 --head-epochs 2 --fine-tune none --batch-size 16"
    )
    folders = ("--data-dir", data_dir, "--cache-dir", tmp_path / "cache", "--run-dir", tmp_path / "run")
    done = run("bash", DEPLOY / "train.sbatch", *settings.split(), *folders, environment=srun_of(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 devices, 8 images a step on each" in done.stderr
    assert len((tmp_path / "run" / "history.csv").read_text().splitlines()) == 3
    assert (tmp_path / "run" / "evaluation" / "metrics.json").exists()


def test_the_tpu_script_hands_its_arguments_to_every_host(tmp_path: Path) -> None:
    (tmp_path / "gcloud").write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    (tmp_path / "gcloud").chmod(0o755)
    environment = os.environ | {"PATH": os.pathsep.join([str(tmp_path), os.environ["PATH"]])}
    given = ("--run-dir", "/shared/runs/my run")
    done = run(DEPLOY / "train-tpu-pod.sh", "pod", "europe-west4-b", *given, environment=environment)
    assert done.returncode == 0, done.stderr
    *_, where, workers, flag, command = done.stdout.splitlines()
    assert (where, workers, flag) == ("europe-west4-b", "--worker=all", "--command")
    assert command.endswith("train --backend jax --coordinator auto --run-dir /shared/runs/my\\ run")


def test_the_kuberay_job_runs_a_command_that_there_is_on_the_ray_that_is_pinned() -> None:
    spec = yaml.safe_load((DEPLOY / "ray-job.yaml").read_text())["spec"]
    shell, flag, script = shlex.split(spec["entrypoint"])
    assert (shell, flag) == ("sh", "-c")
    command, _, code = script.partition(" || ")
    assert code == "test $? -eq 3"
    python, minus_m, module, *arguments = shlex.split(command)
    assert (python, minus_m, module) == ("python", "-m", "cxr_keras3.score")
    parsed = commands.parser_of(module).parse_args(arguments)
    assert (parsed.address, parsed.inputs) == ("auto", ["s3://BUCKET/films"])
    pinned = re.search(r"^ray==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    cluster = spec["rayClusterSpec"]
    assert cluster["rayVersion"] == pinned[1]
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    assert {pod["template"]["spec"]["containers"][0]["image"] for pod in pods} == {"cxr_keras3:ray"}
