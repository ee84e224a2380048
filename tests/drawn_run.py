"""A run folder with a small OpenVINO graph in place of a trained one: known truth, and no Keras."""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from cxr_keras3.backend import openvino_graph
from cxr_keras3.base import files, records
from cxr_keras3.run import abnormality, calibration, gate
from cxr_keras3.run.abnormality import Abnormality
from cxr_keras3.run.answers import Answers
from cxr_keras3.run.audit import Activation, Audit, Floor, LungMasks, Margin, Reason, RegionTests, Verdict
from cxr_keras3.run.folder import (
    ABNORMALITY,
    CALIBRATION,
    EVALUATION,
    EXPORTS,
    GATE,
    MANIFEST,
    METRICS,
    MODEL_CARD,
    PREDICTIONS,
    REPORT,
    Run,
)
from cxr_keras3.run.manifest import INPUT_CONTRACT, SCHEMA_VERSION, Manifest
from cxr_keras3.run.metrics import SCHEMA_VERSION as METRICS_SCHEMA_VERSION
from cxr_keras3.run.metrics import (
    AnswerFigures,
    AtPrevalence,
    CalibrationErrors,
    Errors,
    MeasuredCalibration,
    Metrics,
    Reliability,
    Timing,
    Triage,
)
from cxr_keras3.run.parity import PARITY, Agreement, Parity
from cxr_keras3.run.predictions import write_predictions
from cxr_keras3.run.source_tests import SourceTests
from cxr_keras3.run.subgroup_tests import SubgroupTests, ViewTests
from cxr_keras3.serving import runtimes
from cxr_keras3.statistics.figures import UNDEFINED, ClassFigures, Figure
from cxr_keras3.statistics.metrics import HEADLINES
from tfds_cxr import phantom
from tfds_cxr.labels import LABELS

FLOORS = {"thumbnail": 0.7, "border_only": 0.6}
WEIGHTS = np.array([[3.0, 1.0, -2.0, 0.5]], dtype=np.float32)  # one feature to four logits
AGAINST = np.array([10.0, -10.0], dtype=np.float32)
"""Two features that are the same for every film: beside them its brightness outlives `abnormality.per_film`."""
BRIGHTNESS = np.array([17.32] * 4 + [0.0] * 2)
"""From the features, the quarters' mean brightness and `AGAINST`, to the logit of abnormal: some four times theirs."""
EQUAL = Agreement(1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def expected_probabilities(pixels: np.ndarray, *, temperature: float) -> np.ndarray:
    """What the graph gives for uint8 (299, 299): the softmax of the weighted mean brightness of its 298 x 298."""
    logits = pixels[:298, :298].mean() / 255.0 * WEIGHTS[0] / temperature
    return np.asarray(np.exp(logits) / np.exp(logits).sum())


def write(folder: Path, *, temperature: float | None = 2.0, synthetic: bool = False) -> Path:
    """Writes manifest, export and, where a temperature is given, calibration."""
    export = folder / EXPORTS / "openvino"
    export.mkdir(parents=True)
    _write_graph(export / openvino_graph.GRAPH, temperature or 1.0)
    sums = files.checksums(sorted(export.iterdir()))
    records.write(export / PARITY, Parity(3, "openvino", 8, "drawn", temperature or 1.0, "any", sums, EQUAL, None))
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name=folder.name,
        created="2026-01-01T00:00:00+00:00",
        class_names=LABELS,
        input=INPUT_CONTRACT,
        backend="jax",
        config={"backbone": "mobilenet_025"},
        data={"synthetic": synthetic, "listing_fingerprint": "drawn"},
        validation={},
        packages={},
    )
    records.write(folder / MANIFEST, manifest)
    if temperature is not None:
        thresholds = dict.fromkeys(calibration.COVERAGES, (0.9,) * len(LABELS))
        fitted = calibration.Calibration(
            calibration.SCHEMA_VERSION, temperature, 0.95, 0.5, thresholds, LABELS, "validation", 100
        )
        records.write(folder / CALIBRATION, fitted)
        write_abnormality(folder)
    return folder


def write_abnormality(
    folder: Path, *, weights: np.ndarray = BRIGHTNESS, bias: float = 2.0, evidenced: bool = True
) -> None:
    """The abnormal score is the logistic function of some four times the mean brightness and a bias; one source."""
    generator = np.random.default_rng(0)
    normal = np.repeat([True, False], 200)
    drawn = Abnormality(
        weights=weights,
        bias=bias,
        sources=np.array(["drawn"]),
        source_weights=np.zeros((len(weights), 1)),
        source_bias=np.zeros(1),
        evidenced=np.full((1, 4), evidenced),
        fitted_on=generator.normal(np.where(normal, -2.0, 2.0)),
        fitted_on_normal=normal,
        fitted_on_likeness=np.ones(400),
    )
    abnormality.save(drawn, folder / ABNORMALITY)


def features(logits: np.ndarray) -> np.ndarray:
    """Features, (N, 6), whose logit of abnormal is, to a hundredth part or so, as given, (N,), where the bias is 0."""
    quarters = np.repeat(np.asarray(logits, dtype=np.float32)[:, np.newaxis] / 4, 4, axis=1)
    return np.concatenate([quarters, np.tile(AGAINST, (len(quarters), 1))], axis=1)


def expected_score(pixels: np.ndarray, *, bias: float = 2.0) -> float:
    """The abnormal score of uint8 (299, 299)."""
    quarters = pixels[:298, :298].reshape(2, 149, 2, 149).mean(axis=(1, 3)).reshape(1, 4) / 255.0
    (seen,) = abnormality.per_film(np.concatenate([quarters, AGAINST[np.newaxis]], axis=1))
    return float(1 / (1 + np.exp(-seen @ BRIGHTNESS - bias)))


def _write_graph(path: Path, temperature: float) -> None:
    openvino = openvino_graph.import_openvino()
    from openvino import opset13 as ops

    images = ops.parameter([-1, 299, 299, 1], np.uint8, name="image")
    grey = ops.divide(ops.convert(images, "f32"), np.float32(255.0))
    pooled = ops.avg_pool(ops.transpose(grey, [0, 3, 1, 2]), [149, 149], [0, 0], [0, 0], [149, 149], False)
    cells = ops.transpose(pooled, [0, 2, 3, 1])  # (B, 2, 2, 1)
    maps = ops.matmul(cells, ops.constant(WEIGHTS), False, False)
    logits = ops.reduce_mean(maps, [1, 2])
    quarters = ops.reshape(cells, [0, 4], True)
    each = ops.slice(quarters, [0], [2], [1], [1])  # as many rows as there are films
    against = ops.add(ops.multiply(each, np.float32(0)), ops.constant(AGAINST[np.newaxis]))
    outputs = {
        "logits": logits,
        "probabilities": ops.softmax(ops.divide(logits, np.float32(temperature)), 1),
        "activation_maps": maps,
        "features": ops.concat([quarters, against], 1),
    }
    results = []
    for name, node in outputs.items():
        result = ops.result(node)
        result.output(0).tensor.set_names({name})
        results.append(result)
    openvino.save_model(openvino.Model(results, [images]), path, compress_to_fp16=False)


def write_films(folder: Path, count: int) -> list[Path]:
    """Writes PNGs of a drawn chest, of rising brightness with a little noise; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    chest = phantom.draw("Normal", seed=1, index=0)[0] // 2
    files = []
    for index in range(count):
        noise = np.random.default_rng(index).integers(0, 4, (299, 299))
        files.append(folder / f"{index:03d}.png")
        Image.fromarray((chest + noise + index * 120 // max(count, 1)).astype(np.uint8)).save(files[-1])
    return files


def write_evaluation(folder: Path, *, verdict: Verdict = "WARN", synthetic: bool = False) -> Metrics:
    """Writes an evaluation with known figures beside a drawn run: 100 films, 90 of which it gets right."""
    evaluation = folder / EVALUATION
    evaluation.mkdir()
    labels = np.repeat(np.arange(4), 25)
    probabilities = np.full((100, 4), 0.1) + 0.6 * np.eye(4)[(labels + (np.arange(100) % 10 == 0)) % 4]
    answers = probabilities.argmax(axis=1)
    errors = CalibrationErrors(
        expected_calibration_error=figure(0.05),
        brier=figure(0.9),
        log_loss=figure(0.9),
        reliability=Reliability(confidence=(0.7,), accuracy=(0.9,), images=(100,)),
    )
    calibrated = Run.open(folder).required_calibration
    metrics = Metrics(
        **dict.fromkeys(HEADLINES, figure(0.9)),
        schema_version=METRICS_SCHEMA_VERSION,
        run=folder.name,
        split="test",
        dataset_version="2.0.0",
        left_out=0,
        images=100,
        groups=80,
        synthetic=synthetic,
        created="2026-01-01T00:00:00+00:00",
        by_class={name: _class_figures(0.95) for name in LABELS},
        confusion_matrix=tuple(
            tuple(int(((labels == row) & (answers == column)).sum()) for column in range(4)) for row in range(4)
        ),
        calibration=MeasuredCalibration(**vars(calibrated), before=errors, after=errors),
        triage=Triage(
            sensitivity_aimed_at=0.95,
            threshold=0.5,
            auroc=figure(0.9),
            sensitivity=figure(0.953),
            specificity=figure(0.8),
            by_prevalence={share: _at_prevalence(0.7) for share in ("0.1", "0.5")},
        ),
        answers=AnswerFigures(accuracy=figure(0.9), withheld=figure(0.2), accuracy_where_named=figure(0.9)),
        prediction_sets={},
        accuracy_by_share_answered={},
        floors={name: Floor(**vars(figure(value)), balanced_accuracy=figure(value)) for name, value in FLOORS.items()},
        audit=_audit(verdict),
        errors=Errors(most_confident=(), copies_answered_differently=(), likely_label_errors=()),
        timing=Timing(total_seconds=1.0, model_seconds=0.5, scoring_seconds=0.1, share_outside_the_model=0.5),
    )
    records.write(evaluation / METRICS, metrics)
    columns = {"image_id": [str(index) for index in range(100)]}
    said = Answers(
        probabilities=probabilities,
        abnormal_scores=1 - probabilities[:, LABELS.index("Normal")],
        flags=answers != LABELS.index("Normal"),
        predicted=answers,
        prediction_sets=calibrated.prediction_sets(probabilities),
        withheld=("",) * 100,
    )
    write_predictions(evaluation / PREDICTIONS, columns, labels, said, class_names=LABELS)
    (evaluation / REPORT).write_text("<p>the report")
    (folder / MODEL_CARD).write_text("---\nlicense: other\n---\n\n# The model card\n")
    return metrics


def _audit(verdict: Verdict) -> Audit:
    sources = SourceTests(by_source={}, by_age_group={}, exclusive_classes=(), fair_contrasts=(), probe={}, left_out=())
    return Audit(
        images=100,
        margin=Margin(**vars(figure(0.2)), floor="thumbnail"),
        cues={},
        lungs=LungMasks(drawn=0, found=0, agreement=UNDEFINED),
        regions=RegionTests(images=0, without_mask=100, classes=()),
        regions_drawn=RegionTests(images=0, without_mask=100, classes=()),
        activation=Activation(images=0, map_cells=(2, 2), share=UNDEFINED, area=UNDEFINED, excess=UNDEFINED),
        sources=sources,
        subgroups=SubgroupTests(by_attribute={}, gaps=(), view=ViewTests(gap=UNDEFINED, shift={}), view_probe={}),
        degraded={"all": figure(0.0)},
        verdict=verdict,
        reasons=(Reason(level="WARN", rule="confounded", text="a <reason>"),),
        shortcut=None,
    )


def _class_figures(value: float) -> ClassFigures:
    found = figure(value)
    return ClassFigures(images=25, precision=found, recall=found, f1=found, auroc=found, average_precision=found)


def _at_prevalence(value: float) -> AtPrevalence:
    return AtPrevalence(**{field.name: figure(value) for field in dataclasses.fields(AtPrevalence)})


def figure(value: float) -> Figure:
    return Figure(value=value, low=value - 0.04, high=value + 0.04)


def write_gate(folder: Path, films: np.ndarray) -> None:
    """Fits the gate of a drawn run to films, uint8 (N, 299, 299, 1)."""
    runtime = runtimes.load_runtime(Run.open(folder), "openvino")
    found = runtime.start(films)().features
    gate.save(gate.fit(found, found, images_train=films), folder / GATE)
