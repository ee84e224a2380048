import random
import struct
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_windowing

from cxr_keras3 import images
from cxr_keras3.images.dicom_shades import UNUSED
from cxr_keras3.images.film import LEAST_SPAN
from tests.image_files import (
    SOP_INSTANCE_UID,
    compressed,
    dicom,
    dicom_bytes,
    dicom_dataset,
    encoded,
    lookup_table,
    lossless_jpeg,
    picture,
    pydicom_sample,
    with_voi_lut,
)

GREY = picture()
WIDE = picture(levels=4096)
FULL_RANGE = {"bits": 12, "WindowCenter": 2048, "WindowWidth": 4096}


def decode(data: bytes) -> np.ndarray:
    return images.decode(data).pixels


def shown_by_pydicom(dataset: Dataset, stored: np.ndarray) -> np.ndarray:
    """The shades, 0 to 255 unrounded, that pydicom's own window gives."""
    with np.errstate(over="ignore"):
        shown = apply_windowing(apply_modality_lut(stored, dataset), dataset)
        black, white = apply_windowing(np.array([-1e9, 1e9]), dataset)
    return (shown - black) / (white - black) * 255


@given(hnp.arrays(np.uint8, (64, 70)))
@settings(max_examples=20, deadline=None)
def test_8_bit_pixels_are_untouched(pixels: np.ndarray) -> None:
    film = images.decode(dicom(pixels))
    np.testing.assert_array_equal(film.pixels, pixels)
    assert (film.original_mode, film.warnings) == ("DICOM MONOCHROME2 8 bit", ())
    assert film.sop_instance_uid == SOP_INSTANCE_UID


@pytest.mark.parametrize("attributes", [{}, {"PresentationLUTShape": "INVERSE"}])
def test_monochrome1_is_inverted_once(attributes: dict[str, str]) -> None:
    film = images.decode(dicom(255 - GREY, PhotometricInterpretation="MONOCHROME1", **attributes))
    np.testing.assert_array_equal(film.pixels, GREY)


def test_an_inverse_presentation_inverts_monochrome2() -> None:
    np.testing.assert_array_equal(decode(dicom(255 - GREY, PresentationLUTShape="INVERSE")), GREY)


@pytest.mark.parametrize("bits", [10, 11, 12, 13, 14, 15, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_every_bit_depth_is_shown_through_its_window(bits: int, signed: bool) -> None:
    stored = picture(levels=2**bits).astype(np.int32) - (2 ** (bits - 1) if signed else 0)
    stored = stored.astype(np.int16 if signed else np.uint16)
    window = {"WindowCenter": round(stored.mean()), "WindowWidth": 2 ** (bits - 1) - 3}
    dataset = dicom_dataset(stored, bits=bits, **window)
    film = images.decode(dicom_bytes(dataset))
    assert np.abs(film.pixels - shown_by_pydicom(dataset, stored)).max() <= 0.5 + 1e-9
    assert film.warnings == ()


@given(
    centre=st.integers(-500, 5000),
    width=st.integers(2, 9000),
    slope=st.sampled_from([1.0, 0.5, 2.25]),
    intercept=st.integers(-1024, 1024),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID", None]),
)
@settings(max_examples=60, deadline=None)
def test_rescale_and_window_agree_with_pydicom(
    centre: int, width: int, slope: float, intercept: int, function: str | None
) -> None:
    attributes = {"RescaleSlope": slope, "RescaleIntercept": intercept}
    attributes |= {"WindowCenter": [centre, 1], "WindowWidth": [width, 2]}
    dataset = dicom_dataset(WIDE, bits=12, **attributes, **({"VOILUTFunction": function} if function else {}))
    expected = shown_by_pydicom(dataset, WIDE)
    film = images.decode(dicom_bytes(dataset))
    if UNUSED in film.warnings:  # a window that no reader would look through
        assert np.subtract(*np.clip(np.percentile(expected, (99.5, 0.5)), 0, 255)) < LEAST_SPAN + 1
        assert np.subtract(*np.percentile(film.pixels, (99.5, 0.5))) > 250
    else:
        assert np.abs(film.pixels - expected).max() <= 0.5 + 1e-9


def test_a_negative_rescale_slope_turns_dark_into_bright() -> None:
    stored = dicom(WIDE, bits=12, RescaleSlope=-1, RescaleIntercept=4095, WindowCenter=2048, WindowWidth=4096)
    np.testing.assert_allclose(decode(stored), 255 - WIDE / 4095 * 255, atol=0.51)
    np.testing.assert_array_equal(decode(dicom(GREY, RescaleSlope=-1, RescaleIntercept=255)), 255 - GREY)


@pytest.mark.parametrize("depth", [8, 10, 12, 16])
def test_the_lookup_table_goes_before_the_window(depth: int) -> None:
    entries = np.round(np.sqrt(np.arange(4096) / 4095) * (2**depth - 1)).astype(np.uint16)
    dataset = with_voi_lut(dicom_dataset(WIDE, WindowCenter=1, WindowWidth=2, bits=12), entries, depth=depth)
    expected = entries[WIDE] / (2**depth - 1) * 255
    assert np.abs(decode(dicom_bytes(dataset)) - expected).max() <= 0.5 + 1e-9


def test_a_lookup_table_may_start_below_zero_and_clamps_at_its_ends() -> None:
    stored = np.tile(np.array([-300, -100, 0, 155, 900], np.int16), (64, 20))
    dataset = with_voi_lut(dicom_dataset(stored), np.arange(256), depth=8, first=-100)
    assert decode(dicom_bytes(dataset))[0, :5].tolist() == [0, 0, 100, 255, 255]


def test_the_modality_lookup_table_goes_before_the_window() -> None:
    dataset = dicom_dataset(WIDE, **FULL_RANGE)
    dataset.ModalityLUTSequence = [lookup_table(np.arange(4095, -1, -1), depth=12)]
    dataset.ModalityLUTSequence[0].ModalityLUTType = "US"
    np.testing.assert_allclose(decode(dicom_bytes(dataset)), 255 - WIDE / 4095 * 255, atol=0.51)


@pytest.mark.parametrize("window", [{}, {"WindowCenter": 100, "WindowWidth": 1}, {"WindowWidth": 50}])
def test_without_a_usable_window_one_is_guessed_and_said(window: dict[str, int]) -> None:
    film = images.decode(dicom(WIDE + 90, bits=13, **window))
    low, high = np.percentile(WIDE, [0.5, 99.5])
    assert np.abs(film.pixels - np.clip((WIDE - low) / (high - low), 0, 1) * 255).max() <= 1
    assert film.warnings == (images.WINDOW_GUESSED,)


def test_padding_does_not_shape_a_guessed_window() -> None:
    framed = np.hstack([np.zeros((72, 30), np.uint16), WIDE + 2000])
    plain = decode(dicom(WIDE + 2000, bits=13))
    np.testing.assert_array_equal(decode(dicom(framed, bits=13, PixelPaddingValue=0))[:, 30:], plain)
    assert np.any(decode(dicom(framed, bits=13))[:, 30:] != plain)


def test_bits_beyond_those_stored_are_ignored() -> None:
    overlay = WIDE | np.uint16(0xF000)
    np.testing.assert_array_equal(decode(dicom(overlay, **FULL_RANGE)), decode(dicom(WIDE, **FULL_RANGE)))


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEG2000Lossless, uid.JPEGLossless, uid.JPEGLosslessSV1])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_lossless_compression_changes_nothing(syntax: uid.UID, bits: int) -> None:
    stored = picture(levels=2**bits)
    window = {"bits": bits, "WindowCenter": 2 ** (bits - 1), "WindowWidth": 2**bits}
    frame = lossless_jpeg(stored, precision=bits) if "JPEG Lossless" in syntax.name else None
    film = images.decode(compressed(dicom_dataset(stored, **window), syntax, frame))
    np.testing.assert_array_equal(film.pixels, decode(dicom(stored, **window)))


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEG2000Lossless])
def test_lossless_compression_keeps_the_sign(syntax: uid.UID) -> None:
    stored = WIDE.astype(np.int16) - 2048
    window = {"bits": 12, "WindowCenter": 0, "WindowWidth": 4096}
    film = images.decode(compressed(dicom_dataset(stored, **window), syntax))
    np.testing.assert_array_equal(film.pixels, decode(dicom(stored, **window)))


@pytest.mark.parametrize("name", ["MR_small_RLE", "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless"])
def test_other_programs_compression_is_undone(name: str) -> None:
    window = {"WindowCenter": 600, "WindowWidth": 1600}
    plain = decode(dicom_bytes(pydicom_sample("MR_small.dcm", **window)))
    assert len(np.unique(plain)) > 100
    np.testing.assert_array_equal(decode(dicom_bytes(pydicom_sample(f"{name}.dcm", **window))), plain)


@pytest.mark.parametrize("name", ["MR_small_bigendian.dcm", "MR_small_implicit.dcm"])
def test_other_byte_orders_are_read(name: str) -> None:
    plain = decode(dicom_bytes(pydicom_sample("MR_small.dcm")))
    np.testing.assert_array_equal(decode(dicom_bytes(pydicom_sample(name))), plain)


def test_a_lookup_table_follows_the_files_byte_order() -> None:
    dataset = with_voi_lut(dicom_dataset(WIDE, bits=12), np.arange(4096), depth=12)
    plain = decode(dicom_bytes(dataset))
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRBigEndian
    dataset.PixelData = WIDE.byteswap().tobytes()
    dataset.VOILUTSequence[0].LUTData = np.arange(4096).astype(">u2").tobytes()
    np.testing.assert_array_equal(decode(dicom_bytes(dataset)), plain)


def test_rle_runs_may_cross_rows() -> None:
    flat = np.full((64, 100), 7, np.uint8)
    segment = bytes([257 - 128, 7] * (6400 // 128))
    frame = struct.pack("<16L", 1, 64, *[0] * 14) + segment
    data = compressed(dicom_dataset(flat), uid.RLELossless, frame)
    np.testing.assert_array_equal(decode(data), flat)


def test_8_and_12_bit_jpeg_are_read() -> None:
    film = images.decode(compressed(dicom_dataset(GREY), uid.JPEGBaseline8Bit, encoded(GREY, "JPEG", quality=95)))
    assert np.abs(film.pixels.astype(int) - GREY).mean() < 2
    film = images.decode(dicom_bytes(pydicom_sample("JPGExtended.dcm")))
    assert film.original_mode == "DICOM MONOCHROME2 12 bit"
    assert film.warnings == (images.WINDOW_GUESSED, "lossy compression: fine detail may be lost")
    assert np.ptp(film.pixels) == 255


@pytest.mark.parametrize("modality", ["CT", "MR", "US", "OT", "MG", "SMITH^JOHN"])
def test_other_modalities_are_no_chest_films(modality: str) -> None:
    with pytest.raises(images.NotAChestFilmError) as caught:
        images.decode(dicom(GREY, Modality=modality))
    assert ("another" if "^" in modality else modality) in str(caught.value)
    assert "JOHN" not in str(caught.value)


@pytest.mark.parametrize("part", ["ABDOMEN", "HIP", "RIBCAGE", "TSPINE", "THORACIC SPINE", "CHESTABDOMEN", "HAND"])
def test_other_body_parts_are_no_chest_films(part: str) -> None:
    with pytest.raises(images.NotAChestFilmError, match="body part"):
        images.decode(dicom(GREY, BodyPartExamined=part))


@pytest.mark.parametrize("view", ["LL", "RL", "LATERAL", "LAT", "LLD", "RLD", "RAO", "Left Lateral"])
def test_other_views_are_no_frontal_chest_films(view: str) -> None:
    with pytest.raises(images.NotAChestFilmError, match="frontal"):
        images.decode(dicom(GREY, ViewPosition=view))
    code = Dataset()
    code.CodeMeaning = view
    with pytest.raises(images.NotAChestFilmError, match="frontal"):
        images.decode(dicom(GREY, ViewPosition=None, ViewCodeSequence=[code]))


def test_a_side_view_is_told_by_its_orientation() -> None:
    with pytest.raises(images.NotAChestFilmError, match="frontal"):
        images.decode(dicom(GREY, ViewPosition="", PatientOrientation=["P", "F"]))


@pytest.mark.parametrize("part", ["CHEST", "chest", "CHEST PA", "PORT CHEST", "THORAX", "LUNG"])
@pytest.mark.parametrize("view", ["AP", "PA", "postero-anterior"])
def test_frontal_chest_films_pass_without_a_word(part: str, view: str) -> None:
    assert images.decode(dicom(GREY, BodyPartExamined=part, ViewPosition=view)).warnings == ()


def test_codes_stand_in_for_an_absent_body_part_and_view() -> None:
    region, view = Dataset(), Dataset()
    region.CodeMeaning, view.CodeMeaning = "Chest", "postero-anterior"
    codes = {"AnatomicRegionSequence": [region], "ViewCodeSequence": [view]}
    assert images.decode(dicom(GREY, BodyPartExamined=None, ViewPosition="", **codes)).warnings == ()


def test_what_the_header_leaves_out_is_said() -> None:
    film = images.decode(dicom(GREY, Modality="", BodyPartExamined=None, ViewPosition="", LossyImageCompression="01"))
    assert film.warnings == (
        "modality not stated: taken for a radiograph",
        "body part not stated: taken for a chest",
        "view not stated as AP or PA: taken for a frontal one",
        "lossy compression: fine detail may be lost",
    )


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (["L", "F"], GREY),
        (["R", "F"], GREY[:, ::-1]),
        (["L", "H"], GREY[::-1]),
        (["R", "H"], GREY[::-1, ::-1]),
        (["F", "L"], GREY.T),
        (["F", "R"], np.rot90(GREY)),
        (["H", "L"], np.rot90(GREY, -1)),
        (["H", "R"], np.rot90(GREY, 2).T),
        (["LF", "FR"], GREY),
    ],
)
def test_a_turned_film_is_set_upright(orientation: list[str], stored: np.ndarray) -> None:
    film = images.decode(dicom(stored, PatientOrientation=orientation))
    np.testing.assert_array_equal(film.pixels, GREY)
    assert bool(film.warnings) == (stored is not GREY)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"PixelData": None}, "no image"),
        ({"PixelData": b""}, "no image"),
        ({"NumberOfFrames": 2}, "several"),
        ({"PhotometricInterpretation": "RGB"}, "RGB"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE COLOR"),
        ({"PhotometricInterpretation": "Smith^John"}, "another"),
        ({"SamplesPerPixel": 3}, "photometric"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "FOR PRESENTATION"),
        ({"BitsAllocated": 32}, "8 or 16 bits"),
        ({"BitsStored": 9}, "8 or 16 bits"),
        ({"Rows": 60000, "Columns": 60000}, "at most 50000000 pixels"),
        ({"Rows": 10}, "at least 64"),
        ({"Rows": 700}, "cannot be decoded"),
        ({"WindowCenter": "1e400", "WindowWidth": 10}, "finite"),
        ({"RescaleSlope": "nan", "RescaleIntercept": 0}, "finite"),
    ],
)
def test_unusable_headers_are_refused_with_the_reason(attributes: dict[str, object], reason: str) -> None:
    with pytest.raises(images.ImageError, match=reason) as caught:
        images.decode(dicom(GREY, **attributes))
    assert type(caught.value) is images.ImageError
    assert "Smith" not in str(caught.value)


@pytest.mark.parametrize(
    ("syntax", "name"),
    [
        (uid.DeflatedExplicitVRLittleEndian, "Deflated"),
        (uid.MPEG2MPML, "MPEG2"),
        ("1.2.840.10008.1.2.4.94", "JPIP"),
        ("1.2.3.4", "an unknown one"),
    ],
)
def test_other_transfer_syntaxes_are_named_and_refused(syntax: str, name: str) -> None:
    stored = b"UI" + struct.pack("<H", 20) + b"1.2.840.10008.1.2.1\0"
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    data = dicom(GREY).replace(stored, b"UI" + struct.pack("<H", len(value)) + value)
    with pytest.raises(images.ImageError, match=name):
        images.decode(data)


HEIGHT_LEFT_OPEN = (72).to_bytes(2, "big") + (96).to_bytes(2, "big"), b"\0\0" + (96).to_bytes(2, "big")


@pytest.mark.parametrize(
    ("syntax", "old", "new"),
    [
        (uid.JPEGLosslessSV1, *HEIGHT_LEFT_OPEN),  # makes libjpeg take memory without end
        (uid.JPEGLosslessSV1, b"\xff\xc3", b"\xff\xc2"),  # another process than the syntax allows
        (uid.JPEGLosslessSV1, b"\xff\xd9", b"\xff\xd8"),  # no end
        (uid.JPEGLosslessSV1, b"\x00\x60\x01", b"\x00\x60\x03"),  # three components
        (uid.JPEG2000Lossless, b"\x00\x00\x00\x60\x00\x00\x00\x48", b"\x00\x0f\xff\xff\x00\x0f\xff\xff"),
        (uid.RLELossless, b"\x02\x00\x00\x00\x40\x00\x00\x00", b"\x03\x00\x00\x00\x40\x00\x00\x00"),
    ],
)
def test_streams_that_do_not_match_the_header_never_reach_their_decoder(
    syntax: uid.UID, old: bytes, new: bytes
) -> None:
    frame = lossless_jpeg(WIDE, precision=12) if syntax == uid.JPEGLosslessSV1 else None
    data = compressed(dicom_dataset(WIDE, **FULL_RANGE), syntax, frame)
    assert old in data
    with pytest.raises(images.ImageError, match="cannot be decoded"):
        images.decode(data.replace(old, new, 1))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_headers_of_nonsense_give_a_film_or_an_image_error(seed: int) -> None:
    generator = random.Random(seed)
    texts = ["WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "PixelSpacing", "Modality"]
    chosen = dict(zip(("77777771", "77777772", "77777773"), generator.sample(texts, 3), strict=True))
    numbers = ["Rows", "Columns", "BitsStored", "BitsAllocated", "PixelRepresentation", "HighBit"]
    attributes: dict[str, object] = {keyword: text for text, keyword in chosen.items()}
    for keyword in generator.sample(numbers, generator.randrange(3)):
        attributes[keyword] = generator.choice([0, 1, 7, 15, 64, 65535])
    data = dicom(WIDE, **attributes)
    for text in chosen:
        nonsense = generator.choice([b"", b"-1", b"0", b"1e308", b"nan", b"A\\B", b"\\", b"2\\3\\4", b"x\xff\0"])
        data = data.replace(text.encode(), nonsense.ljust(8))
    try:
        film = images.decode(data)
    except images.ImageError:
        return
    assert film.pixels.dtype == np.uint8


def test_the_unique_identifier_is_kept_only_if_it_is_one() -> None:
    assert images.decode(dicom(GREY, SOPInstanceUID="../../Smith^John")).sop_instance_uid is None


def test_nothing_of_the_patient_is_in_an_error_or_a_film() -> None:
    with warnings.catch_warnings(record=True):
        film = images.decode(dicom(GREY, PatientID="Secret"))
    assert "Secret" not in repr(film)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("nhsx_nih_dx_chest", "DICOM MONOCHROME2 8 bit"),
        ("pydicom-data_RG1_J2KI", "DICOM MONOCHROME1 15 bit"),
        ("udacity_test1", "DICOM MONOCHROME2 8 bit"),
    ],
)
def test_real_chest_films_are_read_the_right_way_round(shared_data: Path, name: str, mode: str) -> None:
    film = images.decode(shared_data / "dicom" / f"{name}.dcm")
    assert film.original_mode == mode
    square = images.canonical(film.pixels)[..., 0].astype(float)
    lungs = (square[90:180, 60:110].mean() + square[90:180, 190:240].mean()) / 2
    assert square[90:180, 135:160].mean() > lungs + 20  # the mediastinum is brighter than the lungs


@pytest.mark.shared_data
def test_an_8_bit_film_keeps_its_real_pixels(shared_data: Path) -> None:
    path = shared_data / "dicom" / "nhsx_nih_dx_chest.dcm"
    np.testing.assert_array_equal(images.decode(path).pixels, pydicom.dcmread(path).pixel_array)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nhsx_sample", "this file has OT"),
        ("udacity_test4", "body part"),
        ("wg04_RG2_JPLL", "body part"),
        ("wg04_RG2_JPLY", "body part"),
    ],
)
def test_real_files_that_are_no_chest_films_are_refused(shared_data: Path, name: str, reason: str) -> None:
    with pytest.raises(images.NotAChestFilmError, match=reason):
        images.decode(shared_data / "dicom" / f"{name}.dcm")


@pytest.mark.shared_data
def test_real_compressed_pixels_are_decoded_or_reported(shared_data: Path) -> None:
    hip = pydicom.dcmread(shared_data / "dicom" / "wg04_RG2_JPLL.dcm")
    hip.BodyPartExamined = "CHEST"
    assert images.decode(dicom_bytes(hip)).pixels.shape == (2140, 1760)
    broken = pydicom.dcmread(shared_data / "dicom" / "wg04_RG2_JPLY.dcm")
    broken.BodyPartExamined = "CHEST"
    with pytest.raises(images.ImageError, match=r"JPEG Extended .* cannot be decoded"):
        images.decode(dicom_bytes(broken))
