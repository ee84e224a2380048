"""Films with lung masks, from the dataset or a folder, and the batches that the segmenter learns from."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxr_keras3 import images
from cxr_keras3.base.concurrency import map_ahead
from cxr_keras3.base.errors import UserError
from cxr_keras3.images import IMAGE_SIZE
from cxr_keras3.lungs import anatomy
from cxr_keras3.lungs.measures import dice
from cxr_keras3.lungs.painting import no_chest, painted
from cxr_keras3.lungs.segmenter import Segmenter
from cxr_keras3.lungs.sides import SIZE, divided
from tfds_cxr import phantom
from tfds_cxr.labels import LABELS
from tfds_cxr.reading import read
from tfds_cxr.tfds_cxr_dataset_builder import Builder

_BATCHES_AHEAD = 4
_TURN, _SHIFT, _ZOOM, _STRETCH = 12.0, 0.12, (0.7, 1.35), 0.15  # degrees; shares of the side; factors
_CUT_OFF = 0.12  # share of the films whose lungs are pushed over the edge
_SURE = 0.97  # Dice of a film's outlines with those of its mirror image
_NO_CHEST = 0.06  # share of the batches' films that show no lungs at all


@dataclass(frozen=True, eq=False)
class Outlined:
    """Films whose lungs a person has outlined.

    Attributes:
        images: uint8 (N, 299, 299, 1).
        lungs: bool (N, 256, 256, 2), the right lung and the left.
        names: (N,), file names without ending.
        sources: (N,), the collection, or "folder".
        classes: (N,), of the database, or empty.
        groups: (N,), equal for films of one patient.
    """

    images: npt.NDArray[np.uint8]
    lungs: npt.NDArray[np.bool_]
    names: np.ndarray
    sources: np.ndarray
    classes: np.ndarray
    groups: np.ndarray

    def __len__(self) -> int:
        return len(self.images)


def of_split(builder: Builder, split: str) -> Outlined:
    """The films of a split that have a mask.

    Raises:
        UserError: Where none has.
    """
    rows = [row for row in read(builder, split) if row["has_mask"]]
    if not rows:
        raise UserError(
            f"the {split} split must hold films with lung masks, it holds none; build from a copy that has them"
        )
    return Outlined(
        images=np.stack([row["image"] for row in rows]),
        lungs=np.stack([_divided(row["mask"][..., 0], name=row["image_id"].decode()) for row in rows]),
        names=_texts(row["image_id"].decode() for row in rows),
        sources=_texts(row["source"].decode() for row in rows),
        classes=_texts(LABELS[row["label"]] for row in rows),
        groups=_texts(row["group_id"].decode() for row in rows),
    )


def of_folder(folder: Path) -> Outlined:
    """Films in `folder/images` with a mask of the same name in `folder/masks`; each a patient of its own.

    Raises:
        UserError: Where there is no such pair, or one cannot be read.
    """
    pairs = [(path, folder / "masks" / path.name) for path in sorted((folder / "images").glob("*.png"))]
    pairs = [(image, mask) for image, mask in pairs if mask.is_file()]
    if not pairs:
        raise UserError(
            f"a folder of films with masks must hold images/NAME.png and masks/NAME.png, {folder} holds none"
        )
    films = [_film(image) for image, _ in pairs]
    lungs = [_drawn_lungs(mask) for _, mask in pairs]
    names = _texts(image.stem for image, _ in pairs)
    empty = np.full(len(pairs), "")
    return Outlined(
        np.stack(films),
        np.stack(lungs),
        names,
        np.full(len(pairs), "folder"),
        empty,
        names,
    )


def _film(path: Path) -> npt.NDArray[np.uint8]:
    try:
        return images.canonical(images.decode(path).pixels)
    except images.ImageError as error:
        raise UserError(f"{path} must be a film: {error}; mend it, or leave it and its mask out") from error


def _drawn_lungs(path: Path) -> npt.NDArray[np.bool_]:
    """The lungs that a mask's file shows, bool (256, 256, 2)."""
    try:
        drawn = Image.fromarray(images.decode(path).pixels).resize((SIZE, SIZE), Image.Resampling.NEAREST)
    except images.ImageError as error:
        raise UserError(f"{path} must be a mask: {error}; mend it, or leave it and its film out") from error
    return _divided(np.asarray(drawn), name=str(path))


def _divided(mask: npt.NDArray[np.uint8], *, name: str) -> npt.NDArray[np.bool_]:
    try:
        return divided(mask > 127)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error


def of_teacher(builder: Builder, split: str, *, teacher: Segmenter, largest: int) -> Outlined:
    """Clear films of adults whose lungs a segmenter outlines surely: self-training (Xie et al., CVPR 2020).

    The masks that people drew are nearly all of children. Of RSNA's Normal films without a mask those are taken on
    which it outlines the mirrored film alike, and two lungs of plausible size and place.

    Args:
        builder: The dataset.
        split: Its split.
        teacher: The segmenter.
        largest: How many at most, evenly spaced.

    Raises:
        UserError: Where there are no such films, or the teacher is sure of none.
    """
    normal = LABELS.index("Normal")
    rows = [
        row
        for row in read(builder, split)
        if row["label"] == normal and row["source"] == b"rsna" and not row["has_mask"]
    ]
    if not rows:
        raise UserError(f"--teacher needs RSNA's Normal films, the {split} split holds none; leave it out")
    films = np.stack([row["image"] for row in rows])
    found = teacher.outline(films, task="outlining clear films")
    mirrored = teacher.outline(films[:, :, ::-1], task="outlining them mirrored")[:, :, ::-1, ::-1]
    sure = [
        index
        for index, (film, one, other) in enumerate(zip(films, found, mirrored, strict=True))
        if dice(one, other) >= _SURE
        and (measured := anatomy.measure(one)).right
        and measured.left
        and not anatomy.refusal(measured, film)
    ]
    if not sure:
        raise UserError(
            f"--teacher must outline films as it does their mirror images, {teacher.folder} does so on none of "
            f"{len(films)}; name a better one, or leave it out"
        )
    chosen = np.array(sure)[np.linspace(0, len(sure) - 1, min(largest, len(sure))).astype(int)]
    return Outlined(
        images=films[chosen],
        lungs=(found & mirrored)[chosen],
        names=_texts(rows[index]["image_id"].decode() for index in chosen),
        sources=np.full(len(chosen), "teacher"),
        classes=np.full(len(chosen), "Normal"),
        groups=_texts(rows[index]["group_id"].decode() for index in chosen),
    )


def of_phantoms(count: int, *, seed: int) -> Outlined:
    """Drawn films of all classes, whose lungs are known; each a patient of its own."""
    labels = [LABELS[index % len(LABELS)] for index in range(count)]
    drawn = [phantom.draw(label, seed=seed, index=index) for index, label in enumerate(labels)]
    names = _texts(f"phantom-{index}" for index in range(count))
    return Outlined(
        images=np.stack([film for film, _ in drawn])[..., np.newaxis],
        lungs=np.stack([divided(mask > 127) for _, mask in drawn]),
        names=names,
        sources=np.full(count, "phantom"),
        classes=_texts(iter(labels)),
        groups=names,
    )


def together(parts: Sequence[Outlined]) -> Outlined:
    """One after the other."""
    return Outlined(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Outlined)))


def _texts(values: Iterator[str]) -> np.ndarray:
    return np.array(list(values), dtype=np.str_)


def batches(outlined: Outlined, *, batch_size: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Endless shuffled batches, each film moved and painted anew: uint8 (B, 299, 299, 1), float32 (B, 256, 256, 2)."""

    def positions() -> Iterator[tuple[int, Sequence[int]]]:
        for epoch in itertools.count():
            order = np.random.default_rng((seed, epoch)).permutation(len(outlined))
            for start in range(0, len(order) - batch_size + 1, batch_size):
                yield epoch, order[start : start + batch_size].tolist()

    def batch(position: tuple[int, Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        epoch, chosen = position
        made = [changed(outlined.images[index], outlined.lungs[index], seed=(seed, epoch, index)) for index in chosen]
        return np.stack([film for film, _ in made]), np.stack([lungs for _, lungs in made]).astype(np.float32)

    return map_ahead(batch, positions(), ahead=_BATCHES_AHEAD)


def changed(
    film: npt.NDArray[np.uint8], lungs: npt.NDArray[np.bool_], *, seed: tuple[int, ...]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """A film and its lungs mirrored, turned, shifted, zoomed and stretched alike, then painted; decided by the seed.

    A mirrored film's lungs change sides: right and left are told by place, as a reader does who takes a film for
    unmirrored. In some films the lungs are pushed over the edge, and some are made into what shows none.
    """
    generator = np.random.default_rng((*seed, 1))
    if generator.random() < 0.5:
        film, lungs = film[:, ::-1], lungs[:, ::-1, ::-1]
    if generator.random() < _NO_CHEST:
        nothing = no_chest(film[..., 0], generator)[..., np.newaxis]
        return nothing, np.zeros_like(lungs)
    zoom = float(np.exp(generator.uniform(*np.log(_ZOOM))))
    stretch = float(np.exp(generator.uniform(-_STRETCH, _STRETCH)))
    angle = np.deg2rad(generator.uniform(-_TURN, _TURN))
    shift = generator.uniform(-_SHIFT, _SHIFT, 2)
    if generator.random() < _CUT_OFF:
        zoom, shift = zoom * 1.4, shift * 2.5
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
    matrix[0] *= stretch
    small = Image.fromarray(np.ascontiguousarray(film[..., 0])).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    moved = np.asarray(_moved(small, matrix, shift, Image.Resampling.BILINEAR))
    sides = [
        _moved(Image.fromarray(side), matrix, shift, Image.Resampling.NEAREST) for side in np.moveaxis(lungs, -1, 0)
    ]
    kept = np.stack([np.asarray(side, dtype=np.bool_) for side in sides], axis=-1)
    whole = Image.fromarray(painted(moved, kept, seed=seed)).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR)
    return np.asarray(whole)[..., np.newaxis], kept


def _moved(image: Image.Image, matrix: np.ndarray, shift: np.ndarray, resample: Image.Resampling) -> Image.Image:
    """The picture under an affine map about its centre, matrix from new to old; what comes in from outside is black."""
    centre = np.array([SIZE / 2, SIZE / 2])
    offset = centre + shift * SIZE - matrix @ centre
    data = (matrix[0, 0], matrix[0, 1], offset[0], matrix[1, 0], matrix[1, 1], offset[1])
    return image.transform(image.size, Image.Transform.AFFINE, data, resample=resample)
