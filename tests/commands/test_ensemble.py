"""Several runs as one: the mean of their logits, a run like any other."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from cxr_keras3 import ensemble, serving
from cxr_keras3.base import files
from cxr_keras3.base.errors import UserError
from cxr_keras3.model import classifier
from cxr_keras3.run.filling import is_complete
from cxr_keras3.run.folder import MANIFEST, MODEL, MODEL_CARD, Run
from tests.conftest import run_here

BACKBONE, IMAGE_SIZE = "mobilenet_025", 64


def _members(count: int) -> list[keras.Model]:
    """Untrained classifiers; their weights are random, and no two have the same."""
    found = []
    for seed in range(count):
        keras.utils.set_random_seed(seed)
        found.append(
            classifier.build_classifier(
                BACKBONE, weights="none", image_size=IMAGE_SIZE, class_count=4, dropout=0.2, seed=seed
            )
        )
    return found


@pytest.fixture(scope="module")
def films() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 299, 299, 1), dtype=np.uint8)


@pytest.mark.parametrize("count", [1, 3])
def test_logits_and_maps_are_the_means_of_the_members(count: int, films: np.ndarray, tmp_path: Path) -> None:
    members = _members(count)
    whole = classifier.mean(members)
    logits, maps = (np.asarray(each) for each in classifier.explainer(whole).predict_on_batch(films))
    of_each = [classifier.explainer(member).predict_on_batch(films) for member in members]
    np.testing.assert_allclose(logits, np.mean([each[0] for each in of_each], axis=0), atol=1e-5)
    np.testing.assert_allclose(maps, np.mean([each[1] for each in of_each], axis=0), atol=1e-5)
    whole.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(np.asarray(again.predict_on_batch(films)), logits, atol=1e-6)


@pytest.fixture(scope="module")
def runs(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The tiny run, and what it would be with other weights."""
    other = Path(shutil.copytree(run_dir, tmp_path_factory.mktemp("members") / "other"))
    model = Run.open(other).load_model()
    generator = np.random.default_rng(1)
    linear = model.get_layer(classifier.LOGITS)
    linear.set_weights([weight + generator.normal(0, 0.5, weight.shape) for weight in linear.get_weights()])
    model.save(other / MODEL)
    _change(other, lambda manifest: manifest.update(name="other", checksums=files.checksums([other / MODEL])))
    return [run_dir, other]


def _change(run: Path, change) -> None:
    manifest = json.loads((run / MANIFEST).read_text())
    change(manifest)
    (run / MANIFEST).write_text(json.dumps(manifest))


def test_the_command_makes_a_run_that_serves(
    runs: list[Path], data_dir: Path, film: Path, tmp_path: Path, run_python
) -> None:
    out = tmp_path / "ensemble"
    command = ("cxr_keras3.ensemble", *runs, "--run-dir", out, "--data-dir", data_dir)
    done = run_python("-m", *command)
    assert done.returncode == 0, done.stderr
    assert is_complete(out)
    assert Run.open(out).manifest.members == ("tiny", "other")
    (found,) = serving.load(out).predict([film])
    assert sum(found.probabilities.values()) == pytest.approx(1.0)
    assert "mean of 2" in (out / MODEL_CARD).read_text()
    refused = run_here(*command)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    with pytest.raises(UserError, match="is an ensemble; name its members"):
        ensemble.main([str(out), str(out), "--run-dir", str(tmp_path / "more")])


def test_members_that_do_not_belong_together_are_refused(runs: list[Path], tmp_path: Path) -> None:
    def refused(*members: Path) -> str:
        with pytest.raises(UserError) as error:
            ensemble.main([*map(str, members), "--run-dir", str(tmp_path / "out")])
        assert not (tmp_path / "out").exists()
        return str(error.value)

    first, second = runs[0], Path(shutil.copytree(runs[1], tmp_path / "second"))
    assert "two runs or more, received 1" in refused(first)
    _change(second, lambda manifest: manifest["config"].update(image_size=96))
    assert "differ in their seed alone, image_size is 64" in refused(first, second)
    _change(second, lambda manifest: manifest["data"].update(listing_fingerprint="0"))
    assert "the same dataset" in refused(first, second)
