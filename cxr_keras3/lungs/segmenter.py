"""The segmenter's folder: what outlines the lungs of any film. One comes with the package.

reference/lungs/  manifest.json  model.xml  model.bin  agreement.json  README.md
"""

import hashlib
import shutil
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cxr_keras3.backend.openvino_graph import OpenVINOGraph, processor_has_bfloat16
from cxr_keras3.base import files, records
from cxr_keras3.base.batching import BATCH_SIZE, filled
from cxr_keras3.base.errors import UserError
from cxr_keras3.lungs.sides import LEAST_SHARE

SCHEMA_VERSION = 1
MANIFEST, MODEL, AGREEMENT, CARD = "manifest.json", "model.keras", "agreement.json", "README.md"
REFERENCE = Path(__file__).parent / "reference"
"""The segmenter that comes with the package."""
LOGITS = "logits"

Images = npt.NDArray[np.uint8]
"""(N, 299, 299, 1)."""

Lungs = npt.NDArray[np.bool_]
"""(N, 256, 256, 2): the patient's right lung, at the left of the picture, and the left one."""


@dataclass(frozen=True)
class SegmenterManifest:
    """What `manifest.json` says.

    Attributes:
        schema_version: `SCHEMA_VERSION`.
        created: When training ended, ISO 8601 in UTC.
        backend: The Keras backend it was trained on.
        backbone: Of the table of backbones.
        schedule: See `training.Schedule`.
        data: Version of the dataset, and how many outlined films it learnt from and was chosen on.
        validation_dice: Mean Dice of both lungs on the latter.
        packages: Versions of what it was trained with.
        licence: Terms of use.
        checksums: SHA-256 of the graph's files, by their names.
    """

    schema_version: int
    created: str
    backend: str
    backbone: str
    schedule: Mapping[str, float]
    data: Mapping[str, Any]
    validation_dice: float
    packages: Mapping[str, str]
    licence: str
    checksums: Mapping[str, str]


class Segmenter:
    """Outlines lungs. Computed by OpenVINO, whatever Keras runs on; several threads may share it.

    In bfloat16 where the processor has it, 1.6 times as fast: Dice with people's outlines is then lower by 0.001.

    Attributes:
        folder: Its folder.
        manifest: What it is.
    """

    def __init__(self, folder: Path, manifest: SegmenterManifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self._graph = OpenVINOGraph(folder, "bfloat16" if processor_has_bfloat16() else "float32")

    @classmethod
    def open(cls, folder: Path | None = None) -> Self:
        """Opens a segmenter's folder.

        Args:
            folder: The folder; that of the segmenter that comes with the package when None.

        Raises:
            UserError: Where it is none that this version understands.
        """
        folder = REFERENCE if folder is None else folder
        if not (folder / MANIFEST).is_file():
            raise UserError(
                f"a segmenter's folder must hold {MANIFEST}, {folder} does not; pass one that segment train finished"
            )
        remedy = "train it again, or use the version of cxr_keras3 that wrote it"
        manifest = records.read(folder / MANIFEST, SegmenterManifest, version=SCHEMA_VERSION, remedy=remedy)
        files.require_checksums(folder, manifest.checksums, remedy=remedy)
        return cls(folder, manifest)

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of SHA-256 over its graph and weights."""
        return hashlib.sha256("".join(self.manifest.checksums.values()).encode()).hexdigest()[:16]

    def copy(self, folder: Path) -> None:
        """Copies what outlining needs to a folder, in the place of what may be there."""
        with files.replacing(folder) as written:
            written.mkdir()
            for name in (MANIFEST, *self.manifest.checksums):
                shutil.copyfile(self.folder / name, written / name)

    def in_flight(self, batch_size: int) -> int:
        """Batches of this size worth starting before the first is waited for."""
        return self._graph.in_flight(batch_size)

    def start(self, images: Images) -> Callable[[], Lungs]:
        """Starts on a batch and returns at once; calling what it returns waits for the lungs."""
        wait = self._graph.start(images)
        return lambda: np.stack([cleaned(logits > 0) for logits in wait()[LOGITS]])

    def outline(self, images: Images, *, task: str) -> Lungs:
        """Outlines the lungs of any number of films, with a progress bar that says `task`."""
        from cxr_keras3.base import progress  # noqa: PLC0415 -- the predictor, which shows no bar, starts sooner without

        waiting: deque[tuple[int, Callable[[], Lungs]]] = deque()
        parts: list[Lungs] = []

        def take() -> None:
            count, wait = waiting.popleft()
            parts.append(wait()[:count])

        for start in progress.track(range(0, len(images), BATCH_SIZE), description=task):
            batch = images[start : start + BATCH_SIZE]
            waiting.append((len(batch), self.start(filled(batch))))
            if len(waiting) > self.in_flight(BATCH_SIZE):
                take()
        while waiting:
            take()
        return np.concatenate(parts)


def cleaned(found: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The largest piece of each lung, its holes filled; none where it is smaller than `LEAST_SHARE` of the picture.

    Args:
        found: bool (H, W, 2).

    Returns:
        The same shape; no pixel belongs to both lungs.
    """
    # Each lung by itself: every other byte of both takes NumPy twice as long.
    planes = [_largest_piece(np.ascontiguousarray(found[..., side])) for side in range(found.shape[-1])]
    planes[1] &= ~planes[0]
    return np.moveaxis(np.stack(planes), 0, -1)


def _largest_piece(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    if _is_whole(mask):
        return mask
    pieces, count = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    largest = int(sizes.argmax())
    if sizes[largest] < LEAST_SHARE * pieces.size:
        return np.zeros_like(mask)
    return np.asarray(ndimage.binary_fill_holes(pieces == largest))


def _is_whole(mask: npt.NDArray[np.bool_]) -> bool:
    """Whether a mask is one large piece without holes, as nearly all are; asked at a quarter of the size, for speed."""
    fours = mask.view(np.uint32)  # four neighbours in a row
    small = (fours[::4] | fours[1::4] | fours[2::4] | fours[3::4]) != 0
    around = np.ones((small.shape[0] + 2, small.shape[1] + 2), dtype=bool)
    around[1:-1, 1:-1] = ~small
    return bool(
        ndimage.label(small)[1] == 1
        and ndimage.label(around)[1] == 1
        and np.count_nonzero(mask) >= LEAST_SHARE * mask.size
    )
