"""The rooms of the code, read from the import contract: the table in the documentation and the picture in the README.

    python -m docs.rooms

draws docs/images/rooms.svg anew; a test holds it equal to the contract.
"""

import ast
import re
import tomllib
from html import escape
from pathlib import Path

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "images" / "rooms.svg"
COMMANDS = "commands"
WIDTH, FLOOR, GAP, SIDE = 920, 54, 8, 176  # units of the picture

STYLE = """
.room { fill: #eef4f7; stroke: #0b5c74; } .top { fill: #fdf3e4; stroke: #9a6210; }
.side { fill: #eef6ee; stroke: #3a7d44; }
text { font-family: system-ui, sans-serif; fill: #1b2a3a; } .name { font-size: 15px; font-weight: 600; }
.words { font-size: 11.5px; fill: #44566a; } .page { fill: #fff; }
"""


def floors() -> list[list[str]]:
    """The rooms of `cxr_keras3`, floor by floor, the highest first; the commands stand for their modules."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = (contract["layers"] for contract in contracts if contract.get("exhaustive"))
    found = [re.split(r"\s*[|:]\s*", layer) for layer in layers]
    rooms = [floor for floor in found if any((ROOT / "cxr_keras3" / name).is_dir() for name in floor)]
    return [[COMMANDS], *rooms]


def commands() -> list[str]:
    """The modules above all rooms, as the contract names them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = (contract["layers"] for contract in contracts if contract.get("exhaustive"))
    names = [name for layer in layers for name in re.split(r"\s*[|:]\s*", layer)]
    return [name for name in names if (ROOT / "cxr_keras3" / f"{name}.py").is_file()]


def words(package: str) -> str:
    """What a room is for: the first line of its docstring."""
    if package == COMMANDS:
        return f"Commands: {', '.join(commands())}. A parser and one call each."
    source = (ROOT / package / "__init__.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").split("\n")[0]


def summary(room: str) -> str:
    """The same of a room of `cxr_keras3`."""
    return words(room if room == COMMANDS else f"cxr_keras3/{room}")


def draw() -> str:
    """The picture: the demo on top, the rooms below, the dataset beside the rooms it stands on."""
    stacked = floors()
    height = (len(stacked) + 1) * (FLOOR + GAP) + GAP
    parts = [_box(GAP, GAP, WIDTH - 2 * GAP, kind="top", name="demo", said=words("demo"))]
    for level, rooms in enumerate(stacked, 1):
        width = (WIDTH - SIDE - 3 * GAP - (len(rooms) - 1) * GAP) / len(rooms)
        for number, room in enumerate(rooms):
            kind = "top" if room == COMMANDS else "room"
            left = GAP + number * (width + GAP)
            parts.append(_box(left, GAP + level * (FLOOR + GAP), width, kind=kind, name=room, said=summary(room)))
    training = next(level for level, rooms in enumerate(stacked, 1) if "training" in rooms)
    images = next(level for level, rooms in enumerate(stacked, 1) if "images" in rooms)
    top = GAP + (training + 1) * (FLOOR + GAP)
    tall = (images - training - 1) * (FLOOR + GAP) - GAP
    parts.append(_box(WIDTH - SIDE - GAP, top, SIDE, kind="side", name="tfds_cxr", said=words("tfds_cxr"), height=tall))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">\n'
        f"<title>The rooms of the code; each imports from lower floors only</title>\n<style>{STYLE}</style>\n"
        f'<rect class="page" width="{WIDTH}" height="{height}"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _box(left: float, top: float, width: float, *, kind: str, name: str, said: str, height: float = FLOOR) -> str:
    """A room: its name, and below as much of what it is for as fits into two lines."""
    room = int((width - 20) / 5.9)
    lines, line = [], ""
    said = said.split(":", 1)[-1].strip().replace("`", "")
    for word in f"{said[:1].upper()}{said[1:]}".split():
        if len(line) + len(word) + 1 > room:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    lines = [*lines, line][: max(1, int((height - 26) / 14))]
    texts = [
        f'<text class="words" x="{left + 10:.0f}" y="{top + 35 + 14 * number:.0f}">{escape(each)}</text>'
        for number, each in enumerate(lines)
    ]
    return (
        f'<rect class="{kind}" x="{left:.0f}" y="{top:.0f}" width="{width:.0f}" height="{height:.0f}" rx="6"/>'
        f'<text class="name" x="{left + 10:.0f}" y="{top + 19:.0f}">{escape(name)}</text>' + "".join(texts)
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
