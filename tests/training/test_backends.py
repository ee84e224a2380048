"""The same weights give the same logits on every backend, and the same training the same head."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

CODE = """
import json, sys
from cxr_keras3.backend import selection; selection.select(sys.argv[1])
import keras, numpy as np
from tests.conftest import TINY
import dataclasses
from cxr_keras3.training import stages
from tests import splits
from pathlib import Path
folder, name = Path(sys.argv[2]), sys.argv[1]
keras.utils.set_random_seed(0)
config = dataclasses.replace(TINY, fine_tune="none", head_epochs=8, dropout=0.0, head_learning_rate=0.02)
labels = np.arange(96) % 4
noise = np.random.default_rng(0).integers(0, 100, (96, 299, 299, 1))
noise[:, :150] += 30 * (labels % 2)[:, None, None, None]; noise[..., :150, :] += 30 * (labels // 2)[:, None, None, None]
images = noise.astype(np.uint8)
split = splits.split(images, labels)
model = stages.initial_model(config)
if name == "jax":
    for variable in model.get_layer("backbone").weights:  # else what an untrained network yields is all but nothing
        if "kernel" in variable.path:
            variable.assign(variable * 4.0)
    model.save_weights(folder / "initial.weights.h5")
model.load_weights(folder / "initial.weights.h5")
before = np.asarray(model.predict_on_batch(images[:8]))
run = folder / name; run.mkdir()
rows = stages.fit_stages(model, config, split, split, identity={}, run_dir=run, cache_dir=folder / "cache")
logits = np.asarray(model.predict_on_batch(images[:8]))
print(json.dumps({"before": before.tolist(), "rows": rows, "logits": logits.tolist()}))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, run_python) -> dict[str, dict]:
    folder = tmp_path_factory.mktemp("backends")
    (folder / "train.py").write_text(CODE)
    found = {}
    for backend in ("jax", "tensorflow", "torch"):
        if importlib.util.find_spec(backend):
            done = run_python(folder / "train.py", backend, folder, PYTHONPATH=str(Path(__file__).parents[2]))
            assert done.returncode == 0, done.stderr
            found[backend] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_backends_agree(outcomes: dict[str, dict], backend: str) -> None:
    if backend not in outcomes:
        pytest.skip(f"{backend} is not installed")
    mine, jax = outcomes[backend], outcomes["jax"]
    assert np.ptp(jax["before"]) > 0.01
    np.testing.assert_allclose(mine["before"], jax["before"], atol=1e-4)
    for row, other in zip(mine["rows"], jax["rows"], strict=True):
        for key in ("loss", "accuracy", "macro_f1", "val_loss", "val_accuracy", "val_macro_f1"):
            assert row[key] == pytest.approx(other[key], abs=1e-3), (key, row, other)
    np.testing.assert_allclose(mine["logits"], jax["logits"], atol=1e-2)
