"""The segmenter that comes with the package, and the command that trains, judges and applies one."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxr_keras3.base.errors import UserError
from cxr_keras3.lungs import data, segmenter
from cxr_keras3.lungs.measures import dice
from cxr_keras3.lungs.segmenter import MANIFEST, Segmenter
from cxr_keras3.lungs.showing import Showing
from cxr_keras3.lungs.sides import joined
from cxr_keras3.run import folder as run_folder
from tests.conftest import run_here
from tfds_cxr import phantom, reading
from tfds_cxr.labels import LABELS


@pytest.fixture(scope="module")
def shipped() -> Segmenter:
    return Segmenter.open()


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Phantoms uint8 (12, 299, 299, 1) and their lungs bool (12, 256, 256)."""
    pairs = [phantom.draw(LABELS[index % 4], seed=11, index=index) for index in range(12)]
    return np.stack([film for film, _ in pairs])[..., np.newaxis], np.stack([mask for _, mask in pairs]) > 127


def test_it_finds_the_lungs_of_phantoms(shipped: Segmenter, drawn: tuple[np.ndarray, np.ndarray]) -> None:
    films, masks = drawn
    found = shipped.outline(films, task="phantoms")
    assert found.shape == (12, 256, 256, 2)
    assert np.mean([dice(joined(one), other) for one, other in zip(found, masks, strict=True)]) > 0.9
    across = [[np.nonzero(lungs[..., side])[1].mean() for side in range(2)] for lungs in found]
    assert all(right < left for right, left in across)  # the patient's right lung is at the left of the picture


def test_lungs_do_not_depend_on_company(shipped: Segmenter, drawn: tuple[np.ndarray, np.ndarray]) -> None:
    films, _ = drawn
    alone = shipped.start(films[3:4])()
    np.testing.assert_array_equal(alone[0], shipped.outline(films, task="together")[3])


def test_a_film_without_lungs_has_none(shipped: Segmenter) -> None:
    assert not shipped.start(np.zeros((1, 299, 299, 1), dtype=np.uint8))().any()


def test_it_is_small_and_says_what_it_is(shipped: Segmenter) -> None:
    shipped_files = [path for place in (segmenter.REFERENCE, run_folder.REFERENCE) for path in place.rglob("*")]
    assert sum(path.stat().st_size for path in shipped_files if path.is_file()) < 6_000_000
    assert shipped.manifest.validation_dice > 0.9
    assert (segmenter.REFERENCE / segmenter.CARD).is_file()
    agreement = json.loads((segmenter.REFERENCE / segmenter.AGREEMENT).read_text())
    assert agreement["segmenter"] == shipped.fingerprint


def test_a_copy_outlines_alike(shipped: Segmenter, drawn: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    shipped.copy(tmp_path / "lungs")
    copy = Segmenter.open(tmp_path / "lungs")
    assert copy.fingerprint == shipped.fingerprint
    np.testing.assert_array_equal(copy.start(drawn[0][:2])(), shipped.start(drawn[0][:2])())


def test_another_folder_is_refused(tmp_path: Path, shipped: Segmenter) -> None:
    with pytest.raises(UserError, match=MANIFEST):
        Segmenter.open(tmp_path)
    shipped.copy(tmp_path / "lungs")
    content = json.loads((tmp_path / "lungs" / MANIFEST).read_text())
    (tmp_path / "lungs" / MANIFEST).write_text(json.dumps(content | {"schema_version": 99}))
    with pytest.raises(UserError, match="99"):
        Segmenter.open(tmp_path / "lungs")


@pytest.mark.parametrize("region", ["lungs", "crop"])
def test_a_model_is_shown_in_use_what_it_was_shown_in_training(shipped: Segmenter, data_dir: Path, region: str) -> None:
    showing = Showing(region, shipped)
    rows = list(reading.read(reading.find(data_dir), "test"))
    trained_on = [image for _, image in showing.shown(iter(rows))]
    films = np.stack([row["image"] for row in rows])
    lungs = shipped.outline(films, task="in use")
    used = showing.restricted(films, lungs)
    found = lungs.any(axis=(1, 2, 3))
    np.testing.assert_array_equal(np.stack(trained_on), used[found])


def test_maps_of_a_crop_lie_where_the_crop_was(shipped: Segmenter, drawn: tuple[np.ndarray, np.ndarray]) -> None:
    films, _ = drawn
    lungs = shipped.start(films[:1])()[0]
    cells = np.zeros((7, 7, 4), dtype=np.float32)
    cells[3, 3, 1] = 5.0  # the middle of what the model was shown
    whole = Showing("crop", shipped).on_film(cells, lungs)
    rows, columns = np.nonzero(joined(lungs))
    down, across = np.unravel_index(whole[..., 1].argmax(), whole.shape[:2])
    assert down == pytest.approx((rows.min() + rows.max()) / 2, abs=12)
    assert across == pytest.approx((columns.min() + columns.max()) / 2, abs=12)
    np.testing.assert_array_equal(Showing("full", shipped).on_film(cells, lungs), cells)


def test_a_damaged_or_empty_mask_is_named(drawn: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    films, masks = drawn
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    Image.fromarray(films[0, ..., 0]).save(tmp_path / "images" / "one.png")
    mask = tmp_path / "masks" / "one.png"
    Image.fromarray(masks[0]).save(mask)
    assert len(data.of_folder(tmp_path)) == 1
    mask.write_bytes(mask.read_bytes()[:200])
    with pytest.raises(UserError, match=r"masks.one\.png must be a mask"):
        data.of_folder(tmp_path)
    Image.new("L", (256, 256)).save(mask)
    with pytest.raises(UserError, match=r"masks.one\.png: a lung mask must hold a lung"):
        data.of_folder(tmp_path)
    (tmp_path / "images" / "one.png").write_text("no film")
    with pytest.raises(UserError, match=r"images.one\.png must be a film"):
        data.of_folder(tmp_path)


def test_a_teacher_that_is_never_sure_is_named(data_dir: Path, shipped: Segmenter, monkeypatch) -> None:
    rows = [dict(row, source=b"rsna", has_mask=False) for row in reading.read(reading.find(data_dir), "test")]
    monkeypatch.setattr(data, "read", lambda builder, split: rows)
    taught = data.of_teacher(reading.find(data_dir), "test", teacher=shipped, largest=2)
    assert set(taught.sources) == {"teacher"}
    monkeypatch.setattr(data, "_SURE", 1.01)
    with pytest.raises(UserError, match="reference does so on none"):
        data.of_teacher(reading.find(data_dir), "test", teacher=shipped, largest=2)


def test_films_and_lungs_move_alike() -> None:
    """A film that is its own mask stays that under every change of place."""
    lungs = np.zeros((256, 256, 2), dtype=bool)
    lungs[60:190, 40:110, 0] = lungs[60:190, 150:220, 1] = True
    film = np.array(Image.fromarray(np.where(joined(lungs), 0, 230).astype(np.uint8)).resize((299, 299)))[..., None]
    agreement = []
    for index in range(40):
        changed, moved = data.changed(film, lungs, seed=(0, 0, index))
        dark = np.array(Image.fromarray(changed[..., 0]).resize((256, 256))) < changed.mean()
        if moved.any():
            agreement.append(dice(dark, joined(moved)))
    assert np.median(agreement) > 0.6  # painted opacities, black surroundings and inverted films cost the rest
    assert len(agreement) > 30


def test_the_command_trains_judges_and_applies(
    data_dir: Path, database_dir: Path, film: Path, tmp_path: Path, run_python
) -> None:
    folder = tmp_path / "own"
    training = ("train", folder, "--weights", "none", "--epochs", "1", "--data-dir", data_dir)
    done = run_python("-m", "cxr_keras3.segment", *training)
    assert done.returncode == 0, done.stderr
    own = Segmenter.open(folder)
    assert own.manifest.data["train"]["drawn by people"] > 50
    assert own.manifest.schedule["epochs"] == 1
    judged = tmp_path / "judged"
    done = run_python("-m", "cxr_keras3.segment", "evaluate", "--data-dir", data_dir, "--output", judged)
    assert done.returncode == 0, done.stderr
    agreement = json.loads((judged / "agreement.json").read_text())
    with (judged / "scores.csv").open() as file:
        scores = [float(row["dice"]) for row in csv.DictReader(file)]
    assert agreement["parts"]["all"]["films"] == len(scores)
    assert agreement["parts"]["all"]["dice"]["value"] == pytest.approx(np.mean(scores), abs=1e-3)
    with Image.open(judged / "worst.png") as worst:
        assert worst.size[0] > 1000
    text = tmp_path / "note.txt"
    text.write_text("no film")
    applied = tmp_path / "applied"
    done = run_python("-m", "cxr_keras3.segment", "apply", film, text, "--output", applied)
    assert done.returncode == 3, done.stderr
    assert "note.txt" in done.stderr
    (mask,) = applied.glob("*-lungs.png")
    with Image.open(mask) as picture:
        assert set(np.asarray(picture).ravel().tolist()) == {0, 1, 2}
    with (applied / "lungs.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert 0.2 < float(row["right_area"]) + float(row["left_area"]) < 0.6
    again = run_here("cxr_keras3.segment", *training)
    assert again.returncode == 2
    assert "must hold no segmenter yet" in again.stderr


@pytest.mark.shared_data
def test_lungs_that_a_radiologist_drew_are_found(shipped: Segmenter, shared_data: Path) -> None:
    films = data.of_folder(shared_data / "lung_masks" / "radiologist_pairs")
    found = shipped.outline(films.images, task="pairs")
    agreement = [dice(joined(one), joined(other)) for one, other in zip(found, films.lungs, strict=True)]
    assert len(agreement) == 60
    assert np.mean(agreement) > 0.93
