"""What a JPEG 2000 codestream will cost to decode, read from its headers (ITU-T T.800 annex A) before it is decoded.

OpenJPEG takes memory for every tile, precinct and code-block that the headers announce, whether data follow or not: 726
bytes with precincts of one pixel take nine gigabytes and a minute.
"""

import math
import struct
from collections.abc import Iterator
from typing import NamedTuple

MAX_TILES = 4096
MAX_PRECINCTS = 65_536
MAX_BLOCKS = 500_000
MAX_LAYERS = 256
"""A film of 50 million pixels has 763 tiles of 256 x 256, and 16,000 of OpenJPEG's usual blocks of 64 x 64."""

_START, _SIZE, _CODING, _TILE_PART, _DATA, _END = 0xFF4F, 0xFF51, 0xFF52, 0xFF90, 0xFF93, 0xFFD9
# Markers that change the coding of a component or of what follows: of no use to a grey film.
_OVERRIDES = frozenset({0xFF53, 0xFF5F, 0xFF60, 0xFF61})  # COC, POC, PPM, PPT


class Cost(NamedTuple):
    """What the headers announce.

    Attributes:
        tiles: Number of tiles.
        precincts: Number of precincts, over tiles and levels.
        blocks: Number of code-blocks.
        layers: Number of quality layers.
    """

    tiles: int
    precincts: int
    blocks: int
    layers: int


def require_bounded(stream: bytes) -> None:
    """Refuses a codestream whose headers announce more work than any film needs.

    Raises:
        ValueError: Where they do, or are no headers.
    """
    found = cost(stream)
    bounds = Cost(MAX_TILES, MAX_PRECINCTS, MAX_BLOCKS, MAX_LAYERS)
    if any(value > bound for value, bound in zip(found, bounds, strict=True)):
        raise ValueError(f"JPEG 2000 with {found}")


def cost(stream: bytes) -> Cost:
    """Reads the main header and those of all tile-parts.

    Raises:
        ValueError: Where they are damaged, or a tile or a component is coded otherwise than the main header says.
    """
    if stream[:2] != _START.to_bytes(2, "big"):
        raise ValueError("no JPEG 2000 codestream")
    segments = dict(_main_header(stream))
    if not {_SIZE, _CODING} <= segments.keys():
        raise ValueError("JPEG 2000 header without size or coding")
    _require_plain_tiles(stream)
    return _cost(segments[_SIZE], segments[_CODING])


def _main_header(stream: bytes) -> Iterator[tuple[int, bytes]]:
    position = 2
    seen = set()
    while (marker := _word(stream, position)) != _TILE_PART:
        if marker in _OVERRIDES or (marker in seen and marker in (_SIZE, _CODING)):
            raise ValueError("JPEG 2000 coded in parts")
        length = _word(stream, position + 2)
        if length < 2 or marker < 0xFF00:
            raise ValueError("JPEG 2000 header")
        seen.add(marker)
        yield marker, stream[position + 4 : position + 2 + length]
        position += 2 + length


def _require_plain_tiles(stream: bytes) -> None:
    """Walks the tile-parts by the lengths that they state; the decoder does, too."""
    position = stream.index(_TILE_PART.to_bytes(2, "big"))
    parts = 0
    while position < len(stream) - 1 and _word(stream, position) != _END:
        if _word(stream, position) != _TILE_PART or parts > 4 * MAX_TILES:
            raise ValueError("JPEG 2000 tile-parts")
        (length,) = struct.unpack_from(">I", stream, position + 6)
        inner = position + 12
        while (marker := _word(stream, inner)) != _DATA:
            if marker in _OVERRIDES or marker == _CODING:
                raise ValueError("JPEG 2000 tile of its own coding")
            inner += 2 + max(2, _word(stream, inner + 2))
        if length == 0:  # the last: up to the end
            return
        if length < 14:
            raise ValueError("JPEG 2000 tile-part")
        position += length
        parts += 1


def _word(stream: bytes, position: int) -> int:
    try:
        (value,) = struct.unpack_from(">H", stream, position)
    except struct.error as error:
        raise ValueError("JPEG 2000 header cut off") from error
    return int(value)


def _cost(size: bytes, coding: bytes) -> Cost:
    try:
        _, width, height, left, top, tile_width, tile_height, tile_left, tile_top, components = struct.unpack_from(
            ">H8IH", size
        )
        style, _, layers, _, levels, block_width, block_height = struct.unpack_from(">BBHBBBB", coding)
    except struct.error as error:
        raise ValueError("JPEG 2000 header cut off") from error
    is_odd = not tile_width or not tile_height or width <= left or height <= top
    if is_odd or levels > 32 or block_width + block_height > 8:
        raise ValueError("JPEG 2000 header")
    tiles = math.ceil((width - tile_left) / tile_width) * math.ceil((height - tile_top) / tile_height)
    if tiles > MAX_TILES:
        return Cost(tiles, 0, 0, layers)
    sizes = coding[10 : 11 + levels] if style & 1 else bytes([0xFF]) * (levels + 1)
    if len(sizes) < levels + 1:
        raise ValueError("JPEG 2000 header cut off")
    precincts = blocks = 0
    for level, exponents in enumerate(sizes):
        scale = 2.0 ** (levels - level)
        across = math.ceil(min(tile_width, width - left) / scale)
        down = math.ceil(min(tile_height, height - top) / scale)
        precinct = 2 ** (exponents & 15), 2 ** (exponents >> 4)
        block = min(2 ** (block_width + 2), precinct[0]), min(2 ** (block_height + 2), precinct[1])
        precincts += (across // precinct[0] + 1) * (down // precinct[1] + 1)
        blocks += (across // block[0] + 1) * (down // block[1] + 1)
    return Cost(tiles, tiles * components * precincts, tiles * components * blocks, layers)
