"""Who is let in: what a DICOM header says of modality, body part, view and pixels (PS3.3 of the standard)."""

import re
import unicodedata

from pydicom.dataset import Dataset

from cxr_keras3.images.film import ImageError, NotAChestFilmError, require_size

_RADIOGRAPHY = frozenset({"CR", "DX", "RG"})
_UNSTATED = frozenset({"UNKNOWN", "UNSPECIFIED", "NONE", "OTHER", "NA", "ANY", "DEFAULT", "STANDARD", "BODY"})
# As hospitals write it; PadChest and BIMCV are Spanish.
_CHEST = frozenset(
    "CHEST THORAX THORACIC TORAX TORACE TORAKS PECHO POITRINE BRUST BRUSTKORB BORST BORSTKAS BRYST BROST KLATKA LUNG "  # noqa: SIM905 - a word list
    "LUNGS LUNGE LUNGEN PULMON PULMONES PULMAO PULMOES POLMONE POLMONI POUMON POUMONS CXR".split()
)
_FRONTAL = frozenset({"AP", "PA", "ANTEROPOSTERIOR", "POSTEROANTERIOR", "FRONTAL"})
_NOT_FRONTAL = frozenset(
    "LL RL LAT LATERAL LATERALS LLAT RLAT LATL LATR LLD RLD DECUBITUS LAO RAO LPO RPO LLO RLO OBLIQUE OBL".split()  # noqa: SIM905
)


def require_frontal_chest_film(dataset: Dataset) -> list[str]:
    """Lets in what a header calls a frontal chest radiograph, or does not call anything else.

    Modality CR, DX or RG; body part the chest; view AP or PA. Attributes, the codes that DX images may carry beside
    them and the patient's orientation are all asked, and one that says otherwise is enough to refuse.

    Args:
        dataset: The header.

    Returns:
        What the header leaves out, one note each.

    Raises:
        NotAChestFilmError: It says that it is something else.
        ImageError: It holds no image that can be shown.
    """
    notes = [*_require_radiograph(dataset), *_require_chest(dataset), *_require_frontal(dataset)]
    _require_grey_image(dataset)
    return notes


def _words(value: object) -> set[str]:
    """Its words in capitals without accents: those between blanks and signs, and those that hyphens join."""
    plain = unicodedata.normalize("NFKD", str(value)).encode("ascii", "ignore").decode().upper()
    return set(re.findall("[A-Z]+", plain)) | set(re.findall("[A-Z]+", plain.replace("-", "")))


def _stated(dataset: Dataset, keyword: str, code_sequence: str) -> set[str]:
    """The words of an attribute and of the codes that DX images may carry beside it or in its place."""
    found = _words(dataset.get(keyword) or "")
    for code in dataset.get(code_sequence) or ():
        found |= _words(code.get("CodeMeaning") or "")
    return found


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
    part = _stated(dataset, "BodyPartExamined", "AnatomicRegionSequence") - _UNSTATED
    if (part and not part & _CHEST) or "SPINE" in part:
        raise NotAChestFilmError(
            "the DICOM header names another body part than the chest, or one that is not understood: send a chest film"
        )
    return [] if part else ["body part not stated: taken for a chest"]


def _require_frontal(dataset: Dataset) -> list[str]:
    view = _stated(dataset, "ViewPosition", "ViewCodeSequence")
    if any(str(direction)[:1] in ("A", "P") for direction in dataset.get("PatientOrientation") or ()):
        view.add("LATERAL")  # the film's plane runs from the patient's front to the back
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
    if not dataset.BitsStored - 1 <= dataset.get("HighBit", dataset.BitsStored - 1) < dataset.BitsAllocated:
        raise ImageError("the DICOM header's highest bit lies outside the pixels' own: export the image again")
    require_size(int(dataset.Columns), int(dataset.Rows))
