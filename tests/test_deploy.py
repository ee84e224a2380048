"""The image: pinned by digest and hashes, no root, nothing writable but what must be. Docker itself is not asked."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
LOCKED = {name: (ROOT / "deploy" / f"requirements-{name}.txt").read_text() for name in ("serving", "score")}


def pins(text: str) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


@pytest.mark.parametrize("group", LOCKED)
def test_every_package_of_an_image_has_its_hashes_and_the_tested_version(group: str) -> None:
    entries = re.split(r"\n(?=\S)", LOCKED[group].strip())
    assert len(entries) > 60
    assert all(re.match(r"\S+==\S+ .*--hash=sha256:[0-9a-f]{64}", entry, re.DOTALL) for entry in entries)
    tested, locked = pins((ROOT / "constraints.txt").read_text()), pins(LOCKED[group])
    assert {name: locked[name] for name in tested.keys() & locked.keys()} == {
        name: tested[name] for name in tested.keys() & locked.keys()
    }
    assert {"gradio", "openvino", "pydicom", "highdicom"} <= locked.keys()
    assert not {"jax", "keras", "tensorflow-cpu", "apache-beam", "openvino-tokenizers"} & locked.keys()


def test_the_workers_of_bulk_scoring_have_what_the_services_have() -> None:
    serving, score = (pins(LOCKED[group]) for group in ("serving", "score"))
    assert serving.items() <= score.items()
    assert {"ray", "pyarrow", "s3fs"} <= score.keys() - serving.keys()


ONLY_LOCKED = """
import importlib.abc, importlib.metadata, re, sys

locked = set(sys.argv[1].split())
owners = importlib.metadata.packages_distributions()

class Refusal(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        known = {re.sub("[-_.]+", "-", owner).lower() for owner in owners.get(name, ())}
        if "." not in name and known and not known & locked:
            raise ModuleNotFoundError(f"{name} is not locked", name=name)

sys.meta_path.insert(0, Refusal())
from demo import app
from cxr_keras3 import serving
from cxr_keras3.pacs import service
from cxr_keras3.workflows import serving as services
from tfds_cxr import phantom

(answer,) = serving.load().predict([phantom.draw("Normal", seed=1, index=0)[0]])
print(answer.accepted, app.__name__, service.__name__, services.__name__)
"""


def test_what_serves_imports_nothing_that_is_not_locked() -> None:
    allowed = " ".join([*pins(LOCKED["serving"]), "cxr-keras3"])
    command = [sys.executable, "-c", ONLY_LOCKED, allowed]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("True")


def test_no_index_is_named() -> None:
    assert "://" not in "".join(LOCKED.values())
    assert "index" not in "".join(LOCKED.values())


@pytest.mark.parametrize("target", ["ray", "demo"])
def test_an_image_runs_as_no_root(target: str) -> None:
    stages = dict(re.findall(r"^FROM \S+ AS (\w+)\n(.*?)(?=^FROM|\Z)", dockerfile(), re.MULTILINE | re.DOTALL))
    assert re.findall(r"^USER (\S+)", stages[target], re.MULTILINE)[-1] == "10001"
    assert "--require-hashes" in stages["base"]


def test_the_base_has_no_default_and_needs_a_digest() -> None:
    assert re.search(r"^ARG BASE$", dockerfile(), re.MULTILINE)
    assert "*@sha256:*" in dockerfile()


def test_the_service_can_write_to_its_answers_alone() -> None:
    (service,) = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"].values()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert "/healthz" in dockerfile()


def dockerfile() -> str:
    return (ROOT / "deploy" / "Dockerfile").read_text()
