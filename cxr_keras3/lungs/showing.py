"""What of a film a model is shown: all of it, or a region that the segmenter finds; the same in training and in use."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxr_keras3.base.batching import BATCH_SIZE, filled
from cxr_keras3.base.choices import Region
from cxr_keras3.images.region import box, restrict
from cxr_keras3.lungs.segmenter import Images, Lungs, Segmenter
from cxr_keras3.lungs.sides import joined
from cxr_keras3.run.folder import Run

Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Showing:
    """A region, and what finds it.

    Attributes:
        region: See `cxr_keras3.images.region`.
        segmenter: Finds the lungs.
    """

    region: Region
    segmenter: Segmenter

    @classmethod
    def of(cls, run: Run) -> Self:
        """What a run's model is shown."""
        return cls(run.manifest.region, Segmenter.open(run.segmenter_folder))

    def shown(self, rows: Iterable[Row]) -> Iterator[tuple[Row, npt.NDArray[np.uint8]]]:
        """Rows of the dataset with their images as the model is shown them; without those where no lung is found."""
        if self.region == "full":
            for row in rows:
                yield row, row["image"]
            return
        for row, lungs in outlined(rows, self.segmenter):
            if lungs.any():
                yield row, restrict(row["image"], mask(lungs), self.region)

    def restricted(self, films: Images, lungs: Lungs) -> Images:
        """Films as the model is shown them; whole where no lung was found."""
        if self.region == "full":
            return films
        pairs = zip(films, lungs, strict=True)
        return np.stack([restrict(film, mask(own), self.region) if own.any() else film for film, own in pairs])

    def on_film(self, maps: npt.NDArray[np.float32], lungs: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        """Activation maps of what the model was shown, (h, w, classes), on the whole film: nothing outside a crop."""
        if self.region != "crop" or not lungs.any():
            return maps
        side = lungs.shape[0]
        rows, columns = box(joined(lungs))
        size = columns.stop - columns.start, rows.stop - rows.start
        whole = np.zeros((side, side, maps.shape[-1]), dtype=np.float32)
        for index in range(maps.shape[-1]):
            drawn = Image.fromarray(np.ascontiguousarray(maps[..., index])).resize(size, Image.Resampling.BILINEAR)
            whole[rows, columns, index] = np.asarray(drawn)
        return whole


def outlined(rows: Iterable[Row], segmenter: Segmenter) -> Iterator[tuple[Row, npt.NDArray[np.bool_]]]:
    """Rows of the dataset, each with the lungs that are found on its image, bool (256, 256, 2)."""
    waiting = iter(rows)
    while batch := list(islice(waiting, BATCH_SIZE)):
        films = np.stack([row["image"] for row in batch])
        found = segmenter.start(filled(films))()
        yield from zip(batch, found, strict=False)


def mask(lungs: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Both lungs as the dataset has them: uint8 (256, 256, 1), 0 and 255."""
    return np.where(lungs.any(axis=-1, keepdims=True), np.uint8(255), np.uint8(0))
