"""When an export counts as the same model."""

from pathlib import Path

import numpy as np
import pytest

from cxr_keras3.base import records
from cxr_keras3.base.errors import UserError
from cxr_keras3.run.folder import Run
from cxr_keras3.run.parity import PARITY, Agreement, Parity
from cxr_keras3.serving.comparing import compare
from cxr_keras3.serving.outputs import Outputs
from tests import drawn_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Flags where the first of its features is at least a half."""
    folder = drawn_run.write(tmp_path_factory.mktemp("runs") / "first")
    drawn_run.write_abnormality(folder, weights=100 * np.eye(4)[0], bias=-50 * np.sqrt(2.0))
    return Run.open(folder)


def outputs(shift: float = 0.0, *, images: int = 400) -> Outputs:
    abnormal = np.linspace(0.0, 1.0, images, dtype=np.float32) + np.float32(shift)
    other = np.sqrt(1 - np.clip(abnormal, 0, 1) ** 2)  # so that the four have one mean and spread in every film
    features = np.stack([abnormal, -abnormal, other, -other], axis=1)
    maps = np.zeros((images, 2, 2, 4), np.float32) + abnormal[:, None, None, None]
    probabilities = np.stack([abnormal, 0 * abnormal, 1 - abnormal, 0 * abnormal], axis=1)
    return Outputs(np.log(np.clip(probabilities, 1e-6, None)), probabilities, maps, features)


def test_the_same_is_equal(run: Run) -> None:
    found = compare(outputs(), outputs(), run)
    assert found == Agreement(1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert found.is_equal
    assert found.decides_alike


def test_differences_are_measured(run: Run, tmp_path: Path) -> None:
    found = compare(outputs(), outputs(0.1), run)
    assert found.probabilities_largest == pytest.approx(0.1, abs=1e-5)
    assert found.probabilities_mean == pytest.approx(0.05, abs=1e-5)  # two of four classes move
    assert found.activation_maps_largest == pytest.approx(0.1, abs=1e-5)
    before, after = outputs().features, outputs(0.1).features
    assert found.features_largest == pytest.approx(np.abs(after - before).max() / np.ptp(before))
    assert found.top1 == found.flag == pytest.approx(0.9, abs=0.01)
    assert not found.is_equal
    assert not found.decides_alike
    assert (
        compare(outputs(), outputs(0.1), Run.open(drawn_run.write(tmp_path / "plain", temperature=None))).flag is None
    )


@pytest.mark.parametrize(
    ("changed", "alike", "equal"),
    [
        ({}, True, True),
        ({"top1": 0.994}, False, True),  # equal to rounding: the images lie on the line
        ({"flag": 0.994}, False, True),
        ({"flag": None}, True, True),
        ({"probabilities_mean": 0.006, "probabilities_largest": 0.01}, False, False),
        ({"probabilities_largest": 0.002}, True, False),
        ({"logits_largest": 0.002}, True, False),
        ({"logits_largest": None}, True, True),
        ({"features_largest": 0.002}, True, False),
        ({"activation_maps_largest": 0.002}, True, False),
    ],
)
def test_limits(changed: dict[str, float], alike: bool, equal: bool) -> None:
    figures = {
        "top1": 1.0,
        "flag": 1.0,
        "probabilities_largest": 5e-4,
        "probabilities_mean": 1e-4,
        "logits_largest": 5e-4,
        "features_largest": 5e-4,
        "activation_maps_largest": 5e-4,
    }
    agreement = Agreement(**figures | changed)
    assert (agreement.decides_alike, agreement.is_equal) == (alike, equal)


def test_outputs_of_another_shape_are_refused(run: Run) -> None:
    other = outputs()
    with pytest.raises(UserError, match="shape"):
        compare(
            outputs(), Outputs(other.logits, other.probabilities, other.activation_maps[:, :1], other.features), run
        )


def test_saved_and_loaded_it_is_the_same_and_damage_is_named(tmp_path: Path) -> None:
    run = Run.open(drawn_run.write(tmp_path / "run"))
    path = run.export_folder("openvino") / PARITY
    equal = Agreement(1.0, None, 0.0, 0.0, 0.0, 0.0, 0.0)
    for bfloat16 in (equal, None):
        written = Parity(3, "openvino", 400, "drawn", 1.25, "any", {}, equal, bfloat16)
        records.write(path, written)
        assert Run.open(run.folder).parity("openvino") == written
    for content in ("", "{}", '{"schema_version": 1}', '{"schema_version": 2}', "[" * 100_000):
        path.write_text(content)
        with pytest.raises(UserError, match=r"parity\.json"):
            Run.open(run.folder).parity("openvino")
