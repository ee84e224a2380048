"""Which of a study's images is a frontal chest film, and what the model says of it."""

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from cxr_keras3 import images
from cxr_keras3.serving import Prediction, Predictor
from cxr_keras3.serving.inputs import Input


@dataclass(frozen=True, eq=False)
class ScoredFilm:
    """A film that was scored.

    Attributes:
        source: Its dataset, without the pixels.
        prediction: What the model says of it; accepted.
        pixels: uint8 (height, width), upright, air dark.
    """

    source: Dataset
    prediction: Prediction
    pixels: npt.NDArray[np.uint8]


def refused_by_header(header: Dataset) -> str:
    """Why a header says that its image is no frontal chest film, in one line; empty where it does not.

    The rule is that of `images.decode`, which is given the header as a file without an image, so that an image
    of a hip is not fetched.
    """
    file = Dataset(header)
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    file.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, file, enforce_file_format=True)
    try:
        images.decode(buffer.getvalue())
    except images.NotAChestFilmError as error:
        return str(error)
    except images.ImageError:  # there are no pixels yet
        return ""
    raise RuntimeError("a header without pixels was decoded as an image")


def score_film(predictor: Predictor, source: Dataset, data: bytes) -> ScoredFilm | str:
    """Scores one image as `python -m cxr_keras3.predict` does; gives the reason in its place where it is refused."""
    try:
        film = predictor.decode(data)
    except images.ImageError as error:
        return str(error)
    (prediction,) = predictor.predict([Input("", film)], batch_size=1)
    if not prediction.accepted:
        return prediction.reject_reason
    header = Dataset({tag: element for tag, element in source.items() if tag.group < 0x5000})  # no pixels, no overlays
    return ScoredFilm(header, prediction, film.pixels)
