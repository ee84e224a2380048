"""Drawn studies as DICOM files: chest films of several kinds, what is none, and what is broken. All of no person."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom import uid
from pydicom.uid import generate_uid

from tests.image_files import compressed, dicom_bytes, dicom_dataset
from tfds_cxr import phantom
from tfds_cxr.labels import LABELS

PLANTED = ("Planted", "IDENTIFIER", "19700131", "ACCESSION")  # in every header; to be found in no log
CR, DX = uid.ComputedRadiographyImageStorage, uid.DigitalXRayImageStorageForPresentation


@dataclass(frozen=True)
class Drawn:
    """A study.

    Attributes:
        kind: One of `KINDS`.
        uid: Study Instance UID.
        files: Its DICOM files.
        films: How many of them are to be scored.
    """

    kind: str
    uid: str
    files: list[bytes]
    films: int


def pixels(number: int) -> np.ndarray:
    """A phantom of 400 x 360 pixels."""
    image, _ = phantom.draw(LABELS[number % len(LABELS)], seed=9, index=number)
    return np.asarray(Image.fromarray(image).resize((360, 400), Image.Resampling.BICUBIC))


def study(kind: str, number: int) -> Drawn:
    """Draws a study of a kind, one of `KINDS`; the same for the same number."""
    study_uid = generate_uid(entropy_srcs=["study", kind, str(number)])
    with pydicom.config.disable_value_validation():
        files = [_file(study_uid, number, place, **image) for place, image in enumerate(_IMAGES[kind])]
    return Drawn(kind, study_uid, files, _FILMS[kind])


def _file(study_uid: str, number: int, place: int, *, how: str = "", sop_class: str = DX, **attributes: Any) -> bytes:
    grey = pixels(number + place)
    stored, bits = grey, 8
    if how == "12 bit":
        stored, bits = grey.astype(np.uint16) * 16, 12
        attributes |= {"WindowCenter": 2048, "WindowWidth": 4096}
    if how == "upside down":
        stored = np.ascontiguousarray(grey[::-1])
    if attributes.get("PhotometricInterpretation") == "MONOCHROME1":
        stored = (2**bits - 1 - stored).astype(stored.dtype)
    header = {
        "PatientName": f"{PLANTED[0]}^Person{number}",
        "PatientID": f"{PLANTED[1]}-{number}",
        "PatientBirthDate": PLANTED[2],
        "AccessionNumber": f"{PLANTED[3]}{number}",
        "PatientSex": "F",
        "StudyID": "1",
        "StudyDate": f"{dt.date.today():%Y%m%d}",  # noqa: DTZ011 -- the gateway's own day
        "StudyTime": "120000",
        "ReferringPhysicianName": "",
        "StudyInstanceUID": study_uid,
        "SeriesInstanceUID": generate_uid(entropy_srcs=[study_uid, "series", str(place)]),
        "SOPInstanceUID": generate_uid(entropy_srcs=[study_uid, "image", str(place)]),
        "SOPClassUID": sop_class,
        "Modality": "CR" if sop_class == CR else "DX",
        "InstanceNumber": place + 1,
    }
    dataset = dicom_dataset(stored, bits=bits)
    for keyword, value in (header | attributes).items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    if how == "jpeg 2000":
        return compressed(dataset, uid.JPEG2000Lossless)
    if how == "broken":
        return compressed(dataset, uid.JPEG2000Lossless, b"\xff\x4f\xff\x51 no picture ")
    return dicom_bytes(dataset)


_LATERAL = {"ViewPosition": "LL"}
_IMAGES: dict[str, list[dict[str, Any]]] = {
    "dx": [{}],
    "cr": [{"sop_class": CR, "how": "12 bit"}],
    "dx inverted": [{"how": "12 bit", "PhotometricInterpretation": "MONOCHROME1"}],
    "cr compressed": [{"sop_class": CR, "how": "jpeg 2000"}],
    "two films": [{}, {"ViewPosition": "AP"}],
    "film and lateral": [_LATERAL, {}],
    "odd header": [
        {
            "sop_class": CR,
            "SpecificCharacterSet": "ISO_IR 100",
            "PatientName": f"Müller^{PLANTED[0]}=two=three=four",
            "PatientSex": "?",
            "PatientBirthDate": f"{PLANTED[2]}x",
        }
    ],
    "film and broken": [{}, {"how": "broken"}],
    "hip": [{"BodyPartExamined": "HIP"}],
    "broken": [{"how": "broken"}],
    "upside down": [{"how": "upside down"}],
    "ct": [{"sop_class": uid.SecondaryCaptureImageStorage, "Modality": "CT"}],
}
KINDS = tuple(_IMAGES)
_FILMS = dict.fromkeys(KINDS, 1) | {"two films": 2} | dict.fromkeys(("hip", "broken", "upside down", "ct"), 0)
