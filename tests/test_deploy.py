"""The image: pinned by digest and hashes, no root, nothing writable but what must be. Docker itself is not asked."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
LOCKED = (ROOT / "deploy" / "requirements.txt").read_text()


def pins(text: str) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def test_every_package_of_the_image_has_its_hashes_and_the_tested_version() -> None:
    entries = re.split(r"\n(?=\S)", LOCKED.strip())
    assert len(entries) > 100
    assert all(re.match(r"\S+==\S+ .*--hash=sha256:[0-9a-f]{64}", entry, re.DOTALL) for entry in entries)
    tested, locked = pins((ROOT / "constraints.txt").read_text()), pins(LOCKED)
    assert {name: locked[name] for name in tested.keys() & locked.keys()} == {
        name: tested[name] for name in tested.keys() & locked.keys()
    }
    assert {"gradio", "jax", "openvino", "pydicom", "ray", "highdicom", "s3fs"} <= locked.keys()


def test_no_index_is_named() -> None:
    assert "://" not in LOCKED
    assert "index" not in LOCKED


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
