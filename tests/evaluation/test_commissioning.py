"""A site's level is found without labels, labels recalibrate, and what cannot serve is refused."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cxr_keras3 import commission, serving
from cxr_keras3.base.errors import UserError
from cxr_keras3.evaluation import commissioning
from cxr_keras3.evaluation.commissioning import estimate_level
from cxr_keras3.run import drift
from cxr_keras3.run.folder import Run
from cxr_keras3.serving import Prediction
from tests import drawn_run
from tfds_cxr.labels import LABELS

NORMAL, OPACITY = LABELS.index("Normal"), LABELS.index("Lung_Opacity")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Its logit of abnormal is the sum of four features; normal films lie around -2, abnormal ones around 2."""
    folder = drawn_run.write(tmp_path_factory.mktemp("runs") / "first")
    drawn_run.write_abnormality(folder, bias=0.0)
    films = np.random.default_rng(0).integers(0, 256, (60, 299, 299, 1), dtype=np.uint8)
    drawn_run.write_gate(folder, films)
    opened = Run.open(folder)
    values = drawn_run.features(np.repeat([-2.0, 2.0], 200))
    values[:, :4] += np.random.default_rng(1).normal(0.0, 0.25, (400, 4))
    gate = opened.required_gate
    opened.__dict__["gate"] = dataclasses.replace(
        gate,
        mean=np.zeros(6, np.float32),
        variances=np.ones_like(gate.variances),
        threshold=100.0,
        validated=np.zeros(0),
    )
    measured = opened.required_gate.distances(values.astype(np.float32))
    opened.__dict__["gate"] = dataclasses.replace(opened.required_gate, validated=measured)
    return opened


def logits(count: int, share: float, *, shift: float = 0.0, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    abnormal = generator.random(count) < share
    return generator.normal(np.where(abnormal, 2.0, -2.0)) + shift, abnormal


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("shift", [-1.5, 0.0, 1.5])
def test_shift_and_share_are_found_together(run: Run, share: float, shift: float) -> None:
    found = estimate_level(logits(300, share, shift=shift)[0], run.required_abnormality)
    assert found.offset == pytest.approx(-shift, abs=0.45)
    assert found.abnormal_share == pytest.approx(share, abs=0.1)


def test_a_site_like_the_validation_films_is_hardly_ever_shifted(run: Run) -> None:
    moved = [estimate_level(logits(100, 0.4, seed=seed)[0], run.required_abnormality).offset != 0 for seed in range(40)]
    assert sum(moved) <= 4


def predictions(run: Run, values: np.ndarray, *, refused: int = 0) -> list[Prediction]:
    (film,) = serving.load(run).predict([np.zeros((299, 299), np.uint8)])
    return [
        dataclasses.replace(
            film,
            file=str(index),
            accepted=index >= refused,
            features=drawn_run.features(np.array([value]))[0],
            probabilities={"COVID": 0.1, "Lung_Opacity": 0.5, "Normal": 0.3, "Viral Pneumonia": 0.1},
        )
        for index, value in enumerate(values)
    ]


def test_without_labels_the_level_is_adapted(run: Run) -> None:
    values, _ = logits(150, 0.4, shift=1.5)
    site = commissioning.commission(run, predictions(run, values), {}, name="north")
    assert site.verdict == "adapted"
    assert site.offset == pytest.approx(-1.5, abs=0.5)
    assert (site.labelled, site.vouched, site.films) == (0, (), 150)
    assert site.calibration == run.required_calibration
    assert any("no label checks it" in reason for reason in site.reasons)


def test_labels_set_the_threshold(run: Run) -> None:
    values, abnormal = logits(200, 0.5, shift=1.0)
    known = {str(index): OPACITY if ill else NORMAL for index, ill in enumerate(abnormal)}
    site = commissioning.commission(run, predictions(run, values), known, name="north", sensitivity=0.9)
    assert site.verdict == "recalibrated"
    assert site.offset == 0.0
    flagged = site.calibration.flag(1 / (1 + np.exp(-values)))
    assert flagged[abnormal].mean() >= 0.9
    assert flagged[~abnormal].mean() < 0.05
    assert site.calibration.split == "site"


def test_a_run_that_cannot_rank_a_sites_films_is_not_to_be_used(run: Run) -> None:
    values, _ = logits(200, 0.5)
    known = {str(index): OPACITY if index % 2 else NORMAL for index in range(200)}
    site = commissioning.commission(run, predictions(run, values), known, name="north")
    assert site.verdict == "do not use"
    assert "AUROC" in site.reasons[0]


def test_a_site_whose_films_are_refused_is_not_to_be_served(run: Run) -> None:
    values, _ = logits(120, 0.5)
    site = commissioning.commission(run, predictions(run, values, refused=60), {}, name="north")
    assert site.verdict == "do not use"
    assert "50% of the films are refused" in site.reasons[0]


def test_too_few_films_say_nothing(run: Run) -> None:
    with pytest.raises(UserError, match="at least 50"):
        commissioning.commission(run, predictions(run, np.zeros(10)), {}, name="north")


def test_the_command_writes_a_profile_that_predict_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = drawn_run.write(tmp_path / "run")
    films = drawn_run.write_films(tmp_path / "films", 60)
    pixels = np.stack([np.asarray(serving.inputs.film(path).pixels)[..., None] for path in films])
    drawn_run.write_gate(folder, pixels)
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        writer.writerows(
            [f"films/{path.name}", "Normal" if index < 30 else "COVID"] for index, path in enumerate(films)
        )
    given = [str(folder), str(tmp_path / "films"), "--labels", str(tmp_path / "labels.csv")]
    assert commission.main([*given, "--output", str(tmp_path / "north")]) == 0
    said = capsys.readouterr().err
    assert "60 films, 0 refused, 60 labelled: recalibrated" in said
    opened = Run.open(folder, site=tmp_path / "north")
    assert opened.site.name == "north"
    assert opened.site.vouched == ("COVID",)  # bright films are COVID to this graph, and these labels say so, too
    found = list(serving.load(opened).predict(films[:1] + films[-1:]))
    assert [each.site for each in found] == ["north", "north"]
    assert [each.flag for each in found] == [False, True]
    with pytest.raises(UserError, match="must not hold a profile yet"):
        commission.main([*given, "--output", str(tmp_path / "north")])


def test_labels_of_films_that_are_not_there_are_refused(tmp_path: Path) -> None:
    folder = drawn_run.write(tmp_path / "run")
    drawn_run.write_films(tmp_path / "films", 2)
    (tmp_path / "labels.csv").write_text("path,label\nelsewhere.png,Normal\n")
    with pytest.raises(UserError, match=r"elsewhere\.png is not among FILMS"):
        commission.main(
            [str(folder), str(tmp_path / "films"), "--labels", str(tmp_path / "labels.csv"), "--output", "north"]
        )


def test_a_stream_of_like_films_is_quiet_and_another_is_noticed(run: Run) -> None:
    stream, generator = drift.Stream(run), np.random.default_rng(3)
    gate, heads = run.required_gate, run.required_abnormality
    for place in generator.integers(0, 400, 300):
        squared = gate.validated[place]
        score = 1 / (1 + np.exp(-heads.fitted_on[place]))
        stream.add(distance=float(gate.relative(squared)), score=float(score))
        assert stream.alarms == ()
    for _ in range(60):
        stream.add(distance=0.9, score=0.5)
    assert "distance" in stream.alarms
