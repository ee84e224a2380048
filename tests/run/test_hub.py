"""Runs pushed to a stand-in for the hub and fetched from it, honest ones and others."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import ModelCard, constants
from PIL import Image

from cxr_keras3 import push, serving
from cxr_keras3.base.errors import UserError
from cxr_keras3.run import hub
from cxr_keras3.run.folder import EVALUATION, MANIFEST, METRICS, MODEL, MODEL_CARD, REFERENCE, Run
from tests import hub_server
from tests.hub_server import Hub, Repository
from tfds_cxr import phantom

OWN = ("history.csv", "settings.json", "evaluation/predictions.csv", "evaluation/report.html", "checkpoints/head.npz",
       "tensorboard/events", "feedback/feedback.sqlite3", "films/patient.dcm")  # fmt: skip

# The client's own, as it uploads large files without xet.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with hub_server.serving() as found:
        yield found


@pytest.fixture(autouse=True)
def at_the_stand_in(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with HF_ENDPOINT, HF_HOME and HF_HUB_DISABLE_XET, which the client reads when it is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.delenv("HF_TOKEN", raising=False)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The reference model as a run of one's own, with what training and use leave beside it."""
    folder = Path(shutil.copytree(REFERENCE, tmp_path / "first"))
    for name in OWN:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"of this machine")
    return folder


def shipped() -> dict[str, bytes]:
    return {
        path.relative_to(REFERENCE).as_posix(): path.read_bytes() for path in REFERENCE.rglob("*") if path.is_file()
    }


def test_a_run_goes_to_the_hub_and_answers_from_there(
    server: Hub, run: Path, tmp_path: Path, run_python, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
    done = run_python("-m", "cxr_keras3.push", run, "hf://someone/first", HF_TOKEN=hub_server.TOKEN, **place)
    assert done.returncode == 0, done.stderr
    commit, tree = server.repositories["someone/first"].commits[-1]
    assert server.repositories["someone/first"].private
    assert tree.keys() == shipped().keys() - set(OWN)
    assert all(f"sending {name}, {len(content)} bytes" in done.stderr for name, content in tree.items())
    assert f"pushed: hf://someone/first@{commit}" in done.stderr
    film = tmp_path / "film.png"
    Image.fromarray(phantom.draw("COVID", seed=3, index=0)[0]).save(film)
    command = ("-m", "cxr_keras3.predict", film, "--output", tmp_path / "answer.jsonl")
    done = run_python(*command, "--model", "hf://someone/first", HF_TOKEN=hub_server.TOKEN, **place)
    assert done.returncode == 0, done.stderr
    assert f"run: hf://someone/first@{commit}, all checksums right" in done.stderr
    (answer,) = map(json.loads, (tmp_path / "answer.jsonl").read_text().splitlines())
    (expected,) = serving.load().predict([film])
    assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=1e-6)


def test_what_is_public_keeps_no_name_of_an_image(server: Hub, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)
    assert json.loads((run / EVALUATION / METRICS).read_text())["errors"]["most_confident"]
    hub.push(Run.open(run), hub.Handle.parse("hf://someone/nameless"))
    ((_, tree),) = server.repositories["someone/nameless"].commits
    metrics = json.loads(tree[f"{EVALUATION}/{METRICS}"])
    assert not any(metrics["errors"].values())
    card = ModelCard(tree[MODEL_CARD].decode()).data
    assert (card.license, card.library_name, card.pipeline_tag) == ("other", "keras", "image-classification")
    assert "not-a-medical-device" in card.tags
    assert card.datasets == ["tfds_cxr"]
    measured = {result.metric_type: result.metric_value for result in card.eval_results}
    assert measured["accuracy"] == pytest.approx(metrics["accuracy"]["value"], abs=1e-4)
    assert set(card.metrics) == measured.keys()


def test_a_second_push_takes_away_what_the_run_no_longer_has(
    server: Hub, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)
    server.repositories["someone/twice"] = Repository()
    server.repositories["someone/twice"].commit({"lungs/model.xml": b"before", "notes.txt": b"the owner's"})
    pinned = hub.push(Run.open(run), hub.Handle.parse("hf://someone/twice"))
    commit, tree = server.repositories["someone/twice"].commits[-1]
    assert pinned.revision == commit
    assert "lungs/model.xml" not in tree
    assert "notes.txt" in tree
    assert not server.repositories["someone/twice"].private


def test_a_run_of_the_hub_is_pinned_kept_and_not_written_to(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = server.repositories.setdefault("someone/pinned", Repository()).commit(shipped())
    second = server.repositories["someone/pinned"].commit(shipped() | {MODEL_CARD: b"newer"})
    assert first != second
    newest = Run.open(Path("hf://someone/pinned"))
    assert newest.origin == f"hf://someone/pinned@{second}"
    run = Run.open(Path(f"hf://someone/pinned@{first}"))
    assert run.origin == f"hf://someone/pinned@{first}"
    assert run.fingerprint == Run.open().fingerprint
    assert run.results_folder == Path("runs") / f"someone--pinned-{first[:12]}"
    server.requests.clear()
    assert Run.open(Path(run.origin)).folder == run.folder
    assert not server.requests
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert Run.open(Path("hf://someone/pinned")).origin == newest.origin
    with pytest.raises(UserError, match=f"hf download someone/pinned --revision {first} --local-dir runs/pinned"):
        run.require_own("an export is written")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"export/openvino/model.bin": b"other weights"}, "its checksum is another"),
        ({"export/openvino/second.xml": b"<net/>"}, "holds second.xml"),
        ({MODEL: b"other weights"}, "its checksum is another"),
        ({MANIFEST: b"{}"}, "must be a Manifest"),
        ({MANIFEST: json.dumps(json.loads(shipped()[MANIFEST]) | {"checksums": {}}).encode()}, "state the checksum"),
        ({"gate.npz": b"PK"}, "gate.npz"),
        ({name: None for name in shipped() if name.startswith(("export", MODEL))}, "it holds neither"),
        (dict.fromkeys(shipped()) | {"model.safetensors": b"of another kind"}, "must be a run of at most"),
    ],
)
def test_a_run_that_is_not_as_it_was_written_is_refused(
    server: Hub, change: dict[str, bytes | None], said: str
) -> None:
    tree = {name: content for name, content in (shipped() | change).items() if content is not None}
    server.repositories["someone/hostile"] = Repository()
    server.repositories["someone/hostile"].commit(tree)
    with pytest.raises(UserError, match=said):
        Run.open(Path("hf://someone/hostile"))


def test_a_run_that_is_too_large_is_not_fetched(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "LARGEST", 1000)
    server.repositories.setdefault("someone/large", Repository()).commit(shipped())
    server.requests.clear()
    with pytest.raises(UserError, match="at most 1000 bytes"):
        Run.open(Path("hf://someone/large"))
    assert not any("resolve" in request for request in server.requests)


def test_names_that_climb_out_of_the_folder_are_refused(server: Hub, tmp_path: Path) -> None:
    climbing = "export/openvino/../../../../../../../climbed"
    server.repositories.setdefault("someone/climbing", Repository()).commit(shipped() | {climbing: b"out"})
    with pytest.raises(UserError, match="must be a run that the hub gives"):
        Run.open(Path("hf://someone/climbing"))
    assert not list(tmp_path.rglob("climbed"))


def test_mistakes_are_said_in_one_line(server: Hub, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="must be hf://OWNER/NAME"):
        Run.open(Path("hf://someone"))
    with pytest.raises(UserError, match="RepositoryNotFoundError"):
        Run.open(Path("hf://someone/missing"))
    with pytest.raises(UserError, match="a push needs a login"):
        push.main([os.fspath(run), "hf://someone/new"])
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(UserError, match=r"lets you write to.*401"):
        push.main([os.fspath(run), "hf://someone/new"])
    with pytest.raises(UserError, match="main branch"):
        push.main([os.fspath(run), "hf://someone/new@main"])
    (run / MODEL).write_bytes(b"other weights")
    with pytest.raises(UserError, match="its checksum is another"):
        push.main([os.fspath(run), "hf://someone/new"])
    (run / MODEL_CARD).unlink()
    with pytest.raises(UserError, match="with its model card"):
        push.main([os.fspath(run), "hf://someone/new"])
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    huggingface_hub.close_session()
    with pytest.raises(UserError, match="check name and network"):
        Run.open(Path("hf://someone/pinned"))
