import io
import logging
import random
import struct
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from cxr_keras3 import images
from cxr_keras3.images import decoding
from tests.image_files import encoded, mutate, picture, valid_files

GREY = picture()
films = hnp.arrays(np.uint8, st.tuples(st.integers(64, 80), st.integers(64, 80)))


def _png(width: int, height: int, *, depth: int, colour_type: int, row: bytes) -> bytes:
    """A PNG file written by hand, whose rows are all `row`."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">L", len(content)) + body + struct.pack(">L", zlib.crc32(body))

    header = struct.pack(">2L5B", width, height, depth, colour_type, 0, 0, 0)
    rows = zlib.compress((b"\0" + row) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def decode(data: bytes) -> np.ndarray:
    return images.decode(data).pixels


@given(films)
@settings(max_examples=30, deadline=None)
def test_grey_8_bit_is_untouched_by_every_lossless_format(pixels: np.ndarray) -> None:
    for file_format, options in [("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})]:
        film = images.decode(encoded(pixels, file_format, **options))
        np.testing.assert_array_equal(film.pixels, pixels)
        assert (film.pixels.dtype, film.original_mode, film.warnings) == (np.uint8, "L", ())
        assert film.sop_instance_uid is None


@given(films)
@settings(max_examples=20, deadline=None)
def test_equal_channels_give_exactly_that_channel(pixels: np.ndarray) -> None:
    rgb = Image.fromarray(np.repeat(pixels[..., np.newaxis], 3, axis=-1))
    palette = Image.fromarray(pixels).convert("P")
    for data in (
        encoded(rgb, "PNG"),
        encoded(rgb, "TIFF"),
        encoded(rgb, "WEBP", lossless=True),
        encoded(rgb.convert("RGBA"), "PNG"),
        encoded(palette, "PNG"),
    ):
        film = images.decode(data)
        np.testing.assert_array_equal(film.pixels, pixels)
        assert film.warnings == ()


def test_colour_becomes_luma_with_a_warning() -> None:
    rgb = np.zeros((64, 192, 3), np.uint8)
    rgb[:, :64, 0] = rgb[:, 64:128, 1] = rgb[:, 128:, 2] = 255
    film = images.decode(encoded(rgb, "PNG"))
    # ITU-R BT.601: 0.299 red, 0.587 green, 0.114 blue
    assert film.pixels[0, [0, 64, 128]].tolist() == [76, 150, 29]
    assert film.warnings == ("colour image: turned to grey",)


def test_transparency_is_laid_over_black() -> None:
    alpha = np.full((72, 96), 255, np.uint8)
    alpha[:, 48:] = 0
    film = images.decode(encoded(Image.fromarray(np.stack([GREY, alpha], -1), "LA"), "PNG"))
    np.testing.assert_array_equal(film.pixels[:, :48], GREY[:, :48])
    assert not film.pixels[:, 48:].any()
    assert film.warnings == ("transparent image: laid over black",)


def test_one_bit_images_are_black_and_white() -> None:
    bits = GREY > 100
    np.testing.assert_array_equal(decode(encoded(bits, "PNG")), bits * 255)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
@pytest.mark.parametrize("factor", [1, 256, 257])
def test_an_8_bit_image_widened_to_16_bit_is_taken_back_exactly(file_format: str, factor: int) -> None:
    film = images.decode(encoded(GREY.astype(np.uint16) * factor, file_format))
    np.testing.assert_array_equal(film.pixels, GREY)
    assert (film.original_mode, film.warnings) == ("I;16", ())


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_wide_values_are_windowed_not_truncated(dtype: type) -> None:
    wide = (picture(levels=4096).astype(np.float64) * 7 + 100).astype(dtype)
    film = images.decode(encoded(wide, "TIFF"))
    low, high = np.percentile(wide, [0.5, 99.5])
    expected = np.clip((wide.astype(np.float64) - low) / (high - low), 0, 1) * 255
    assert np.abs(film.pixels - expected).max() <= 1
    assert film.warnings == (images.WINDOW_GUESSED,)


def test_unsigned_32_bit_values_beyond_two_thousand_million_are_bright() -> None:
    wide = np.linspace(0, 2**32 - 1, 72 * 96).reshape(72, 96).astype(np.uint32)
    data = bytearray(encoded(wide.view(np.int32), "TIFF"))
    _patch_tiff_tag(data, 339, 1)  # sample format: unsigned
    assert np.all(np.diff(decode(bytes(data)).ravel().astype(int)) >= 0)


def test_white_is_zero_is_inverted_at_16_bit_too() -> None:
    wide = picture(levels=4096)
    data = bytearray(encoded(wide, "TIFF"))
    normal = decode(bytes(data))
    _patch_tiff_tag(data, 262, 0)
    np.testing.assert_array_equal(decode(bytes(data)), 255 - normal)
    data = bytearray(encoded(GREY, "TIFF"))
    _patch_tiff_tag(data, 262, 0)
    np.testing.assert_array_equal(decode(bytes(data)), 255 - GREY)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_constant_and_nearly_constant_images_decode(dtype: type) -> None:
    flat = np.full((64, 64), 3, dtype)
    assert np.ptp(decode(encoded(flat, "TIFF"))) == 0
    flat[0, 0] = 9
    assert np.ptp(decode(encoded(flat, "TIFF"))) > 0


def test_values_that_are_not_numbers_are_refused() -> None:
    values = GREY.astype(np.float32)
    values[3, 3] = np.nan
    with pytest.raises(images.ImageError, match="not numbers"):
        images.decode(encoded(values, "TIFF"))


@pytest.mark.parametrize(
    "data",
    [
        _png(64, 64, depth=16, colour_type=2, row=bytes(64 * 6)),
        encoded(picture(levels=4096), "PNG", transparency=0),
        encoded(GREY, "TIFF", tiffinfo={339: (2,)}),
    ],
    ids=["16-bit colour", "16-bit transparency", "signed bytes"],
)
def test_what_would_lose_bits_or_signs_is_refused(data: bytes) -> None:
    with pytest.raises(images.ImageError, match="16-bit colour"):
        images.decode(data)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "WEBP", "TIFF 16 bit"])
def test_exif_orientation_is_applied_once(orientation: int, file_format: str) -> None:
    # EXIF 2.32, tag 274: where the stored first row and first column belong in the picture
    stored = {
        1: GREY,
        2: GREY[:, ::-1],
        3: GREY[::-1, ::-1],
        4: GREY[::-1],
        5: GREY.T,
        6: np.rot90(GREY, 1),
        7: np.rot90(GREY, 2).T,
        8: np.rot90(GREY, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"exif": exif} | ({"quality": 100} if file_format in ("JPEG", "WEBP") else {})
    values = stored.astype(np.uint16) * 257 if "16" in file_format else np.ascontiguousarray(stored)
    pixels = decode(encoded(values, file_format.removesuffix(" 16 bit"), **options))
    assert pixels.shape == GREY.shape
    assert np.abs(pixels.astype(int) - GREY).mean() < 4


def test_several_images_in_one_file_are_refused() -> None:
    frames = {"save_all": True, "append_images": [Image.fromarray(255 - GREY)]}
    for file_format in ("TIFF", "PNG", "WEBP"):
        with pytest.raises(images.ImageError, match="several"):
            images.decode(encoded(GREY, file_format, **frames))


@pytest.mark.parametrize("file_format", ["GIF", "BMP", "PPM", "EPS", "ICO", "TGA", "PDF", "JPEG2000"])
def test_other_formats_are_refused(file_format: str) -> None:
    with pytest.raises(images.ImageError, match="no PNG, JPEG, TIFF, WebP or DICOM"):
        images.decode(encoded(GREY, file_format))


def test_the_format_is_told_by_content_and_not_by_name(tmp_path: Path) -> None:
    (tmp_path / "film.jpg").write_bytes(encoded(GREY, "PNG"))
    np.testing.assert_array_equal(images.decode(tmp_path / "film.jpg").pixels, GREY)
    (tmp_path / "notes.png").write_text("The patient is well.")
    for wrong in (tmp_path / "notes.png", b""):
        with pytest.raises(images.ImageError, match="no PNG"):
            images.decode(wrong)


def test_a_file_that_cannot_be_opened_is_an_image_error(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.png", tmp_path):
        with pytest.raises(images.ImageError, match="cannot be opened"):
            images.decode(path)


@pytest.mark.parametrize("name", sorted(valid_files()))
def test_truncated_files_are_refused(name: str) -> None:
    data = valid_files()[name]
    for part in (0.3, 0.6, 0.9):
        with pytest.raises(images.ImageError) as caught:
            images.decode(data[: int(len(data) * part)])
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("side", [7_100, 12_000, 20_000, 100_000])
def test_decompression_bombs_are_refused_by_their_header(side: int) -> None:
    bomb = _png(side, side, depth=1, colour_type=0, row=b"")
    with pytest.raises(images.ImageError, match="at most 50000000 pixels"):
        images.decode(bomb)


def test_thumbnails_are_refused() -> None:
    with pytest.raises(images.ImageError, match="at least 64 pixels a side, this one has 63 x 80"):
        images.decode(encoded(picture(80, 63), "PNG"))


def test_big_files_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "film.png"
    path.write_bytes(encoded(GREY, "PNG") + bytes(5000))
    monkeypatch.setattr(decoding, "MAX_FILE_BYTES", 4096)
    for source in (path, path.read_bytes()):
        with pytest.raises(images.ImageError, match="MiB"):
            images.decode(source)


@given(kind=st.sampled_from(sorted(valid_files())), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=600, deadline=None, derandomize=True)
def test_spoilt_files_give_a_film_or_an_image_error(kind: str, seed: int) -> None:
    data = mutate(random.Random(seed), valid_files()[kind])
    try:
        film = images.decode(data)
    except images.ImageError:
        return
    assert film.pixels.dtype == np.uint8
    assert film.pixels.ndim == 2
    assert min(film.pixels.shape) >= images.MIN_SIDE


def test_decoding_prints_logs_and_warns_nothing(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    generator = random.Random(7)
    # libtiff writes its complaints straight to standard error; they name no content of the file
    for data in [data for name, data in valid_files().items() if not name.startswith("tiff")]:
        for spoilt in [data] + [mutate(generator, data) for _ in range(10)]:
            try:
                images.decode(spoilt)
            except images.ImageError:
                continue
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


def test_threads_that_decode_side_by_side_leave_the_warning_filters_alone() -> None:
    before = list(warnings.filters), logging.getLogger("pydicom").level
    barrier = threading.Barrier(8)
    files = list(valid_files().values())

    def work(index: int) -> None:
        barrier.wait()
        for data in files[index:] + files[:index]:
            images.decode(data)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert (list(warnings.filters), logging.getLogger("pydicom").level) == before


@given(hnp.arrays(np.uint8, (299, 299)))
@settings(max_examples=5, deadline=None)
def test_canonical_is_the_identity_at_the_databases_size(pixels: np.ndarray) -> None:
    np.testing.assert_array_equal(images.canonical(pixels), pixels[..., np.newaxis])


@pytest.mark.parametrize("shape", [(300, 299), (64, 2000), (1200, 900)])
def test_canonical_squashes_the_whole_film_to_the_databases_size(shape: tuple[int, int]) -> None:
    film = np.zeros(shape, np.uint8)
    film[:, shape[1] // 2 :] = 200
    square = images.canonical(film)
    assert (square.shape, square.dtype) == ((299, 299, 1), np.uint8)
    assert np.all(square[:, :140] == 0)
    assert np.all(square[:, 160:] == 200)


@pytest.mark.parametrize("wrong", [np.zeros((299, 299, 1), np.uint8), np.zeros((299, 299), np.uint16)])
def test_canonical_takes_grey_bytes_only(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8 of shape"):
        images.canonical(wrong)


@given(films)
@settings(max_examples=20, deadline=None)
def test_a_record_of_the_dataset_decodes_to_the_same_pixels(pixels: np.ndarray) -> None:
    record = images.encode_png(images.canonical(pixels))
    assert Image.open(io.BytesIO(record)).mode == "L"
    np.testing.assert_array_equal(images.canonical(decode(record)), images.canonical(pixels))


@pytest.mark.shared_data
def test_every_image_of_the_database_becomes_grey_as_it_is(shared_data: Path) -> None:
    modes = []
    for path in sorted((shared_data / "radiography_299_sample").rglob("*.png")):
        film = images.decode(path)
        modes.append((path.parts[-3], film.original_mode))
        image = Image.open(path)
        stored = np.asarray(image) if image.mode == "L" else np.asarray(image)[..., 0]
        np.testing.assert_array_equal(images.canonical(film.pixels)[..., 0], stored)
        assert film.warnings == ()
    assert modes.count(("Viral Pneumonia", "RGB")) == 10
    assert len([mode for _, mode in modes if mode == "L"]) == 150


@pytest.mark.shared_data
def test_images_of_other_sources_are_read(shared_data: Path) -> None:
    folders = ("external", "not_chest_xray", "lung_masks")
    paths = [path for folder in folders for path in (shared_data / folder).rglob("*.*g") if path.is_file()]
    assert len(paths) > 200
    for path in paths:
        assert images.canonical(images.decode(path).pixels).shape == (299, 299, 1)


def _patch_tiff_tag(data: bytearray, tag: int, value: int) -> None:
    """Sets a short tag of a little-endian TIFF file."""
    (directory,) = struct.unpack_from("<L", data, 4)
    (count,) = struct.unpack_from("<H", data, directory)
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, entry) == (tag,):
            struct.pack_into("<H", data, entry + 8, value)
            return
    raise KeyError(tag)
