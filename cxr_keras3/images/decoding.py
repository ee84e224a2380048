"""The one path from an image file to the grey 299 x 299 picture that the model takes.

Every image passes through `decode` and `canonical`, when the dataset is built and when the model
is served, so both see the same pixels, bit for bit. PNG, JPEG, TIFF, WebP and DICOM are told apart
by their content; no other format is tried, since some decoders start other programs (EPS runs
Ghostscript).
"""

import io
import logging
import os
import re
import stat
import threading
import warnings
import zlib
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from cxr_keras3.images.film import (
    MAX_FILE_BYTES,
    MAX_PARTS,
    MAX_PIXELS,
    MAX_SCANS,
    MIN_SIDE,
    WINDOW_GUESSED,
    Film,
    ImageError,
    NotAChestFilmError,
    require_size,
)
from cxr_keras3.images.wide import SAMPLE_FORMAT, WIDE_MODES, wide_film

__all__ = [
    "IMAGE_SIZE",
    "MAX_FILE_BYTES",
    "MAX_PIXELS",
    "MIN_SIDE",
    "WINDOW_GUESSED",
    "Film",
    "ImageError",
    "NotAChestFilmError",
    "canonical",
    "decode",
    "encode_png",
    "read",
]

IMAGE_SIZE = 299
"""Height and width, in pixels, of the database's images and of the model's input."""

_BAND = 512  # rows
_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP")
_META_HEADER = b"\x02\x00\x00\x00"  # tag (0002,0000), little-endian, which begins a DICOM file without preamble
# A tag of group 8 begins a bare DICOM data set; beside its type in letters it is known after stray bytes, too.
_IDENTIFYING = re.compile(rb"\x08\x00[\x00-\x60]\x00|(?s:.{0,16}?)\x08\x00[\x00-\x60]\x00(?:CS|UI|DA|LO|SH|SQ|TM|UL)")
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # TIFF tags


def decode(source: bytes | str | os.PathLike[str], *, with_values: bool = False) -> Film:
    """Reads an image file as a film.

    8-bit grey stays as it is, bit for bit. Colour becomes grey by its luma (ITU-R BT.601), which
    leaves equal channels exact; transparency is laid over black. Wider values that are 8-bit ones in
    disguise are taken back exactly; others are windowed between two percentiles, with a warning.
    EXIF rotation is applied. For DICOM see `_dicom.decode_dicom`.

    Args:
        source: The file's bytes, or its path.
        with_values: Whether the film carries what its greys were made of, see `Film.values`.

    Raises:
        ImageError: Whatever keeps the file from becoming a film; no other exception comes from a
            file's content.
        NotAChestFilmError: A DICOM header that says it is not a frontal chest radiograph.

    >>> film = decode(encode_png(np.zeros((480, 400), np.uint8)))
    >>> film.pixels.shape, film.original_mode, canonical(film.pixels).shape
    ((480, 400), 'L', (299, 299, 1))
    """
    data = source if isinstance(source, bytes) else read(Path(source))
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(f"an image file may have {MAX_FILE_BYTES // 2**20} MiB, this one has more: make it smaller")
    try:
        with _SILENCE:
            # The 128 bytes before a DICOM file's mark are free, and may hold a TIFF header (PS3.10 7.1).
            if data[128:132] == b"DICM":
                return _decode_dicom(data, with_values)
            if data[:4] == _META_HEADER:
                return _decode_dicom(bytes(128) + b"DICM" + data, with_values)
            _require_no_bare_dicom(data)
            return _decode_picture(data, with_values)
    except ImageError:
        raise
    # Hostile bytes make Pillow and pydicom raise almost anything (OSError, SyntaxError, struct.error,
    # zlib.error, RecursionError, MemoryError, ...), and their texts may quote the patient's header.
    except Exception as error:
        raise ImageError(
            f"the image file is damaged or of an unusual kind ({type(error).__name__}): export it again"
        ) from error


def canonical(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Brings a film to the size of the database's images.

    The database's authors squashed their originals to a square, so this squashes too: 17 originals of
    its COVID images, up to 1.5 times as wide as high, correlate with them above 0.99 when squashed, and
    down to 0.67 when padded or cropped; of 1,000 viral pneumonia images, one has borders.

    Args:
        pixels: uint8, shape (height, width).

    Returns:
        uint8, shape (299, 299, 1): `pixels` itself where it has that size, otherwise resampled with
        Pillow's antialiased Lanczos filter.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 2:
        raise ValueError(f"pixels must be uint8 of shape (height, width), got {pixels.dtype} {pixels.shape}")
    if pixels.shape != (IMAGE_SIZE, IMAGE_SIZE):
        image = Image.fromarray(pixels).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.LANCZOS)
        pixels = np.array(image)
    return pixels[..., np.newaxis]


def encode_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Encodes uint8 pixels of shape (height, width) or (height, width, 1) as a grey PNG, without loss."""
    buffer = io.BytesIO()
    # zlib's run-length strategy: on radiographs smaller than the default and five times as fast.
    Image.fromarray(pixels.reshape(pixels.shape[:2])).save(buffer, "PNG", compress_type=zlib.Z_RLE)
    return buffer.getvalue()


def read(path: Path) -> bytes:
    """The bytes of a file, at most one more than `MAX_FILE_BYTES`.

    Raises:
        ImageError: Where it cannot be opened, or is no regular file.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise ImageError("the image file cannot be opened: it must be a regular file, not a folder, pipe or device")
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # a name with a null byte is no name
        words = error.strerror if isinstance(error, OSError) else str(error)
        raise ImageError(f"the image file cannot be opened: {words}") from error


def _require_no_bare_dicom(data: bytes) -> None:
    if _IDENTIFYING.match(data):
        raise ImageError("the file is a DICOM data set without its mark and header: export it as a file (Part 10)")


def _decode_dicom(data: bytes, with_values: bool) -> Film:
    from cxr_keras3.images.dicom import decode_dicom  # noqa: PLC0415 - pydicom takes 0.3 s; most files are PNG

    return decode_dicom(data, with_values=with_values)


def _decode_picture(data: bytes, with_values: bool) -> Film:
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise ImageError(
            "the file is no PNG, JPEG, TIFF, WebP or DICOM image, whatever its name: save it as one of these"
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"an image may have at most {MAX_PIXELS} pixels, this one has more: make it smaller"
        ) from error
    require_size(*image.size)
    _require_bounded(image, data)
    if getattr(image, "is_animated", False) and image.format != "MPO":  # a camera's JPEG with a preview behind it
        raise ImageError("an image file must hold one image, this one holds several: save the film by itself")
    mode, tags = image.mode, getattr(image, "tag_v2", {})
    _require_full_depth(image, tags)
    image = ImageOps.exif_transpose(image)
    if mode in WIDE_MODES:
        return wide_film(image, mode, tags, with_values=with_values)
    pixels, notes = _bytes_to_grey(image)
    return Film(pixels, mode, notes)


def _require_bounded(image: Image.Image, data: bytes) -> None:
    """Refuses a file whose parts ask for more work or memory than its picture needs."""
    if image.format in ("JPEG", "MPO") and data.count(b"\xff\xda") > MAX_SCANS:
        raise ImageError(f"a JPEG file may have at most {MAX_SCANS} scans, this one has more: save it again")
    tags = getattr(image, "tag_v2", {})
    tile = int(tags.get(_TILE_WIDTH, 0)) * int(tags.get(_TILE_LENGTH, 0))
    if tile > 4 * image.width * image.height + 2**20 or len(getattr(image, "tile", ())) > MAX_PARTS:
        raise ImageError("the TIFF file's parts are larger, or more, than its picture needs: save it again")


def _require_full_depth(image: Image.Image, tags: dict[int, object]) -> None:
    """Refuses what Pillow would read by dropping bits or signs without a word."""
    wide = image.mode in WIDE_MODES
    wide_colour = not wide and any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))
    signed_bytes = image.mode == "L" and tags.get(SAMPLE_FORMAT) == (2,)
    if wide_colour or signed_bytes or (wide and "transparency" in image.info):
        raise ImageError(
            "16-bit colour, 16-bit transparency and signed 8-bit images are not read: "
            "save the film as 8-bit or 16-bit grey"
        )


def _bytes_to_grey(image: Image.Image) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Band by band, for a colour picture of 50 million pixels would take a gigabyte in copies."""
    grey = np.empty((image.height, image.width), np.uint8)
    notes: dict[str, None] = {}  # in order, each once
    image.load()
    for top in range(0, image.height, _BAND):
        band = image.crop((0, top, image.width, min(top + _BAND, image.height)))
        if image.has_transparency_data:
            band = band.convert("RGBA")
            if band.getchannel("A").getextrema() != (255, 255):
                notes["transparent image: laid over black"] = None
                band = Image.alpha_composite(Image.new("RGBA", band.size, "black"), band)
        if band.mode not in ("1", "L"):
            band = band.convert("RGB")
            red, green, blue = np.moveaxis(np.asarray(band), -1, 0)
            if not (np.array_equal(red, green) and np.array_equal(green, blue)):
                notes["colour image: turned to grey"] = None
        grey[top : top + _BAND] = np.asarray(band.convert("L"))
    return grey, tuple(sorted(notes, reverse=True))


class _Silence:
    """Keeps Pillow's and pydicom's warnings and log records, which may quote a header, from the user.

    (What libtiff writes to standard error on a damaged file stays; it names no content.)

    Python's warning filters belong to the whole process, so threads that decode side by side share
    one change of them: the first to enter makes it and the last to leave takes it back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._undo = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users > 1:
                return
            self._undo.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            for name in ("PIL", "pydicom", "pylibjpeg", "openjpeg"):
                logger = logging.getLogger(name)
                self._undo.callback(logger.setLevel, logger.level)
                logger.setLevel(logging.CRITICAL + 1)

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._undo.close()


_SILENCE = _Silence()
