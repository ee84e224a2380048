"""The run that training leaves behind, and what evaluation says of it."""

import csv
import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from cxr_keras3 import evaluation
from cxr_keras3.base.errors import UserError
from cxr_keras3.images import canonical, decode
from cxr_keras3.model import classifier
from cxr_keras3.run.folder import Run
from cxr_keras3.run.manifest import Manifest
from cxr_keras3.run.metrics import Metrics
from cxr_keras3.serving import batches
from cxr_keras3.serving.outputs import NAMES
from cxr_keras3.serving.runtimes import FunctionRuntime
from cxr_keras3.statistics import metrics
from cxr_keras3.statistics.figures import Figure, Headlines
from cxr_keras3.training import data, history, runs, stages
from tests import splits
from tests.conftest import TINY
from tfds_cxr import reading
from tfds_cxr.labels import LABELS


@pytest.fixture(scope="module")
def manifest(run_dir: Path) -> Manifest:
    return Run.open(run_dir).manifest


@pytest.fixture(scope="module")
def results(run_dir: Path) -> Metrics:
    found = Run.open(run_dir).metrics
    assert found is not None
    return found


def test_manifest_says_what_the_model_is(manifest: Manifest, data_dir: Path) -> None:
    assert manifest.class_names == LABELS
    assert manifest.config == json.loads(json.dumps(dataclasses.asdict(TINY)))
    assert manifest.backend == keras.backend.backend()
    assert manifest.data["synthetic"] is True
    assert manifest.data["counts"] == reading.find(data_dir).info.metadata["counts"]
    assert manifest.packages["keras"] == keras.__version__
    assert 0.0 <= manifest.validation["macro_f1"]["value"] <= 1.0


def test_history_has_a_row_an_epoch_of_both_stages(run_dir: Path) -> None:
    with (run_dir / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["stage"], row["epoch"]) for row in rows] == [("head", "1"), ("head", "2"), ("fine-tuning", "1")]
    assert all(float(row["val_loss"]) > 0 for row in rows)


def test_metrics_are_those_of_the_predictions_written_beside_them(run_dir: Path, results: Metrics) -> None:
    with (run_dir / "evaluation" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    labels = [LABELS.index(row["label"]) for row in rows]
    probabilities = np.array([[float(row[name]) for name in LABELS] for row in rows])
    assert results.images == len(rows)
    assert results.accuracy.value == pytest.approx(accuracy_score(labels, probabilities.argmax(axis=1)))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
    for figure in results.headlines().values():
        assert figure.low <= figure.value <= figure.high
    assert sum(map(sum, results.confusion_matrix)) == len(rows)


def test_evaluated_images_are_the_test_split_in_the_order_of_their_labels(run_dir: Path, data_dir: Path) -> None:
    split = data.load_split(reading.find(data_dir), "test")
    with (run_dir / "evaluation" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["image_id"] for row in rows] == split.image_ids.tolist()
    assert all(row["image_id"].startswith(row["label"]) for row in rows)


def test_report_is_self_contained_and_says_that_images_are_synthetic(run_dir: Path, results: Metrics) -> None:
    report = (run_dir / "evaluation" / "report.html").read_text()
    assert "The images are synthetic" in report
    assert "Not a medical device" in report
    assert f"{results.accuracy.value:.3f}" in report
    assert "http://" not in report
    assert "https://" not in report


def test_the_frozen_part_did_not_move(run_dir: Path) -> None:
    model = Run.open(run_dir).load_model()
    fresh = classifier.build_classifier(
        TINY.backbone, weights="none", image_size=TINY.image_size, class_count=4, dropout=0.0, seed=0
    )
    backbone, untouched = (m.get_layer(classifier.BACKBONE) for m in (model, fresh))
    np.testing.assert_array_equal(backbone.get_layer("conv1_bn").moving_mean, 0.0)
    np.testing.assert_array_equal(untouched.get_layer("conv1_bn").moving_mean, 0.0)
    assert (keras.ops.convert_to_numpy(backbone.get_layer("conv_dw_12_bn").moving_variance) < 1.0).all()


def test_training_goes_on_from_the_model_that_ships() -> None:
    config = dataclasses.replace(TINY, backbone="mobilenet_025", weights="reference")
    trained = Run.open().load_model().get_weights()
    for mine, theirs in zip(stages.initial_model(config).get_weights(), trained, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_finished_run_is_not_overwritten(run_dir: Path, data_dir: Path) -> None:
    before = (run_dir / "manifest.json").read_bytes()
    with pytest.raises(UserError, match="must not hold a finished run"):
        runs.train(TINY, builder=reading.find(data_dir), run_dir=run_dir, cache_dir=run_dir)
    assert (run_dir / "manifest.json").read_bytes() == before


@pytest.mark.shared_data
def test_the_head_learns_real_films_by_heart(shared_data: Path, tmp_path: Path) -> None:
    """If forty films cannot be overfitted on real ImageNet features, labels and images have come apart."""
    root = shared_data / "radiography_299_sample" / "COVID-19_Radiography_Dataset"
    files = [file for label in LABELS for file in sorted((root / label / "images").iterdir())[:10]]
    images = np.stack([canonical(decode(file).pixels) for file in files])
    labels = np.repeat(np.arange(4), 10)
    weights = shared_data / "weights" / "mobilenet_2_5_224_tf_no_top.h5"
    config = dataclasses.replace(
        TINY,
        weights=str(weights),
        image_size=96,
        head_epochs=150,
        head_learning_rate=0.03,
        dropout=0.0,
        fine_tune="none",
    )
    model = stages.initial_model(config)
    split = splits.split(images, labels)
    stages.fit_stages(model, config, split, split, identity={}, run_dir=tmp_path, cache_dir=tmp_path)
    predicted = np.asarray(model.predict_on_batch(images)).argmax(axis=1)
    np.testing.assert_array_equal(predicted, labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content | {"schema_version": 99}, "schema version 1, received 99"),
        (
            lambda content: {key: value for key, value in content.items() if key != "class_names"},
            "must be a Manifest, class_names",
        ),
        (lambda content: content | {"surprise": 1}, "it holds surprise too"),
        (lambda content: content | {"input": {"shape": [224, 224, 3]}}, "must state the input"),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(run_dir: Path, tmp_path: Path, change, message: str) -> None:
    content = json.loads((run_dir / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(change(content)))
    with pytest.raises(UserError, match=message):
        Run.open(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a model"])
def test_a_damaged_model_file_is_refused(run_dir: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes((run_dir / "manifest.json").read_bytes())
    (tmp_path / "model.keras").write_bytes(content)
    with pytest.raises(UserError, match=r"model\.keras must be as it was written"):
        Run.open(tmp_path).load_model()
    manifest = json.loads((run_dir / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(
        json.dumps(manifest | {"checksums": {}})
    )  # as written before there were any
    with pytest.raises(UserError, match=r"model\.keras cannot be loaded"):
        Run.open(tmp_path).load_model()


def test_description_in_a_line_is_honest(results: Metrics) -> None:
    line = evaluation.describe(results)
    assert "accuracy" in line
    assert "synthetic" in line


INPUTS, NO_LABELS = np.arange(40, dtype=np.float32).reshape(1, 40, 1), np.zeros(40, dtype=int)


def epochs_of(inputs: np.ndarray, labels: np.ndarray, *, epochs: int = 2, **options: object) -> list[list[float]]:
    """The inputs of some epochs, each flat."""
    found = data.batches(inputs, labels, batch_size=8, **options)
    steps = data.steps_per_epoch(len(labels), 8)
    return [np.concatenate([next(found)[0][:, 0] for _ in range(steps)]).tolist() for _ in range(epochs)]


def test_batches_cover_each_epoch_once_in_an_order_of_the_seed() -> None:
    first, second = epochs_of(INPUTS, NO_LABELS, seed=0)
    assert sorted(first) == sorted(second) == INPUTS.ravel().tolist()
    assert first != second
    assert epochs_of(INPUTS, NO_LABELS, seed=0) == [first, second]
    assert epochs_of(INPUTS, NO_LABELS, seed=1)[0] != first
    assert epochs_of(INPUTS, NO_LABELS, seed=0, first_epoch=1)[0] == second


def test_processes_divide_the_batch_of_one() -> None:
    whole = data.batches(INPUTS, NO_LABELS, batch_size=8, seed=3)
    shares = [data.batches(INPUTS, NO_LABELS, batch_size=8, seed=3, process=(n, 4)) for n in range(4)]
    for _ in range(7):
        inputs, targets = next(whole)
        parts = [next(share) for share in shares]
        np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), inputs)
        np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), targets)


def test_views_are_used_in_turn() -> None:
    views = np.concatenate([INPUTS, INPUTS + 100, INPUTS + 200])
    found = epochs_of(views, NO_LABELS, epochs=4, seed=0)
    assert [min(epoch) for epoch in found] == [0, 100, 200, 0]


def test_balanced_batches_hold_every_class_equally_often() -> None:
    labels = np.array([0] * 700 + [1] * 200 + [2] * 90 + [3] * 10)
    inputs = np.zeros((1, 1000, 1), dtype=np.float32)
    batches = data.batches(inputs, labels, batch_size=100, seed=0, class_balance="sampling")
    drawn = np.mean([next(batches)[1] for _ in range(10)], axis=(0, 1))
    np.testing.assert_allclose(drawn, 0.25, atol=0.05)


def test_spread_over_seeds_is_that_of_the_figures(tmp_path: Path) -> None:
    results = [
        Headlines(**dict.fromkeys(metrics.HEADLINES, Figure(value=value, low=value, high=value)))
        for value in (0.8, 0.9, 0.85)
    ]
    line = history.write_spread(tmp_path, results)
    assert "3 seeds, test: accuracy 0.850 ± 0.050" in line
    written = json.loads((tmp_path / history.SEEDS).read_text())
    assert written["macro_f1"] == {
        "values": [0.8, 0.9, 0.85],
        "mean": pytest.approx(0.85),
        "standard_deviation": pytest.approx(0.05),
    }


def test_class_weights_average_to_one_and_favour_the_rare() -> None:
    labels = np.array([0] * 60 + [1] * 30 + [2] * 10)
    weights = data.class_weights(labels)
    assert np.mean([weights[label] for label in labels]) == pytest.approx(1.0)
    assert weights[0] < weights[1] < weights[2]


def test_the_last_batch_is_filled_up_without_a_trace() -> None:
    sizes = set()

    def double(batch: np.ndarray) -> dict[str, np.ndarray]:
        sizes.add(len(batch))
        return dict.fromkeys(NAMES, batch.astype(np.float32).mean(axis=(1, 2)) * 2)

    images = np.arange(37, dtype=np.uint8)[:, None, None, None] * np.ones((1, 299, 299, 1), dtype=np.uint8)
    outputs = batches.run(FunctionRuntime(double, "doubling"), images, task="doubling")
    np.testing.assert_allclose(outputs.logits[:, 0], np.arange(37) * 2)
    assert len(sizes) == 1
