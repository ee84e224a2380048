"""DICOM chest radiographs: who is let in, and how their stored values become shades of grey.

PS3.3 and PS3.5 are parts of the DICOM standard.
"""

import io
import re

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset

from cxr_keras3.images.dicom_pixels import stored_values, transfer_syntax
from cxr_keras3.images.film import (
    WINDOW_GUESSED,
    Film,
    ImageError,
    NotAChestFilmError,
    apply_window,
    guess_window,
    require_size,
)

# Nothing else is parsed: the patient's name and the like never reach this program.
_HEADER = (  # noqa: SIM905 - a column of thirty strings reads worse
    "SOPInstanceUID Modality BodyPartExamined AnatomicRegionSequence ViewPosition ViewCodeSequence "
    "PatientOrientation PresentationIntentType PresentationLUTShape SamplesPerPixel "
    "PhotometricInterpretation NumberOfFrames Rows Columns BitsAllocated BitsStored HighBit "
    "PixelRepresentation PixelPaddingValue RescaleSlope RescaleIntercept ModalityLUTSequence "
    "VOILUTSequence VOILUTFunction WindowCenter WindowWidth LossyImageCompression PixelData"
).split()

_RADIOGRAPHY = frozenset({"CR", "DX", "RG"})
_CHEST = frozenset({"CHEST", "THORAX", "THORACIC", "LUNG", "LUNGS", "CXR"})
_FRONTAL = frozenset({"AP", "PA", "ANTEROPOSTERIOR", "POSTEROANTERIOR", "FRONTAL"})
_NOT_FRONTAL = frozenset(
    "LL RL LAT LATERAL LLD RLD DECUBITUS LAO RAO LPO RPO LLO RLO OBLIQUE".split()  # noqa: SIM905 - a word list
)


def decode_dicom(data: bytes) -> Film:
    """Reads a DICOM file's frontal chest radiograph.

    The stored values pass through the modality transformation (LUT or rescale) and the first value
    of interest transformation (LUT, else window), to grey (PS3.3 C.11.1 and C.11.2). Without either,
    8-bit images keep their full range and others are windowed between two percentiles, with a
    warning. MONOCHROME1 is inverted, and a film stored turned or mirrored is set upright by its
    Patient Orientation.

    The modality must be CR, DX or RG, the body part the chest, the view AP or PA; what the header
    leaves out is let pass with a warning. Lateral, oblique and decubitus views are refused.

    Args:
        data: The file's bytes, with the mark "DICM" at byte 128.

    Raises:
        ImageError: The image cannot be read; other exceptions come from a damaged header.
        NotAChestFilmError: The header says that it is not a frontal chest radiograph.
    """
    syntax = transfer_syntax(data)
    dataset = pydicom.dcmread(io.BytesIO(data), specific_tags=list(_HEADER))
    notes = [*_require_radiograph(dataset), *_require_chest(dataset), *_require_frontal(dataset)]
    _require_grey_image(dataset)
    stored = stored_values(dataset, syntax)
    shades, window_notes = _shades(dataset, stored)
    pixels, orientation_notes = _upright(shades[stored.view(f"u{stored.itemsize}")], dataset)
    notes += [*window_notes, *orientation_notes]
    if dataset.get("LossyImageCompression") == "01":
        notes.append("lossy compression: fine detail may be lost")
    uid = pydicom.uid.UID(str(dataset.get("SOPInstanceUID", "")))
    mode = f"DICOM {dataset.PhotometricInterpretation} {int(dataset.BitsStored)} bit"
    return Film(pixels, mode, tuple(notes), str(uid) if uid.is_valid else None)


def _words(value: object) -> set[str]:
    return set(re.findall("[A-Z]+", str(value).upper().replace("-", "")))


def _stated(dataset: Dataset, keyword: str, code_sequence: str) -> set[str]:
    """Returns the words of an attribute, or of the code that DX images may carry in its place."""
    codes = dataset.get(code_sequence) or [Dataset()]
    return _words(dataset.get(keyword) or codes[0].get("CodeMeaning") or "")


def _require_radiograph(dataset: Dataset) -> list[str]:
    modality = str(dataset.get("Modality") or "")
    if not modality:
        return ["modality not stated: taken for a radiograph"]
    if modality not in _RADIOGRAPHY:
        name = modality if re.fullmatch("[A-Z]{2,8}", modality) else "another"
        raise NotAChestFilmError(
            f"a chest film has the DICOM modality CR, DX or RG, this file has {name}: send the radiograph"
        )
    if dataset.get("PresentationIntentType") == "FOR PROCESSING":
        raise ImageError("the DICOM file holds raw detector data (FOR PROCESSING): send the image FOR PRESENTATION")
    return []


def _require_chest(dataset: Dataset) -> list[str]:
    part = _stated(dataset, "BodyPartExamined", "AnatomicRegionSequence")
    if (part and not part & _CHEST) or "SPINE" in part:
        raise NotAChestFilmError("the DICOM header names another body part than the chest: send a chest film")
    return [] if part else ["body part not stated: taken for a chest"]


def _require_frontal(dataset: Dataset) -> list[str]:
    view = _stated(dataset, "ViewPosition", "ViewCodeSequence")
    if not view and _words(dataset.get("PatientOrientation", "")) & {"A", "P"}:
        view = {"LATERAL"}  # the film's plane runs from the patient's front to the back
    if view & _NOT_FRONTAL:
        raise NotAChestFilmError("the DICOM header says that the view is not a frontal one: send the AP or PA view")
    return [] if view & _FRONTAL else ["view not stated as AP or PA: taken for a frontal one"]


def _require_grey_image(dataset: Dataset) -> None:
    if not dataset.get("PixelData"):
        raise ImageError("the DICOM file holds no image: send the radiograph, not a report or index")
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise ImageError("a DICOM file must hold one image, this one holds several: send the film by itself")
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    if photometric not in ("MONOCHROME1", "MONOCHROME2") or dataset.SamplesPerPixel != 1:
        name = photometric if re.fullmatch("[A-Z0-9_ ]{3,16}", photometric) else "another"
        raise ImageError(
            f"a radiograph's photometric interpretation is MONOCHROME1 or 2, this file has {name}: "
            "send the original, not a screen copy"
        )
    if dataset.BitsAllocated not in (8, 16) or not 1 <= dataset.BitsStored <= dataset.BitsAllocated:
        raise ImageError("a radiograph is stored in 8 or 16 bits, this file says otherwise: export it again")
    require_size(int(dataset.Columns), int(dataset.Rows))


def _shades(dataset: Dataset, stored: npt.NDArray[np.integer]) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """Returns the shade of every bit pattern that a pixel can have, in unsigned order, and warnings."""
    patterns = np.arange(2 ** (8 * stored.itemsize), dtype=f"u{stored.itemsize}")
    values = _modality_values(dataset, patterns.view(stored.dtype).astype(np.float64))
    window = _window(dataset)
    notes = []
    if dataset.get("VOILUTSequence"):
        values, depth = _look_up(dataset.VOILUTSequence[0], values)
        low, high = 0.0, 2.0**depth - 1
    elif window and dataset.get("VOILUTFunction") == "SIGMOID":
        centre, width = window
        values, low, high = 1 / (1 + np.exp(-4 * (values - centre) / width)), 0.0, 1.0
    elif window:
        centre, width = window
        if dataset.get("VOILUTFunction") != "LINEAR_EXACT":
            centre, width = centre - 0.5, width - 1
        low, high = centre - width / 2, centre + width / 2
    else:
        if dataset.BitsStored <= 8:
            smallest = -(2 ** (dataset.BitsStored - 1)) if dataset.PixelRepresentation else 0
            ends = smallest, smallest + 2**dataset.BitsStored - 1
        else:
            ends = guess_window(_without_padding(dataset, stored))
            notes.append(WINDOW_GUESSED)
        low, high = sorted(values[int(end) % len(values)] for end in ends)
    if not np.isfinite([values.min(), values.max(), low, high]).all():
        raise ImageError("the DICOM header's window or rescale is not a finite number: export the image again")
    shades = apply_window(values, low, high)
    # INVERSE restates MONOCHROME1 in DX images (PS3.3 C.8.11.3.1.2): it is no second inversion.
    if dataset.PhotometricInterpretation == "MONOCHROME1" or dataset.get("PresentationLUTShape") == "INVERSE":
        shades = 255 - shades
    return shades, notes


def _modality_values(dataset: Dataset, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if dataset.get("ModalityLUTSequence"):
        return _look_up(dataset.ModalityLUTSequence[0], values)[0]
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    if slope is None or intercept is None:
        return values
    return values * float(slope) + float(intercept)


def _look_up(item: Dataset, values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], int]:
    """Applies a lookup table (PS3.3 C.11.1.1) and returns its output and the output's bits.

    pydicom's own functions wrap around where an 8-bit table has more than 256 entries.
    """
    count, first, depth = (int(number) for number in item.LUTDescriptor)
    entries = item.LUTData
    if isinstance(entries, bytes):
        wide = len(entries) >= 2 * (count or 2**16)
        order = "<" if item.original_encoding[1] else ">"
        entries = np.frombuffer(entries, f"{order}u2" if wide else "u1")
    table = np.atleast_1d(np.asarray(entries, dtype=np.float64))
    return table[np.clip(np.rint(values) - first, 0, len(table) - 1).astype(np.int64)], depth


def _window(dataset: Dataset) -> tuple[float, float] | None:
    """Returns the first window's centre and width, None where there is none that shows anything."""
    centres, widths = dataset.get("WindowCenter"), dataset.get("WindowWidth")
    if centres in (None, "") or widths in (None, ""):
        return None
    centre, width = (float(np.atleast_1d(numbers)[0]) for numbers in (centres, widths))
    return (centre, width) if width > 1 else None


def _without_padding(dataset: Dataset, stored: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    padding = dataset.get("PixelPaddingValue")
    counted = stored if padding is None else stored[stored != int(padding)]
    return counted if counted.size else stored


def _upright(pixels: npt.NDArray[np.uint8], dataset: Dataset) -> tuple[npt.NDArray[np.uint8], list[str]]:
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
