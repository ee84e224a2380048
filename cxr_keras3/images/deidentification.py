"""Films without their patients: DICOM PS3.15, Basic Application Level Confidentiality Profile.

The profile names what has to go. Here it is turned round: a new file is written, and only what these tables name goes
into it, numbers as numbers and words only where they are among those expected. What nobody thought of stays behind.
"""

import hashlib
import hmac
import io
import re
from collections.abc import Iterator

import numpy as np
import pydicom
from pydicom import uid
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes

from cxr_keras3.images.decoding import decode, encode_png
from cxr_keras3.images.dicom_pixels import stored_values, transfer_syntax
from cxr_keras3.images.film import ImageError

METHOD = "cxr_keras3: PS3.15 basic profile, by a list of what is kept"
PROFILE = codes.DCM.BasicApplicationConfidentialityProfile

NUMBERS = (
    *("Rows", "Columns", "BitsStored", "PixelRepresentation", "SamplesPerPixel", "PixelPaddingValue"),
    *("PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth"),
    *("ImagerPixelSpacing", "PixelSpacing", "LUTDescriptor"),
)
"""Kept where all their values are numbers."""

WORDS = {
    "Modality": frozenset({"CR", "DX", "RG"}),
    "ViewPosition": frozenset({"AP", "PA"}),
    "PhotometricInterpretation": frozenset({"MONOCHROME1", "MONOCHROME2"}),
    "PresentationIntentType": frozenset({"FOR PRESENTATION"}),
    "PresentationLUTShape": frozenset({"IDENTITY", "INVERSE"}),
    "VOILUTFunction": frozenset({"LINEAR", "LINEAR_EXACT", "SIGMOID"}),
    "LossyImageCompression": frozenset({"00", "01"}),
    "BurnedInAnnotation": frozenset({"NO"}),
    "ModalityLUTType": frozenset({"OD", "HU", "US"}),
}
"""Kept where the value is one of these."""

TABLES = ("ModalityLUTSequence", "VOILUTSequence")
EMPTIED = (
    *("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
    *("ReferringPhysicianName", "ContentDate", "ContentTime", "Manufacturer", "Laterality", "SeriesNumber"),
    *("InstanceNumber", "AcquisitionDateTime"),
)
"""Must be there, and is empty."""

REPLACED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID")
"""Replaced by what a secret key makes of them: the same for the same, and no way back without the key."""

_NUMBER = re.compile(r" *[+-]?[0-9.]+([eE][+-]?[0-9]+)? *")
_ORIENTATION = re.compile("[LRAPHF]{1,3}")


def deidentified(data: bytes, *, key: bytes) -> tuple[bytes, str]:
    """Makes a copy of a film's file that holds nothing of its patient but the picture.

    Compressed pixels are decoded, since a compressed stream may hold comments. What is burnt into the picture stays: a
    film whose header says that there is something is refused, and one that does not say so is taken at its word.

    Args:
        data: The file's bytes: DICOM, or a picture.
        key: A secret, the same for all that belongs together. One that is forgotten cannot be undone.

    Returns:
        The copy, DICOM of DICOM and PNG of any other, and its suffix.

    Raises:
        ImageError: It is no film that can be read, or something is burnt into it.
    """
    film = decode(data)
    if data[128:132] != b"DICM":
        return encode_png(film.pixels), ".png"
    syntax = transfer_syntax(data)
    source = pydicom.dcmread(io.BytesIO(data))
    if source.get("BurnedInAnnotation") == "YES":
        raise ImageError("the header says that something is burnt into the film: it cannot be de-identified")
    copy = Dataset()
    for keyword in EMPTIED:
        setattr(copy, keyword, None)
    for element in _kept(source):
        copy.add(element)
    for keyword in REPLACED:
        setattr(copy, keyword, _replacement(str(source.get(keyword) or ""), key))
    orientation = [str(letters) for letters in source.get("PatientOrientation") or ()]
    if all(_ORIENTATION.fullmatch(letters) for letters in orientation):
        copy.PatientOrientation = orientation
    stored = stored_values(source, syntax)
    copy.BitsAllocated, copy.HighBit = 8 * stored.itemsize, int(source.BitsStored) - 1
    copy.add_new("PixelData", "OW", stored.tobytes() + b"\0" * (stored.nbytes % 2))
    copy.BodyPartExamined = "CHEST"  # it would have been refused otherwise
    copy.PatientIdentityRemoved, copy.DeidentificationMethod = "YES", METHOD
    copy.DeidentificationMethodCodeSequence = Sequence([_code_item()])
    copy.LongitudinalTemporalInformationModified = "REMOVED"
    return _file(copy, _sop_class(source)), ".dcm"


def _kept(source: Dataset) -> Iterator[DataElement]:
    """What the tables let pass of a data set, and of the lookup tables in it."""
    for keyword in NUMBERS:
        if keyword in source and all(_NUMBER.fullmatch(str(value)) for value in _values(source[keyword])):
            yield source[keyword]
    for keyword, words in WORDS.items():
        if keyword in source and source[keyword].value in words:
            yield source[keyword]
    if "LUTData" in source:
        yield _little_endian(source["LUTData"], source)
    for keyword in TABLES:
        if source.get(keyword):
            table = Dataset()
            for element in _kept(source[keyword].value[0]):
                table.add(element)
            yield DataElement(source[keyword].tag, "SQ", Sequence([table]))


def _little_endian(element: DataElement, source: Dataset) -> DataElement:
    """A table's words in the order in which they are written; those of a file in the other order come as they were."""
    if isinstance(element.value, bytes) and source.original_encoding[1] is False:
        return DataElement(element.tag, "OW", np.frombuffer(element.value, ">u2").astype("<u2").tobytes())
    return element


def _values(element: DataElement) -> list[object]:
    return list(element.value) if element.VM > 1 else [element.value] if element.VM else []


def _replacement(value: str, key: bytes) -> str:
    """A UID of what was one, and of a patient's number another number: 128 bits of a keyed hash."""
    digest = hmac.new(key, value.encode(), hashlib.sha256).digest()[:16]
    return f"2.25.{int.from_bytes(digest, 'big')}"


def _sop_class(source: Dataset) -> uid.UID:
    stated = uid.UID(str(source.get("SOPClassUID") or ""))
    return stated if stated.type == "SOP Class" else uid.ComputedRadiographyImageStorage


def _code_item() -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = PROFILE.value, "DCM", PROFILE.meaning
    return item


def _file(copy: Dataset, sop_class: uid.UID) -> bytes:
    copy.SOPClassUID = sop_class
    copy.file_meta = FileMetaDataset()
    copy.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    copy.file_meta.MediaStorageSOPClassUID = sop_class
    copy.file_meta.MediaStorageSOPInstanceUID = copy.SOPInstanceUID
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, copy, enforce_file_format=True)
    return buffer.getvalue()
