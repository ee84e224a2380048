"""Files that ask for more work or memory than a film needs: refused before they are decoded, or ended."""

import io
import math
import os
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin
from pydicom import uid

from cxr_keras3 import images
from cxr_keras3.images import isolated, jpeg2000
from cxr_keras3.images.isolated import Decoders
from tests.image_files import compressed, dicom_dataset, encoded, picture, valid_files

FULL = {"bits": 12, "WindowCenter": 2048, "WindowWidth": 4096}


def codestream(
    side: int,
    *,
    tile: int | None = None,
    precincts: bytes = b"",
    layers: int = 1,
    levels: int = 5,
    left: int = 0,
    tile_left: int = 0,
    main: bytes = b"",
    of_tile: bytes = b"",
) -> bytes:
    """Headers of a JPEG 2000 stream without data."""
    size = struct.pack(">H8IH3B", 0, side, side, left, 0, *[tile or side] * 2, tile_left, 0, 1, 15, 1, 1)
    header = segment(0xFF51, size) + coding(precincts, layers=layers, levels=levels)
    header += segment(0xFF5C, bytes([0x20, *([0x48] * (3 * levels + 1))])) + main
    part = struct.pack(">HHHIBB", 0xFF90, 10, 0, 14 + len(of_tile), 0, 1) + of_tile + b"\xff\x93"
    return b"\xff\x4f" + header + part + b"\xff\xd9"


def coding(precincts: bytes, *, layers: int = 1, levels: int = 5) -> bytes:
    return segment(0xFF52, struct.pack(">BBHBBBBBB", bool(precincts), 0, layers, 0, levels, 4, 4, 0, 1) + precincts)


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">HH", marker, len(content) + 2) + content


TINY_PRECINCTS = coding(b"\x11" * 6)
A_TILE_PART_THAT_IS_NONE = segment(0xFF64, struct.pack(">HHHIBB", 0xFF90, 10, 0, 0, 0, 1) + b"\xff\x93")


def test_the_cost_of_real_streams_is_that_of_their_size() -> None:
    data = compressed(dicom_dataset(picture(levels=4096), **FULL), uid.JPEG2000Lossless)
    start = data.index(b"\xff\x4f\xff\x51")
    found = jpeg2000.cost(data[start:])
    assert found.tiles == 1
    assert found.precincts < 30
    assert images.decode(data).pixels.shape == (72, 96)


@pytest.mark.parametrize(
    "stream",
    [
        codestream(4000, precincts=bytes(6)),
        codestream(4000, precincts=b"\x11" * 6),
        codestream(4000, tile=16),
        codestream(60_000, tile=1),
        codestream(4000, layers=60_000),
        codestream(4000, left=3000, tile=1000, tile_left=3500),
        codestream(4000, tile=100, tile_left=4200),
        codestream(4000, tile=1000, left=2000),  # a tile before the picture
        codestream(4000, main=TINY_PRECINCTS),
        codestream(4000, main=segment(0xFF70, TINY_PRECINCTS)),
        codestream(4000, of_tile=TINY_PRECINCTS),
        codestream(4000, main=A_TILE_PART_THAT_IS_NONE, of_tile=TINY_PRECINCTS),
        codestream(4000, of_tile=segment(0xFF70, TINY_PRECINCTS)),
        codestream(4000).replace(b"\xff\x5c", b"\xff\x53"),  # coding of a component
        codestream(4000)[:40],
        b"\xff\x4f\xff\x90" + bytes(20),
        b"no stream",
    ],
)
def test_streams_that_announce_too_much_are_refused(stream: bytes) -> None:
    with pytest.raises(ValueError, match="JPEG 2000"):
        jpeg2000.require_bounded(stream)
    dataset = dicom_dataset(np.zeros((4000, 4000), np.uint16), **FULL)
    begun = time.monotonic()
    with pytest.raises(images.ImageError):
        images.decode(compressed(dataset, uid.JPEG2000Lossless, stream))
    assert time.monotonic() - begun < 2


def test_precincts_are_counted_as_tiles_and_offsets_lie() -> None:
    """Against the standard's own words, B.6 and B.7, tile by tile."""
    generator = np.random.default_rng(0)
    for _ in range(40):
        levels, tile = int(generator.integers(4)), int(generator.integers(20, 90))
        tile_left = int(generator.integers(30))
        left = tile_left + int(generator.integers(tile))
        side = left + int(generator.integers(1, 200))
        exponents = [int(generator.integers(1, 6)) for _ in range(levels + 1)]
        stream = codestream(
            side,
            tile=tile,
            precincts=bytes(17 * each for each in exponents),
            levels=levels,
            left=left,
            tile_left=tile_left,
        )
        counted = {"across": [0] * (levels + 1), "down": [0] * (levels + 1)}
        for axis, first, start in (("across", tile_left, left), ("down", 0, 0)):
            for begin in range(first, side, tile):
                ends = max(begin, start), min(begin + tile, side)
                for level, exponent in enumerate(exponents):
                    at, to = (-(-end // 2 ** (levels - level)) for end in ends)
                    counted[axis][level] += len({place >> exponent for place in range(at, to)})
        bands = [1, *[3] * levels]
        expected = sum(map(math.prod, zip(counted["across"], counted["down"], bands, strict=True)))
        assert jpeg2000.cost(stream).precincts == expected


def test_usual_streams_are_within_bounds() -> None:
    usual = (codestream(7000), codestream(7000, tile=256), codestream(7000, precincts=b"\x77" + b"\x88" * 5))
    comment = segment(0xFF64, b"\0\1made by")
    for stream in (*usual, codestream(7000, tile=512, left=300, tile_left=200, main=comment, of_tile=comment)):
        jpeg2000.require_bounded(stream)


def test_a_jpeg_of_many_scans_is_refused() -> None:
    data = encoded(picture(), "JPEG", progressive=True)
    assert images.decode(data).pixels.shape == (72, 96)
    last = data.rindex(b"\xff\xda")
    with pytest.raises(images.ImageError, match="scans"):
        images.decode(data[:last] + data[last:-2] * 200 + b"\xff\xd9")


def test_a_tiff_of_one_huge_tile_is_refused() -> None:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    buffer = io.BytesIO()
    Image.fromarray(picture()).save(buffer, "TIFF", tiffinfo=info)
    image = bytearray(buffer.getvalue())
    order = "<" if image[:2] == b"II" else ">"
    (offset,) = struct.unpack_from(f"{order}I", image, 4)
    (count,) = struct.unpack_from(f"{order}H", image, offset)
    entries = image[offset + 2 : offset + 2 + 12 * count]
    tiles = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, 40_000) for tag in (322, 323))
    both = sorted(bytes(entries[at : at + 12]) for at in range(0, len(entries), 12))
    both = sorted([*both, tiles[:12], tiles[12:]], key=lambda entry: struct.unpack(f"{order}H", entry[:2]))
    directory = struct.pack(f"{order}H", len(both)) + b"".join(both) + bytes(4)
    struct.pack_into(f"{order}I", image, 4, len(image))
    with pytest.raises(images.ImageError, match="parts are larger"):
        images.decode(bytes(image) + directory)


def test_large_colour_pictures_are_read_as_small_ones() -> None:
    """Bands must not show."""
    colour = np.random.default_rng(0).integers(0, 256, (1500, 70, 4), np.uint8)
    film = images.decode(encoded(Image.fromarray(colour, "RGBA"), "PNG"))
    whole = Image.alpha_composite(Image.new("RGBA", (70, 1500), "black"), Image.fromarray(colour, "RGBA"))
    np.testing.assert_array_equal(film.pixels, np.asarray(whole.convert("RGB").convert("L")))
    assert film.warnings == ("transparent image: laid over black", "colour image: turned to grey")


@pytest.fixture(scope="module")
def decoders():
    with Decoders(2) as running:
        yield running


def test_isolated_decoding_gives_what_decoding_gives(decoders: Decoders) -> None:
    for name, data in valid_files().items():
        expected, found = images.decode(data), decoders.decode(data)
        np.testing.assert_array_equal(found.pixels, expected.pixels, err_msg=name)
        assert (found.warnings, found.original_mode, found.sop_instance_uid) == (
            expected.warnings,
            expected.original_mode,
            expected.sop_instance_uid,
        )


def test_isolated_refusals_are_those_of_decoding(decoders: Decoders) -> None:
    lateral = compressed(dicom_dataset(picture(levels=4096), **FULL, ViewPosition="LL"), uid.JPEG2000Lossless)
    with pytest.raises(images.NotAChestFilmError, match="not a frontal one"):
        decoders.decode(lateral)
    with pytest.raises(images.ImageError, match="no PNG"):
        decoders.decode(b"text")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system cannot limit a process's memory")
def test_a_file_that_takes_too_much_memory_is_refused_and_the_next_is_answered(
    decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolated, "_work", _greedy)
    with Decoders(1) as greedy:
        with pytest.raises(images.ImageError, match="memory"):
            greedy.decode(b"3 GB")
        assert greedy.decode(b"a picture").pixels.shape == (72, 96)


def test_a_file_that_takes_too_long_is_ended_and_others_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "_work", _greedy)
    with Decoders(2) as slow, ThreadPoolExecutor(2) as pool:
        slow.decode(b"a picture"), slow.decode(b"a picture")  # both are up
        monkeypatch.setattr(isolated, "SECONDS", 3.0)
        stuck = pool.submit(slow.decode, b"for ever")
        begun = time.monotonic()
        for _ in range(5):
            slow.decode(b"a picture")
        assert time.monotonic() - begun < 2.9
        with pytest.raises(images.ImageError, match="takes longer"):
            stuck.result()
        assert slow.decode(b"a picture").pixels.shape == (72, 96)


def test_a_process_that_was_killed_is_replaced(decoders: Decoders) -> None:
    for decoder in decoders._all:
        os.kill(decoder._process.pid, 9)
    refused = 0
    for _ in range(4):
        try:
            decoders.decode(encoded(picture(), "PNG"))
        except images.ImageError:
            refused += 1
    assert refused <= 2
    assert decoders.decode(encoded(picture(), "PNG")).pixels.shape == (72, 96)


def _greedy(pipe) -> None:
    """A decoder with a hole: takes what it is told to."""
    isolated._limit_memory()
    while True:
        _, data = pipe.recv()
        if data == b"for ever":
            time.sleep(60)
        try:
            if data == b"3 GB":
                np.ones(3 * 2**30, np.uint8)
        except MemoryError:
            os._exit(1)
        pipe.send((images.Film(picture(), "L"),))
