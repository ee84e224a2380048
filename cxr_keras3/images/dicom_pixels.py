"""The stored values of a DICOM image, whatever their compression.

The libraries that decompress do not withstand hostile bytes: libjpeg takes memory without end on a
JPEG stream that leaves its height open, and the RLE plug-in aborts with an exception that is no
`Exception`. So a JPEG stream reaches its decoder only as a single scan of the stated size, and RLE is
decoded by Pillow.
"""

import io
import re
import struct

import numpy as np
import numpy.typing as npt
from openjpeg.utils import get_parameters
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.filereader import read_dataset
from pydicom.pixels.utils import pixel_array

from cxr_keras3.images.film import ImageError
from cxr_keras3.images.jpeg2000 import require_bounded

_UNCOMPRESSED = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian)
_JPEG_2000 = (uid.JPEG2000Lossless, uid.JPEG2000)
_JPEG_FRAME_MARKERS = {  # the start-of-frame markers that a syntax may use (ITU-T T.81 B.1.1.3, T.87 C.1)
    uid.JPEGBaseline8Bit: b"\xc0",
    uid.JPEGExtended12Bit: b"\xc0\xc1",
    uid.JPEGLossless: b"\xc3",
    uid.JPEGLosslessSV1: b"\xc3",
    uid.JPEGLSLossless: b"\xf7",
    uid.JPEGLSNearLossless: b"\xf7",
}
SYNTAXES = (*_UNCOMPRESSED, *_JPEG_2000, *_JPEG_FRAME_MARKERS, uid.RLELossless)
"""The transfer syntaxes that are read."""

# A segment's marker and first byte: tables, comments and applications' data, without the extensions of
# JPEG XT (APP11) and, of JPEG-LS's parameters, those that change the size.
_JPEG_HARMLESS = re.compile(rb"[\xc4\xdb\xdd\xfe\xe0-\xea\xec-\xef]|\xf8\x01")
_JPEG_START_OF_SCAN = 0xDA
_JPEG_SCAN_END = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")  # any marker but a restart


def transfer_syntax(data: bytes) -> uid.UID:
    """Returns how the DICOM file `data` is encoded, without touching what follows its meta header.

    Raises:
        ImageError: The encoding is not one that is read. A deflated file is not, since inflating it
            has no bound.
    """
    stream = io.BytesIO(data)
    stream.seek(132)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, *_: tag.group != 2)
    syntax = uid.UID(str(meta.get("TransferSyntaxUID", "")))
    if syntax in SYNTAXES:
        return syntax
    if not syntax:
        raise ImageError("the DICOM file does not say its transfer syntax: export it again")
    name = syntax.name if syntax.is_transfer_syntax and not syntax.is_private else "an unknown one"
    raise ImageError(f"the DICOM transfer syntax is not read: {name}; export the image uncompressed")


def stored_values(dataset: Dataset, syntax: uid.UID) -> npt.NDArray[np.integer]:
    """Decodes the pixel data of a grey image.

    Args:
        dataset: Its pixel description (PS3.3 C.7.6.3) is checked already.
        syntax: From `transfer_syntax`.

    Returns:
        int8, uint8, int16 or uint16 in the machine's byte order, shape (rows, columns).

    Raises:
        ImageError: The pixel data do not decode to the size that the header states.
    """
    shift = dataset.get("HighBit", dataset.BitsStored - 1) + 1 - dataset.BitsStored
    if shift and syntax not in (*_UNCOMPRESSED, uid.RLELossless):
        raise ImageError(
            "the DICOM header places the bits of compressed pixels otherwise than codecs do: export it again"
        )
    try:
        if syntax == uid.RLELossless:
            dataset.PixelData = _decode_rle(dataset)
            dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        elif syntax in _JPEG_FRAME_MARKERS:
            frame = _single_scan(dataset, _JPEG_FRAME_MARKERS[syntax])
            dataset.PixelData = encapsulate([frame])
        elif syntax in _JPEG_2000:
            _require_jpeg_2000_size(dataset)
        if shift:
            return _shifted(dataset, shift)
        stored = pixel_array(dataset, raw=True, decoding_plugin="pylibjpeg")
    except (RuntimeError, ValueError, struct.error) as error:
        raise ImageError(f"the DICOM pixel data ({syntax.name}) cannot be decoded: export the image again") from error
    return stored.astype(stored.dtype.newbyteorder("="), copy=False)


def _shifted(dataset: Dataset, shift: int) -> npt.NDArray[np.integer]:
    """The values of pixels whose lowest bits are not theirs: left-aligned ones, as older devices write them."""
    depth, is_signed = int(dataset.BitsStored), bool(dataset.PixelRepresentation)
    dataset.BitsStored, dataset.PixelRepresentation = dataset.BitsAllocated, 0
    dataset.HighBit = dataset.BitsAllocated - 1
    whole = pixel_array(dataset, raw=True, decoding_plugin="pylibjpeg").astype(np.int64) >> shift
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = depth, depth - 1, int(is_signed)
    values = whole & (2**depth - 1)
    if is_signed:
        values = np.where(values >= 2 ** (depth - 1), values - 2**depth, values)
    return np.asarray(values, dtype=f"{'i' if is_signed else 'u'}{dataset.BitsAllocated // 8}")


def _frame(dataset: Dataset) -> bytes:
    return get_frame(dataset.PixelData, 0, number_of_frames=1)


def _decode_rle(dataset: Dataset) -> bytes:
    """Decodes RLE (PS3.5 annex G): a PackBits segment for each byte of the pixels, the high byte first."""
    frame = _frame(dataset)
    count, *starts = struct.unpack_from("<16L", frame)
    if count != dataset.BitsAllocated // 8:
        raise ValueError("RLE segments do not match the bits allocated")
    ends = [*starts[1:count], len(frame)]
    one_line = dataset.Rows * dataset.Columns, 1  # since some encoders let runs cross the ends of rows
    planes = [
        np.asarray(Image.frombytes("L", one_line, frame[start:end], "packbits", "L"))
        for start, end in zip(starts, ends, strict=False)
    ]
    return np.stack(planes[::-1], axis=-1).tobytes()


def _single_scan(dataset: Dataset, frame_markers: bytes) -> bytes:
    """Returns the JPEG or JPEG-LS stream up to its end, if it is one grey scan of the dataset's size."""
    stream = _frame(dataset)
    size = struct.pack(">HHB", dataset.Rows, dataset.Columns, 1)
    frames, position, marker = 0, 2, 0
    while marker != _JPEG_START_OF_SCAN:
        mark, marker, length = struct.unpack_from(">BBH", stream, position)
        segment = stream[position + 4 : position + 2 + length]
        is_frame = marker in frame_markers and segment[1:6] == size
        is_harmless = marker == _JPEG_START_OF_SCAN or _JPEG_HARMLESS.match(bytes([marker]) + segment[:1])
        if mark != 0xFF or length < 2 or not (is_frame or is_harmless):
            raise ValueError("JPEG header")
        frames += is_frame
        position += 2 + length
    end = _JPEG_SCAN_END.search(stream, position)
    if frames != 1 or not end or end[0] != b"\xff\xd9":
        raise ValueError("JPEG scan")
    return stream[: end.end()]


def _require_jpeg_2000_size(dataset: Dataset) -> None:
    require_bounded(_frame(dataset))
    found = get_parameters(_frame(dataset))
    if (found["rows"], found["columns"], found["samples_per_pixel"]) != (dataset.Rows, dataset.Columns, 1):
        raise ValueError("JPEG 2000 size")
