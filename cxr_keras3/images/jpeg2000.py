"""What a JPEG 2000 codestream will cost to decode, read from its headers (ITU-T T.800 annex A) before it is decoded.

OpenJPEG takes memory for every tile, precinct and code-block that the headers announce, whether data follow or not: 726
bytes with precincts of one pixel take nine gigabytes and a minute.
"""

import struct
from itertools import pairwise
from typing import NamedTuple

MAX_TILES = 4096
MAX_PRECINCTS = 65_536
MAX_BLOCKS = 500_000
MAX_LAYERS = 256
"""A film of 50 million pixels has 763 tiles of 256 x 256, and 16,000 of OpenJPEG's usual blocks of 64 x 64."""

_START, _SIZE, _CODING, _TILE_PART, _DATA, _END = 0xFF4F, 0xFF51, 0xFF52, 0xFF90, 0xFF93, 0xFFD9
# QCD, QCC, RGN and COM change no size. Any other is refused: COC, POC, PPM and PPT, which change the coding of a part,
# and those that are not known, which decoders do not skip by their length but search for the next one that they know.
_HARMLESS = frozenset({0xFF5C, 0xFF5D, 0xFF5E, 0xFF64})
_OF_MAIN_HEADER = _HARMLESS | {_SIZE, _CODING, 0xFF50, 0xFF55, 0xFF57, 0xFF63}  # CAP, TLM, PLM, CRG
_OF_TILE_PART = _HARMLESS | {0xFF58}  # PLT


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
    segments: dict[int, bytes] = {}
    position = 2
    while (marker := _word(stream, position)) != _TILE_PART:
        if marker in segments and marker in (_SIZE, _CODING):
            raise ValueError("JPEG 2000 header said twice")
        segments[marker] = _segment(stream, position, known=_OF_MAIN_HEADER)
        position += 4 + len(segments[marker])
    if not {_SIZE, _CODING} <= segments.keys():
        raise ValueError("JPEG 2000 header without size or coding")
    _require_plain_tiles(stream, position)
    return _cost(segments[_SIZE], segments[_CODING])


def _segment(stream: bytes, position: int, *, known: frozenset[int]) -> bytes:
    """What a marker's segment holds."""
    marker, length = _word(stream, position), _word(stream, position + 2)
    if marker not in known or length < 2 or position + 2 + length > len(stream):
        raise ValueError(f"JPEG 2000 header with marker {marker:X} of {length} bytes")
    return stream[position + 4 : position + 2 + length]


def _require_plain_tiles(stream: bytes, position: int) -> None:
    """Walks the tile-parts from the first on, by the lengths that they state; the decoder does, too."""
    parts = 0
    while position < len(stream) - 1 and _word(stream, position) != _END:
        if _word(stream, position) != _TILE_PART or parts > 4 * MAX_TILES:
            raise ValueError("JPEG 2000 tile-parts")
        if position + 12 > len(stream):
            raise ValueError("JPEG 2000 tile-part cut off")
        (length,) = struct.unpack_from(">I", stream, position + 6)
        inner = position + 12
        while _word(stream, inner) != _DATA:
            inner += 4 + len(_segment(stream, inner, known=_OF_TILE_PART))
        if length == 0:  # the last: up to the end
            return
        position += length
        if position < inner + 2:
            raise ValueError("JPEG 2000 tile-part shorter than its header")
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
    is_placed = tile_left <= left < tile_left + tile_width and tile_top <= top < tile_top + tile_height
    if not is_placed or width <= left or height <= top or levels > 32 or block_width + block_height > 8:
        raise ValueError("JPEG 2000 header")
    across, down = -((tile_left - width) // tile_width), -((tile_top - height) // tile_height)
    if across * down > MAX_TILES:
        return Cost(across * down, 0, 0, layers)
    sizes = coding[10 : 11 + levels] if style & 1 else bytes([0xFF]) * (levels + 1)
    if len(sizes) < levels + 1:
        raise ValueError("JPEG 2000 header cut off")
    columns = [left, *(tile_left + tile_width * number for number in range(1, across)), width]
    rows = [top, *(tile_top + tile_height * number for number in range(1, down)), height]
    precincts = blocks = 0
    for level, exponents in enumerate(sizes):
        # Above the lowest level a precinct lies over three bands of half the level's size.
        halved, bands = (1, 3) if level else (0, 1)
        shift, wide, high = levels - level, exponents & 15, exponents >> 4
        precincts += bands * _pieces(columns, shift, wide) * _pieces(rows, shift, high)
        wide, high = min(block_width + 2, wide - halved), min(block_height + 2, high - halved)
        if min(wide, high) < 0:
            raise ValueError("JPEG 2000 precincts")
        blocks += bands * _pieces(columns, shift + halved, wide) * _pieces(rows, shift + halved, high)
    return Cost(across * down, components * precincts, components * blocks, layers)


def _pieces(edges: list[int], shift: int, exponent: int) -> int:
    """Into how many pieces tiles fall along an axis, at a resolution of 1 / 2**shift, on a grid of step 2**exponent."""
    scaled = [-(-edge >> shift) for edge in edges]  # rounded up, and so are the ends below
    return sum(-(-end >> exponent) - (start >> exponent) for start, end in pairwise(scaled) if start < end)
