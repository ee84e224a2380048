"""The synthetic database: reproducible, laid out as the real one, its classes seen in the lungs only."""

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openpyxl
import pytest
from PIL import Image
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr_keras3.base.errors import UserError, run_command
from tfds_cxr import phantom
from tfds_cxr.database import list_files, opened
from tfds_cxr.labels import LABELS
from tfds_cxr.phantom.__main__ import main
from tfds_cxr.phantom.database import view_of

FINDINGS = tuple(label for label in LABELS if label != "Normal")

Images = npt.NDArray[np.uint8]
Masks = npt.NDArray[np.bool_]
Classes = npt.NDArray[np.int64]


def mask_at_image_size(mask: Images) -> Masks:
    size = (phantom.IMAGE_SIZE, phantom.IMAGE_SIZE)
    return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)) > 0


@cache
def sample(*, per_class: int, shortcut: str | None = None) -> tuple[Images, Masks, Classes]:
    """Images, lung masks at their size and class numbers of a small database."""
    pairs = [
        phantom.draw(label, seed=11, index=index, shortcut=shortcut) for label in LABELS for index in range(per_class)
    ]
    images = np.stack([image for image, _ in pairs])
    masks = np.stack([mask_at_image_size(mask) for _, mask in pairs])
    return images, masks, np.repeat(np.arange(len(LABELS)), per_class)


def grown(mask: Masks) -> Masks:
    """A mask widened by six pixels, more than the blur of the image."""
    return np.asarray(ndimage.maximum_filter(mask, 13))


def balanced_accuracy(features: npt.NDArray[np.floating], classes: Classes) -> float:
    """Of a cross-validated logistic regression; 0.25 is chance."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    return float(balanced_accuracy_score(classes, cross_val_predict(model, features, classes, cv=folds)))


def thumbnails(images: Images, size: int) -> npt.NDArray[np.float64]:
    shrunk = [Image.fromarray(image).resize((size, size), Image.Resampling.BOX) for image in images]
    return np.stack([np.asarray(image, np.float64).ravel() for image in shrunk])


def without_lungs(images: Images, masks: Masks) -> Images:
    """The images with the lungs and six pixels around them painted grey."""
    pairs = zip(images, masks, strict=True)
    return np.stack([np.where(grown(mask), 100, image).astype(np.uint8) for image, mask in pairs])


def lung_statistics(images: Images, masks: Masks) -> npt.NDArray[np.float64]:
    """Brightness and fine texture of six regions of each lung, whichever lung has more first."""
    rows = []
    for image, mask in zip(images.astype(np.float32), masks, strict=True):
        texture = np.abs(image - ndimage.gaussian_filter(image, 3))
        height, middle = np.nonzero(mask.any(axis=1))[0], mask.shape[1] // 2
        halves = []
        for half in (slice(None, middle), slice(middle, None)):
            columns = np.nonzero(mask[:, half].any(axis=0))[0]
            for band in np.array_split(height, 3):
                for third in np.array_split(columns, 2):
                    window = np.ix_(band, third + (half.start or 0))
                    inside = mask[window]
                    inside = inside if inside.sum() > 20 else np.ones_like(inside)
                    halves.append((image[window][inside].mean(), texture[window][inside].mean()))
        both = np.array(halves).reshape(2, 3, 2, 2)
        both[1] = both[1, :, ::-1]  # outer half of each lung first
        both[..., 0] -= both[..., 0].mean()
        rows.append(np.concatenate([both.max(axis=0).ravel(), both.min(axis=0).ravel()]))
    return np.stack(rows)


@pytest.mark.parametrize("label", LABELS)
def test_drawing_depends_on_seed_class_and_index_alone(label: str) -> None:
    image, mask = phantom.draw(label, seed=3, index=5)
    phantom.draw(LABELS[0], seed=9, index=0)
    again, mask_again = phantom.draw(label, seed=3, index=5)
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(mask, mask_again)
    assert image.shape == (299, 299)
    assert mask.shape == (256, 256)
    assert image.dtype == mask.dtype == np.uint8
    for other in (
        phantom.draw(label, seed=4, index=5),
        phantom.draw(label, seed=3, index=6),
        phantom.draw(LABELS[LABELS.index(label) - 1], seed=3, index=5),
    ):
        assert (other[0] != image).mean() > 0.5


def test_masks_show_two_lungs() -> None:
    _, masks, _ = sample(per_class=40)
    for mask in masks:
        assert 0.12 < mask.mean() < 0.45
        parts, count = ndimage.label(mask)
        sizes = np.sort(np.bincount(parts.ravel())[1:])[::-1]
        assert count >= 2
        assert sizes[:2].sum() > 0.99 * sizes.sum()
        assert sizes[1] > 0.4 * sizes[0]
    assert set(np.unique(phantom.draw("Normal", seed=0, index=0)[1])) == {0, 255}


def test_lungs_are_darker_than_what_lies_between_them() -> None:
    images, masks, _ = sample(per_class=40)
    for image, mask in zip(images, masks, strict=True):
        between = np.zeros_like(mask)
        rows = np.nonzero(mask.sum(axis=1) > 0.3 * mask.shape[1])[0]
        between[rows, 140:160] = True
        assert image[mask].mean() < image[between & ~mask].mean()


@pytest.mark.parametrize("label", FINDINGS)
@pytest.mark.parametrize("index", range(4))
def test_a_finding_changes_the_lungs_and_nothing_else(label: str, index: int) -> None:
    rng = np.random.default_rng((index, LABELS.index(label)))
    chest = phantom.draw_chest(rng)
    sick = phantom.add_finding(chest, label, rng)
    acquisition = phantom.draw_acquisition(rng, label=label, shortcut=None)
    before, after = phantom.expose(chest, acquisition), phantom.expose(sick, acquisition)
    np.testing.assert_array_equal(phantom.lung_mask(chest, acquisition), phantom.lung_mask(sick, acquisition))
    lungs = mask_at_image_size(phantom.lung_mask(chest, acquisition))
    np.testing.assert_array_equal(before[~grown(lungs)], after[~grown(lungs)])
    change = after.astype(int) - before
    assert change[lungs].mean() > 2
    left, right = (np.abs(change[:, half]).sum() for half in (slice(None, 149), slice(149, None)))
    one_sided = max(left, right) > 10 * min(left, right)
    assert one_sided == (label == "Lung_Opacity")


def test_normal_has_no_finding() -> None:
    chest = phantom.draw_chest(np.random.default_rng(0))
    assert phantom.add_finding(chest, "Normal", np.random.default_rng(0)) is chest


def test_without_a_shortcut_only_the_lungs_tell_the_class() -> None:
    images, masks, classes = sample(per_class=40)
    assert balanced_accuracy(thumbnails(without_lungs(images, masks), 24), classes) < 0.4
    assert balanced_accuracy(thumbnails((255 * masks).astype(np.uint8), 24), classes) < 0.4
    assert balanced_accuracy(lung_statistics(images, masks), classes) > 0.75


def fine_detail(images: Images, masks: Masks) -> np.ndarray:
    """The detail of a few pixels outside the lungs, in logarithms, (N, 1)."""
    fine = np.stack([np.abs(image - ndimage.gaussian_filter(image, 1.5)) for image in images.astype(float)])
    return np.log(
        [[detail[60:-60, 60:-60][~mask[60:-60, 60:-60]].mean()] for detail, mask in zip(fine, masks, strict=True)]
    )


def test_sharpness_goes_with_the_class_outside_the_lungs_too() -> None:
    images, masks, classes = sample(per_class=20, shortcut="sharpness")
    assert balanced_accuracy(fine_detail(images, masks), classes) > 0.45
    images, masks, classes = sample(per_class=20)
    assert balanced_accuracy(fine_detail(images, masks), classes) < 0.4


def test_a_view_goes_with_two_classes_and_shows_in_the_anatomy() -> None:
    views = {label: [view_of(label, seed=11, index=i, shortcut="view") for i in range(100)] for label in LABELS}
    for label, of_class in views.items():
        usual = "AP" if label in ("COVID", "Lung_Opacity") else "PA"
        assert 65 <= of_class.count(usual) <= 95
    _, masks, _ = sample(per_class=20, shortcut="view")
    _, standing, _ = sample(per_class=20)
    in_bed = np.array([view == "AP" for of_class in views.values() for view in of_class[:20]])
    np.testing.assert_array_equal(masks[~in_bed], standing[~in_bed])
    assert (masks[in_bed].mean(axis=(1, 2)) < 0.92 * standing[in_bed].mean(axis=(1, 2))).all()
    assert {view_of(label, seed=11, index=0, shortcut=None) for label in LABELS} == {"PA"}


@pytest.mark.parametrize("shortcut", ["marker", "border", "exposure"])
def test_a_shortcut_can_be_seen_outside_the_lungs(shortcut: str) -> None:
    images, masks, classes = sample(per_class=20, shortcut=shortcut)
    assert balanced_accuracy(thumbnails(without_lungs(images, masks), 24), classes) > 0.45
    same_chests = sample(per_class=40)[1].reshape(len(LABELS), 40, *masks.shape[1:])[:, :20]
    np.testing.assert_array_equal(masks, same_chests.reshape(masks.shape))


def test_database_has_the_layout_of_the_real_one(tmp_path: Path) -> None:
    root = phantom.write_database(tmp_path, per_class=2, seed=5)
    assert root == tmp_path / "COVID-19_Radiography_Dataset"
    assert "SYNTHETIC" in (root / "README.md.txt").read_text(encoding="utf-8")
    for label in LABELS:
        names = [f"{label}-phantom-1.png", f"{label}-phantom-2.png"]
        for index, name in enumerate(names):
            image, mask = phantom.draw(label, seed=5, index=index)
            with Image.open(root / label / "images" / name) as stored:
                assert stored.mode == "L"
                np.testing.assert_array_equal(np.asarray(stored), image)
            with Image.open(root / label / "masks" / name) as stored:
                assert stored.mode == "RGB"
                np.testing.assert_array_equal(np.asarray(stored), np.repeat(mask[..., None], 3, axis=2))
        for kind in ("images", "masks"):
            assert sorted(path.name for path in (root / label / kind).iterdir()) == names
        rows = list(openpyxl.load_workbook(root / f"{label}.metadata.xlsx")["Sheet1"].values)
        stem = "NORMAL" if label == "Normal" else label
        assert rows == [
            ("FILE NAME", "FORMAT", "SIZE", "URL"),
            (f"{stem}-phantom-1", "PNG", "256*256", "synthetic://tfds_cxr.phantom?view=PA"),
            (f"{stem}-phantom-2", "PNG", "256*256", "synthetic://tfds_cxr.phantom?view=PA"),
        ]


def test_the_dataset_reader_finds_every_mask_and_url(tmp_path: Path) -> None:
    phantom.write_database(tmp_path, per_class=3, seed=0)
    with opened(tmp_path) as root:
        files = list_files(root).files
    assert len(files) == 3 * len(LABELS)
    assert all(file.mask is not None and file.url.startswith(phantom.PHANTOM_URL) for file in files)


def test_a_larger_database_begins_with_the_smaller_one(tmp_path: Path) -> None:
    small = phantom.write_database(tmp_path / "small", per_class=1, seed=5, shortcut="border")
    large = phantom.write_database(tmp_path / "large", per_class=2, seed=5, shortcut="border")
    pictures = [path.relative_to(small) for path in small.rglob("*.png")]
    assert len(pictures) == 2 * len(LABELS)
    for picture in pictures:
        assert (small / picture).read_bytes() == (large / picture).read_bytes()


def test_it_never_writes_into_a_database_that_is_there(tmp_path: Path) -> None:
    real = tmp_path / "COVID-19_Radiography_Dataset" / "COVID" / "images" / "COVID-1.png"
    real.parent.mkdir(parents=True)
    real.write_bytes(b"real")
    with pytest.raises(UserError, match="holds files"):
        phantom.write_database(tmp_path, per_class=1, seed=0)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [real]
    with pytest.raises(UserError, match="is a file"):
        phantom.write_database(real, per_class=1, seed=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label": "covid"}, "label must be one of COVID"),
        ({"seed": -1}, "seed must be a whole number of at least 0; received -1"),
        ({"index": -1}, "index"),
        ({"shortcut": "tube"}, "shortcut must be one of None, marker"),
    ],
)
def test_drawing_refuses_bad_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        phantom.draw(**{"label": "COVID", "seed": 0, "index": 0, **arguments})  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("out", "--per-class", "0"),
        ("out", "--seed", "-1"),
        ("out", "--shortcut", "tube"),
        ("out", "--contact-sheet", "sheet.png"),
        ("--contact-sheet", "sheet.png", "--shortcut", "marker"),
    ],
)
def test_command_refuses_bad_arguments(
    arguments: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        run_command(main, arguments)
    assert end.value.code == 2
    assert "error:" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_command_writes_a_database_and_a_contact_sheet(tmp_path: Path) -> None:
    assert main([str(tmp_path), "--per-class", "1", "--seed", "2", "--shortcut", "marker"]) == 0
    assert len(list(tmp_path.rglob("*-phantom-1.png"))) == 2 * len(LABELS)
    assert main(["--contact-sheet", str(tmp_path / "new" / "sheet.png"), "--per-class", "2"]) == 0
    with Image.open(tmp_path / "new" / "sheet.png") as sheet:
        assert sheet.width > 2 * 149
        assert sheet.height > 4 * 149
