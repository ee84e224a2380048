"""DICOM chest radiographs: from a file to an upright film. PS3.3 and PS3.5 are parts of the DICOM standard."""

import io
import math
import re
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset

from cxr_keras3.images.dicom_header import require_frontal_chest_film
from cxr_keras3.images.dicom_pixels import stored_values, transfer_syntax
from cxr_keras3.images.dicom_shades import shades_of
from cxr_keras3.images.film import Film, Window

_Number = TypeVar("_Number", bound=np.integer[Any])
# Nothing else is parsed: the patient's name and the like never reach this program.
_HEADER = (  # noqa: SIM905 - a column of thirty strings reads worse
    "SOPInstanceUID Modality BodyPartExamined AnatomicRegionSequence ViewPosition ViewCodeSequence "
    "PatientOrientation PresentationIntentType PresentationLUTShape SamplesPerPixel "
    "PhotometricInterpretation NumberOfFrames Rows Columns BitsAllocated BitsStored HighBit "
    "PixelRepresentation PixelPaddingValue PixelPaddingRangeLimit RescaleSlope RescaleIntercept "
    "ModalityLUTSequence VOILUTSequence VOILUTFunction WindowCenter WindowWidth LossyImageCompression PixelData "
    "PixelSpacing ImagerPixelSpacing"
).split()


def decode_dicom(data: bytes, *, with_values: bool = False) -> Film:
    """Reads a DICOM file's frontal chest radiograph.

    The stored values pass through the modality transformation (LUT or rescale) and the first value
    of interest transformation (LUT, else window), to grey (PS3.3 C.11.1 and C.11.2). Without either,
    8-bit images keep their full range and others are windowed between two percentiles, with a
    warning; so are those whose window leaves most greys unused. MONOCHROME1 is inverted, and a film
    stored turned or mirrored is set upright by its Patient Orientation.

    The modality must be CR, DX or RG, the body part the chest, the view AP or PA; what the header
    leaves out is let pass with a warning. Lateral, oblique and decubitus views are refused.

    Args:
        data: The file's bytes, with the mark "DICM" at byte 128.
        with_values: See `decode`.

    Raises:
        ImageError: The image cannot be read; other exceptions come from a damaged header.
        NotAChestFilmError: The header says that it is not a frontal chest radiograph.
    """
    syntax = transfer_syntax(data)
    dataset = pydicom.dcmread(io.BytesIO(data), specific_tags=list(_HEADER))
    notes = require_frontal_chest_film(dataset)
    stored = stored_values(dataset, syntax)
    shades, patterns = shades_of(dataset, stored), stored.view(f"u{stored.itemsize}")
    pixels, orientation_notes = _upright(shades.greys[patterns], dataset)
    notes += [*shades.notes, *orientation_notes]
    if dataset.get("LossyImageCompression") == "01":
        notes.append("lossy compression: fine detail may be lost")
    uid = pydicom.uid.UID(str(dataset.get("SOPInstanceUID", "")))
    mode = f"DICOM {dataset.PhotometricInterpretation} {int(dataset.BitsStored)} bit"
    turned = bool(orientation_notes) and str(dataset.PatientOrientation[0])[:1] in "HF"
    spacing = _spacing(dataset, turned=turned)
    used = shades.values[np.bincount(patterns.ravel(), minlength=len(shades.values)) > 0]
    window = Window.between(*shades.span, used, bits=int(dataset.BitsStored), is_inverted=shades.is_inverted)
    values = _upright(shades.values[patterns], dataset)[0] if with_values else None
    return Film(pixels, mode, tuple(notes), str(uid) if uid.is_valid else None, spacing, window, values)


def _spacing(dataset: Dataset, *, turned: bool) -> tuple[float, float] | None:
    """`Film.spacing`: that in the patient (PS3.3 10.7) before that on the detector (C.8.11.4)."""
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        found = dataset.get(name)
        if found and len(found) == 2 and all(0 < float(each) < math.inf for each in found):
            rows, columns = (float(each) for each in found)
            return (columns, rows) if turned else (rows, columns)
    return None


def _upright(pixels: npt.NDArray[_Number], dataset: Dataset) -> tuple[npt.NDArray[_Number], list[str]]:
    """Turns a frontal film so that the patient's left is on the right and the feet are below.

    Patient Orientation names where the rows and then the columns point to (PS3.3 C.7.6.1.1.1), by
    the first letters of left, right, head and feet.
    """
    directions = "".join(str(letters)[:1] for letters in dataset.get("PatientOrientation") or ())
    if not re.fullmatch("[LR][HF]|[HF][LR]", directions) or directions == "LF":
        return pixels, []
    if directions[0] in "HF":
        pixels, directions = pixels.T, directions[::-1]
    if directions[0] == "R":
        pixels = pixels[:, ::-1]
    if directions[1] == "H":
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels), ["set upright by the header's Patient Orientation"]
