"""Keeps a PNG file's own compressed pixels, where they already are what the dataset stores."""

import struct
from collections.abc import Iterator

from cxr_keras3.images import IMAGE_SIZE

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY_HEADER = struct.pack(">IIBBBBB", IMAGE_SIZE, IMAGE_SIZE, 8, 0, 0, 0, 0)  # 8 bits, grey, not interlaced
_CHANGES_PIXELS = frozenset({b"tRNS", b"eXIf", b"acTL"})  # transparency, rotation, animation


def stripped(data: bytes) -> bytes | None:
    """The file with nothing in it but its header and compressed pixels; None unless it is a plain grey 299x299 PNG.

    Comments, dates and whatever else a file carries stay out of the dataset (W3C, Portable Network
    Graphics, third edition: chunks other than IHDR, IDAT and IEND are not needed for a grey image).

    Args:
        data: A file that has been decoded without error, so that its chunks are sound.
    """
    if not data.startswith(_SIGNATURE + struct.pack(">I", len(_GREY_HEADER)) + b"IHDR" + _GREY_HEADER):
        return None
    chunks = list(_chunks(data))
    if any(kind in _CHANGES_PIXELS for kind, _ in chunks) or chunks[-1][0] != b"IEND":
        return None
    return _SIGNATURE + b"".join(chunk for kind, chunk in chunks if kind in (b"IHDR", b"IDAT", b"IEND"))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and whole bytes of every chunk up to the end mark."""
    offset = len(_SIGNATURE)
    while offset + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, offset)
        end = offset + 12 + length  # length and type take 8 bytes, the checksum 4
        yield kind, data[offset:end]
        if kind == b"IEND":
            return
        offset = end
