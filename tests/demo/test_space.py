"""The folder that is a Space of the Hugging Face hub."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml
from gradio_client import Client, handle_file

from cxr_keras3 import images
from cxr_keras3.base.errors import UserError
from cxr_keras3.run.folder import Run
from demo import space
from demo.pages import NOTICE
from tests import drawn_run
from tests.demo_server import free_port
from tfds_cxr import phantom

FRAMEWORKS = ("keras", "jax", "tensorflow", "tensorflow_datasets", "torch", "keras_cv")
HOST = "somebody-reader.hf.space"


@pytest.fixture(scope="module")
def folder(demo_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = tmp_path_factory.mktemp("space") / "space"
    space.write_space(Run.open(demo_run), written)
    return written


@contextmanager
def started(python: Path, folder: Path, **environment: str) -> Iterator[str]:
    """Starts app.py as the hub does, and yields its address once it answers."""
    port = str(free_port())
    environment = {"PATH": os.environ["PATH"], "GRADIO_SERVER_PORT": port, "SPACE_HOST": HOST, **environment}
    with (folder.parent / "log.txt").open("w+") as log:
        server = subprocess.Popen([python, "app.py"], cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 300
            while True:
                try:
                    httpx.get(f"{address}/healthz", timeout=60).raise_for_status()
                    break
                except httpx.HTTPError:
                    log.seek(0)
                    assert server.poll() is None, log.read()
                    assert time.monotonic() < deadline, log.read()
                    time.sleep(0.2)
            yield address
        finally:
            server.terminate()
            server.wait(timeout=30)


def answer_to_a_film(address: str, folder: Path) -> dict:
    film = folder.parent / "film.png"
    film.write_bytes(images.encode_png(phantom.draw("COVID", seed=3, index=500)[0]))
    client = Client(address, verbose=False, httpx_kwargs={"timeout": 120})
    answered = client.predict(handle_file(film), api_name="/predict")
    client.close()
    return answered


def test_a_space_says_what_the_hub_asks_for_and_what_it_is(folder: Path) -> None:
    _, header, text = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    said = yaml.safe_load(header)
    assert (said["sdk"], said["app_file"]) == ("gradio", "app.py")
    assert said["sdk_version"] == space.importlib.metadata.version("gradio")
    assert said["python_version"] == "{}.{}".format(*sys.version_info)
    assert len(said["short_description"]) <= 60
    assert {said["colorFrom"], said["colorTo"]} <= {"gray", "blue"}
    assert NOTICE in text
    assert "Upload no patient's film" in text
    pins = (folder / "requirements.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", pin) for pin in pins)
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert not list(folder.rglob("__pycache__"))
    assert (folder / space.RUN / "evaluation" / "metrics.json").exists()
    assert not (folder / space.RUN / "evaluation" / "report.html").exists()  # a report shows films


def test_a_space_answers_without_a_framework_and_only_the_hub_frames_it(folder: Path, tmp_path: Path) -> None:
    blocked = f"import sys\nsys.modules.update(dict.fromkeys({FRAMEWORKS}))\n"  # importing one is an error now
    (tmp_path / "sitecustomize.py").write_text(blocked)
    with started(Path(sys.executable), folder, PYTHONPATH=str(tmp_path), HOME=str(tmp_path)) as address:
        assert answer_to_a_film(address, folder)["accepted"]
        forwarded = {"Host": HOST, "X-Forwarded-Proto": "https"}
        page = httpx.get(address, headers=forwarded, timeout=60)
        assert "frame-ancestors https://huggingface.co" in page.headers["content-security-policy"]
        assert "upload no patient" in page.text
        assert f'"root":"https://{HOST}' in page.text
        assert httpx.get(address, headers={"Host": "evil.example"}, timeout=60).status_code == 421


@pytest.mark.slow
def test_a_space_starts_from_a_clean_environment(folder: Path, tmp_path: Path) -> None:
    """With what the hub installs and nothing else; needs a package index, and uv, which takes seconds for minutes."""
    pytest.importorskip("uv")
    uv, python = [sys.executable, "-m", "uv"], tmp_path / "venv" / "bin" / "python"
    subprocess.run([*uv, "venv", "--python", sys.executable, tmp_path / "venv"], check=True)
    gradio = f"gradio[oauth,mcp]=={space.importlib.metadata.version('gradio')}"
    wanted = [gradio, "uvicorn", "websockets", "--requirement", folder / "requirements.txt"]
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, *wanted], check=True, timeout=540)
    with started(python, folder, HOME=str(tmp_path)) as address:
        assert answer_to_a_film(address, folder)["accepted"]


def test_of_the_reference_model_nothing_is_copied_twice(tmp_path: Path) -> None:
    space.write_space(Run.open(), tmp_path / "space")
    assert not (tmp_path / "space" / space.RUN).exists()
    assert "--model" not in (tmp_path / "space" / "app.py").read_text()


def test_what_cannot_be_a_space_is_said(tmp_path: Path, demo_run: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(UserError, match="must name a new or empty folder"):
        space.write_space(Run.open(demo_run), tmp_path / "full")
    run = drawn_run.write(tmp_path / "run")
    (run / "export" / "openvino").rename(run / "export" / "onnx")
    with pytest.raises(UserError, match="has no export to it; run"):
        space.write_space(Run.open(run), tmp_path / "space")
