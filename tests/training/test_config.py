"""The configuration and the command line that is made from it."""

import dataclasses
from pathlib import Path

import pytest

from cxr_keras3 import train
from cxr_keras3.base.errors import UserError
from cxr_keras3.train import parse
from cxr_keras3.training.config import TrainingConfig
from cxr_keras3.training.presets import PRESETS


def test_flags_override_the_preset() -> None:
    options, config = parse(["--preset", "laptop", "--learning-rate", "0.01", "--run-dir", "runs/x"])
    assert config == dataclasses.replace(PRESETS["laptop"].config, learning_rate=0.01)
    assert options.run_dir is not None
    assert options.run_dir.name == "x"
    assert options.backend == "jax"


def test_every_field_has_a_flag_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for field in dataclasses.fields(TrainingConfig):
        assert f"--{field.name.replace('_', '-')}" in shown


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("backbone", "vgg16"),
        ("fine_tune", "head"),
        ("batch_size", 0),
        ("dropout", 1.5),
        ("image_size", 16),
        ("learning_rate", -1.0),
        ("seed", -1),
    ],
)
def test_a_bad_value_is_named_with_its_rule(field: str, value: object) -> None:
    with pytest.raises(UserError, match=f"{field}.*must.*{value}"):
        dataclasses.replace(TrainingConfig(), **{field: value})


def test_unknown_flag_and_preset_end_with_code_2(run_python) -> None:
    assert run_python("-m", "cxr_keras3.train", "--lerning-rate", "1").returncode == 2
    done = run_python("-m", "cxr_keras3.train", "--preset", "laptp")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "laptp" in done.stderr
    assert "laptop" in done.stderr


def test_numbers_of_processes_without_a_coordinator_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="need --coordinator HOST:PORT"):
        train.main(["--processes", "4", "--process", "2", "--run-dir", str(tmp_path / "run")])


@pytest.mark.parametrize(
    ("preset", "accelerator", "said"), [("default", False, True), ("default", True, False), ("laptop", False, False)]
)
def test_who_trains_a_large_network_without_accelerator_is_told_of_a_preset(
    preset: str, accelerator: bool, said: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cxr_keras3.backend import devices

    lines: list[str] = []
    monkeypatch.setattr(devices, "on_accelerator", lambda: accelerator)
    monkeypatch.setattr(train.progress, "say", lines.append)
    train._say_what_it_takes(PRESETS[preset].config)
    assert [("laptop" in line) for line in lines] == [True] * said
