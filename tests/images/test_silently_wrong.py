"""Files that decode without an error to a picture that is not the film: mended, refused, or said."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset

from cxr_keras3 import images
from cxr_keras3.images import rendering
from cxr_keras3.images.dicom_shades import UNUSED, WRONG_DEPTH
from tests.image_files import compressed, dicom, dicom_bytes, dicom_dataset, encoded, picture, with_voi_lut
from tfds_cxr import phantom

WIDE = picture(levels=4096)
FULL = {"bits": 12, "WindowCenter": 2048, "WindowWidth": 4096}


def film() -> np.ndarray:
    return phantom.draw("Normal", seed=5, index=0)[0]


def decode(data: bytes) -> images.Film:
    return images.decode(data)


@settings(max_examples=40, deadline=None)
@given(stored=st.integers(9, 16), high=st.integers(8, 15), signed=st.booleans())
def test_left_aligned_bits_are_shifted_to_their_place(stored: int, high: int, signed: bool) -> None:
    if high < stored - 1:
        return
    whole = picture(levels=2**stored).astype(np.int64) - (2 ** (stored - 1) if signed else 0)
    window = {"WindowCenter": 0 if signed else 2 ** (stored - 1), "WindowWidth": 2**stored}
    aligned = whole.astype(np.int16 if signed else np.uint16)
    expected = decode(dicom(aligned, bits=stored, **window)).pixels
    shift = high + 1 - stored
    patterns = ((whole & (2**stored - 1)) << shift).astype(np.uint16)
    # What lies in the bits that are not the pixel's must not matter.
    patterns |= np.uint16(2**shift - 1)
    dataset = dicom_dataset(patterns, bits=stored, HighBit=high, PixelRepresentation=int(signed), **window)
    np.testing.assert_array_equal(decode(dicom_bytes(dataset)).pixels, expected)


def test_bits_that_no_codec_places_so_are_refused() -> None:
    dataset = dicom_dataset(WIDE, **FULL)
    data = compressed(dataset, uid.JPEG2000Lossless)
    assert decode(data).pixels.shape == WIDE.shape
    dataset.HighBit = 15
    with pytest.raises(images.ImageError, match="bits of compressed pixels"):
        decode(dicom_bytes(dataset))
    dataset.HighBit = 3
    with pytest.raises(images.ImageError, match="highest bit"):
        decode(dicom_bytes(dataset))


@pytest.mark.parametrize("window", [(8191.5, 16383), (20000, 400), (-3000, 500)])
def test_a_window_that_leaves_the_greys_unused_is_guessed_and_said(window: tuple[float, float]) -> None:
    shown = decode(dicom(WIDE, bits=12, WindowCenter=window[0], WindowWidth=window[1]))
    assert UNUSED in shown.warnings
    np.testing.assert_array_equal(shown.pixels, decode(dicom(WIDE, bits=12)).pixels)
    assert decode(dicom(WIDE, **FULL)).warnings == ()


@pytest.mark.parametrize("depth", [0, 8, 10, 16])
def test_a_lookup_table_is_shown_by_the_depth_that_it_has(depth: int) -> None:
    entries = np.arange(4096) // 16  # 8 bits
    expected = decode(dicom_bytes(with_voi_lut(dicom_dataset(WIDE, bits=12), entries, depth=8)))
    assert expected.warnings == ()
    shown = decode(dicom_bytes(with_voi_lut(dicom_dataset(WIDE, bits=12), entries, depth=depth)))
    np.testing.assert_array_equal(shown.pixels, expected.pixels)
    assert shown.warnings == (() if depth == 8 else (WRONG_DEPTH,))


def test_a_lookup_table_may_have_lost_its_sign() -> None:
    signed = (WIDE.astype(np.int32) - 2048).astype(np.int16)
    entries = np.arange(4096)
    expected = decode(dicom_bytes(with_voi_lut(dicom_dataset(signed, bits=12), entries, depth=12, first=-2048)))
    dataset = with_voi_lut(dicom_dataset(signed, bits=12), entries, depth=12)
    dataset.VOILUTSequence[0]["LUTDescriptor"].VR = "US"
    dataset.VOILUTSequence[0].LUTDescriptor = [4096, 2**16 - 2048, 12]
    np.testing.assert_array_equal(decode(dicom_bytes(dataset)).pixels, expected.pixels)


@pytest.mark.parametrize(("kind", "value"), [("SS", -2000), ("US", 2**16 - 2000)])
@pytest.mark.parametrize("limit", [None, -1990])
def test_padding_is_left_out_whatever_its_sign(kind: str, value: int, limit: int | None) -> None:
    signed = (WIDE // 4).astype(np.int16)
    padded = signed.copy()
    padded[:, :30] = -2000
    padded[:, 30:40] = -2000 if limit is None else -1995
    expected = decode(dicom(np.ascontiguousarray(signed[:, 40:].repeat(2, axis=1)), bits=16))
    dataset = dicom_dataset(padded, bits=16)
    dataset.add_new("PixelPaddingValue", kind, value)
    if limit is not None:
        dataset.add_new("PixelPaddingRangeLimit", kind, limit % 2**16 if kind == "US" else limit)
    np.testing.assert_array_equal(decode(dicom_bytes(dataset)).pixels[:, 40:], expected.pixels[:, ::2])


def code(meaning: str) -> list[Dataset]:
    item = Dataset()
    item.CodeMeaning = meaning
    return [item]


@pytest.mark.parametrize(
    "attributes",
    [
        {"ViewPosition": "LEFT-LATERAL"},
        {"ViewPosition": "L-LAT"},
        {"ViewPosition": "PA", "ViewCodeSequence": code("left lateral")},
        {"ViewPosition": "PA", "PatientOrientation": ["P", "F"]},
        {"ViewPosition": "AP", "PatientOrientation": ["A", "FR"]},
    ],
)
def test_a_lateral_view_is_refused_wherever_it_is_said(attributes: dict[str, object]) -> None:
    with pytest.raises(images.NotAChestFilmError, match="not a frontal one"):
        decode(dicom(WIDE, **FULL, **attributes))


@pytest.mark.parametrize(
    ("part", "warnings"),
    [
        ("TORAX", ()),
        ("TÓRAX", ()),
        ("PECHO", ()),
        ("TORACE", ()),
        ("Thorax PA", ()),
        ("UNKNOWN", ("body part not stated: taken for a chest",)),
        ("", ("body part not stated: taken for a chest",)),
    ],
)
def test_the_chest_is_known_by_other_names(part: str, warnings: tuple[str, ...]) -> None:
    data = dicom(WIDE, **FULL, SpecificCharacterSet="ISO_IR 192", BodyPartExamined=part)
    assert decode(data).warnings == warnings


def test_a_dicom_file_without_its_preamble_is_read() -> None:
    data = dicom(WIDE, **FULL)
    np.testing.assert_array_equal(decode(data[132:]).pixels, decode(data).pixels)


def test_a_dicom_data_set_without_its_header_is_named() -> None:
    bare = io.BytesIO()
    dataset = dicom_dataset(WIDE, **FULL)
    del dataset.file_meta
    dataset.save_as(bare, implicit_vr=True, little_endian=True)
    with pytest.raises(images.ImageError, match=r"without its mark and header"):
        decode(bare.getvalue())


def test_a_header_without_transfer_syntax_is_named() -> None:
    data = dicom(WIDE, **FULL)
    syntax = str(uid.ExplicitVRLittleEndian).encode()
    with pytest.raises(images.ImageError, match="does not say its transfer syntax"):
        decode(data.replace(syntax, b"\0" * len(syntax)))


def test_a_camera_s_jpeg_with_a_preview_is_read() -> None:
    first, second = Image.fromarray(film()), Image.fromarray(film()[:150, :150])
    buffer = io.BytesIO()
    first.save(buffer, "MPO", save_all=True, append_images=[second], quality=95)
    found = decode(buffer.getvalue())
    assert found.pixels.shape == (299, 299)
    assert np.abs(found.pixels.astype(int) - film()).mean() < 3


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_jpeg_cut_off_and_closed_is_refused(share: float) -> None:
    data = encoded(film(), "JPEG", quality=92)
    assert rendering.refusal(decode(data).pixels) == ""
    cut = decode(data[: int(share * len(data))] + b"\xff\xd9")
    assert "one even grey" in rendering.refusal(cut.pixels)


def test_pictures_that_no_reader_would_take_are_refused_or_said() -> None:
    grey = film()
    assert rendering.refusal(grey) == ""
    assert rendering.notes(grey) == ()
    dithered = np.asarray(Image.fromarray(grey).convert("1").convert("L"))
    assert "2 different greys" in rendering.refusal(dithered)
    assert "times as long as wide" in rendering.refusal(np.resize(grey, (2000, 70)))
    assert "coarse" in rendering.notes(grey // 16 * 16)[0]
    assert "low contrast" in "; ".join(rendering.notes((grey // 6 + 100).astype(np.uint8)))
    stretched = np.clip((grey // 3).astype(int) * 3, 0, 255).astype(np.uint8)
    assert "stretched" in rendering.notes(stretched)[0]
    assert "pure white" in rendering.notes(np.clip(grey.astype(int) * 4, 0, 255).astype(np.uint8))[-1]
    assert "pure black" in rendering.notes(np.clip(grey.astype(int) * 3 - 500, 0, 255).astype(np.uint8))[-1]


def test_a_blank_picture_is_left_to_the_gate() -> None:
    blank = np.full((299, 299), 0, np.uint8)
    assert rendering.refusal(blank) == ""
    assert rendering.notes(blank) == ()


@pytest.mark.shared_data
def test_hardly_any_real_film_is_refused_or_warned_of(shared_data) -> None:
    films = sorted((shared_data / "radiography_299_sample").rglob("*.png"))
    found = [decode(path.read_bytes()).pixels for path in films if "masks" not in path.parts]
    assert len(found) > 50
    assert not any(rendering.refusal(pixels) for pixels in found)
    assert sum(bool(rendering.notes(pixels)) for pixels in found) <= 1
