"""Copies of films without their patients."""

import io
import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image, PngImagePlugin
from pydicom import uid
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset

from cxr_keras3 import images
from cxr_keras3.images.deidentification import REPLACED, deidentified
from tests.image_files import compressed, dicom_bytes, dicom_dataset, encoded, picture, valid_files

KEY = b"0123456789abcdef"
PLANTED = "PLANTED"
_TEXT = {"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
DICOM_FILES = sorted(name for name in valid_files() if name.startswith("dicom"))


def planted(dataset: Dataset, depth: int = 0) -> None:
    """Puts an identifier into every attribute of the standard's dictionary that holds text, UIDs, dates or bytes."""
    with pydicom.config.disable_value_validation():
        for tag, (representation, _, _, _, keyword) in DicomDictionary.items():
            if keyword in dataset or not keyword or tag >> 16 in (0x0000, 0x0002, 0x0004, 0x7FE0, 0xFFFE):
                continue
            if representation in _TEXT:
                dataset.add_new(tag, representation, PLANTED)
            elif representation in ("DA", "TM", "DT", "UI"):
                dataset.add_new(tag, representation, "19700131" if representation != "UI" else "1.2.19700131")
            elif representation in ("OB", "UN"):
                dataset.add_new(tag, representation, PLANTED.encode() + b"!")
            elif representation == "SQ" and depth == 0 and not keyword.startswith(("ViewCode", "AnatomicRegion")):
                item = Dataset()
                item.PatientName, item.TextValue = PLANTED, PLANTED
                if not keyword.endswith("LUTSequence"):
                    dataset.add_new(tag, "SQ", [item])


def spoilt(stored: np.ndarray, **attributes: object) -> Dataset:
    """A film with an identifier everywhere: all attributes, private ones, curves, overlays and the file's own head."""
    dataset = dicom_dataset(stored)
    planted(dataset)
    with pydicom.config.disable_value_validation():
        dataset.private_block(0x0099, PLANTED, create=True).add_new(1, "LO", PLANTED)
        dataset.add_new(0x60003000, "OW", PLANTED.encode() + b"!")  # an overlay
        dataset.add_new(0x50003000, "OW", PLANTED.encode() + b"!")  # a curve
        dataset.add_new(0xFFFCFFFC, "OB", PLANTED.encode() + b"!")  # trailing padding
        dataset.Modality, dataset.SpecificCharacterSet = "DX", "ISO_IR 100"
        dataset.PatientOrientation = ["L", "F"]
        for keyword in ("NumberOfFrames", "PresentationIntentType", "PresentationLUTShape", "VOILUTFunction"):
            if keyword in dataset:
                delattr(dataset, keyword)
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
    dataset.file_meta.SourceApplicationEntityTitle = PLANTED
    dataset.file_meta.PrivateInformationCreatorUID = "1.2.19700131"
    dataset.file_meta.PrivateInformation = PLANTED.encode() + b"!"
    dataset.preamble = (PLANTED * 20).encode()[:128]
    return dataset


def assert_clean(copy: bytes) -> None:
    text = copy.upper()
    assert PLANTED.encode() not in text
    assert b"19700131" not in text


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.JPEGBaseline8Bit])
def test_nothing_planted_anywhere_is_in_the_copy(syntax: uid.UID) -> None:
    dataset = spoilt(picture())
    if syntax == uid.ExplicitVRLittleEndian:
        data = dicom_bytes(dataset)
    else:  # a comment in the compressed stream
        data = compressed(dataset, syntax, encoded(picture(), "JPEG", comment=PLANTED.encode()))
    assert data.count(PLANTED.encode()) > 1000
    copy, suffix = deidentified(data, key=KEY)
    assert suffix == ".dcm"
    assert_clean(copy)
    read = pydicom.dcmread(io.BytesIO(copy))
    original = pydicom.dcmread(io.BytesIO(data))
    for keyword in REPLACED:
        assert read[keyword].value not in ("", original[keyword].value)
    assert (read.PatientIdentityRemoved, read.PatientName) == ("YES", "")
    assert read.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert not [element for element in read.iterall() if element.tag.is_private]


@pytest.mark.parametrize("name", DICOM_FILES)
def test_the_picture_is_the_same(name: str) -> None:
    data = valid_files()[name]
    copy, _ = deidentified(data, key=KEY)
    before, after = images.decode(data), images.decode(copy)
    np.testing.assert_array_equal(after.pixels, before.pixels)
    assert b"Secret" not in copy


def test_a_turned_film_stays_turned() -> None:
    data = dicom_bytes(dicom_dataset(picture(), PatientOrientation=["R", "F"], WindowCenter=100, WindowWidth=90))
    copy, _ = deidentified(data, key=KEY)
    np.testing.assert_array_equal(images.decode(copy).pixels, images.decode(data).pixels)


def test_a_picture_loses_what_its_file_says_of_it() -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Patient", PLANTED)
    exif = Image.Exif()
    exif[0x010E] = PLANTED
    for data in (encoded(picture(), "PNG", pnginfo=notes), encoded(picture(), "JPEG", exif=exif, comment=b"PLANTED")):
        copy, suffix = deidentified(data + PLANTED.encode(), key=KEY)
        assert suffix == ".png"
        assert_clean(copy)
        np.testing.assert_array_equal(images.decode(copy).pixels, images.decode(data).pixels)


def test_films_of_one_patient_stay_together_and_of_another_key_do_not() -> None:
    first = dicom_dataset(picture(), PatientID="1", StudyInstanceUID="1.2.3")
    second = dicom_dataset(picture(), PatientID="1", StudyInstanceUID="1.2.4")
    read = [
        pydicom.dcmread(io.BytesIO(deidentified(dicom_bytes(each), key=key)[0]))
        for each, key in ((first, KEY), (second, KEY), (first, os.urandom(16)))
    ]
    assert read[0].PatientID == read[1].PatientID != read[2].PatientID
    assert len({each.StudyInstanceUID for each in read}) == 3


def test_a_film_with_writing_burnt_in_is_refused() -> None:
    with pytest.raises(images.ImageError, match="burnt into"):
        deidentified(dicom_bytes(dicom_dataset(picture(), BurnedInAnnotation="YES")), key=KEY)


@pytest.mark.shared_data
def test_real_films_keep_their_picture(shared_data: Path) -> None:
    for path in sorted((shared_data / "dicom").glob("*.dcm")):
        data = path.read_bytes()
        try:
            before = images.decode(data)
        except images.ImageError:
            continue
        copy, _ = deidentified(data, key=KEY)
        np.testing.assert_array_equal(images.decode(copy).pixels, before.pixels)
        names = {str(pydicom.dcmread(path, stop_before_pixels=True).get(keyword, "")) for keyword in REPLACED}
        assert not [name for name in names if len(name) > 6 and name.encode() in copy]
