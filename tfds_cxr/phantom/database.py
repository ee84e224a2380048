"""Draws phantoms, and writes them as a database: images, masks and metadata sheets."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openpyxl
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.progress import track

from cxr_keras3.base.concurrency import map_ahead
from cxr_keras3.base.errors import UserError
from tfds_cxr.labels import LABELS
from tfds_cxr.phantom.anatomy import draw_chest
from tfds_cxr.phantom.exposure import IMAGE_SIZE, MASK_SIZE, SHORTCUTS, ByteImage, draw_acquisition, expose, lung_mask
from tfds_cxr.phantom.findings import add_finding

DATABASE_FOLDER = "COVID-19_Radiography_Dataset"
_LOOK_AHEAD = 16
_COMPRESSION = 1  # of zlib; its default takes 10 ms more of each phantom's 60, and saves a seventh of the bytes
_VIEW_AGREEMENT = 0.8
PHANTOM_URL = "synthetic://tfds_cxr.phantom"


def draw(label: str, *, seed: int, index: int, shortcut: str | None = None) -> tuple[ByteImage, ByteImage]:
    """Draws one phantom.

    Args:
        label: Its class, one of `tfds_cxr.labels.LABELS`.
        seed: Seed of the database, at least 0.
        index: Number of the phantom within its class, at least 0; each is independent of all others.
        shortcut: Clue planted outside the lungs, one of `SHORTCUTS`; None for no clue.

    Returns:
        The image (299, 299) and its lung mask (256, 256; 0 or 255), both uint8.

    Raises:
        UserError: If an argument is not as described.

    >>> image, mask = draw("Normal", seed=1, index=0)
    >>> image.shape, mask.shape, image.dtype.name
    ((299, 299), (256, 256), 'uint8')
    >>> bool((image == draw("Normal", seed=1, index=0)[0]).all())  # a phantom is decided by its arguments
    True
    """
    _require_one_of("label", label, LABELS)
    _require_one_of("shortcut", shortcut, (None, *SHORTCUTS))
    _require_at_least("seed", seed, 0)
    _require_at_least("index", index, 0)
    streams = np.random.SeedSequence((seed, LABELS.index(label), index)).spawn(3)
    chest_rng, finding_rng, acquisition_rng = (np.random.default_rng(stream) for stream in streams)
    chest = draw_chest(chest_rng, view=view_of(label, seed=seed, index=index, shortcut=shortcut))
    acquisition = draw_acquisition(acquisition_rng, label=label, shortcut=shortcut)
    return expose(add_finding(chest, label, finding_rng), acquisition), lung_mask(chest, acquisition)


def view_of(label: str, *, seed: int, index: int, shortcut: str | None) -> str:
    """The view of the phantom that `draw` draws with these arguments: "PA" but where the view is the clue.

    Then four of five films of COVID and Lung_Opacity are "AP" and four of five of the others "PA", about as in RSNA's.
    """
    if shortcut != "view":
        return "PA"
    *_, stream = np.random.SeedSequence((seed, LABELS.index(label), index)).spawn(4)
    usual = "AP" if label in ("COVID", "Lung_Opacity") else "PA"
    other = "PA" if usual == "AP" else "AP"
    return usual if np.random.default_rng(stream).random() < _VIEW_AGREEMENT else other


def write_database(
    out: Path, *, per_class: int, seed: int, shortcut: str | None = None, progress: bool = False
) -> Path:
    """Writes a synthetic database below `out`, laid out as the real one.

    The first images stay the same, byte for byte, when `per_class` grows. As in the real database the
    sheets name files without ".png", spell `Normal` as `NORMAL` and give the size of the masks.

    Args:
        out: Folder that receives `COVID-19_Radiography_Dataset`; made where missing.
        per_class: Images of each class, at least 1.
        seed: Seed of the database, at least 0.
        shortcut: Clue planted outside the lungs, one of `SHORTCUTS`; None for no clue.
        progress: Whether to show a progress bar on the error stream.

    Returns:
        The folder `COVID-19_Radiography_Dataset`.

    Raises:
        UserError: If an argument is not as described, or the folder already holds something.
    """
    _require_at_least("per_class", per_class, 1)
    _require_at_least("seed", seed, 0)
    _require_one_of("shortcut", shortcut, (None, *SHORTCUTS))
    if out.exists() and not out.is_dir():
        raise UserError(f"phantoms are written into a folder, {out} is a file; name a folder")
    root = out / DATABASE_FOLDER
    if root.exists() and any(root.iterdir()):
        raise UserError(f"phantoms are written into a new folder, {root} holds files; name another or delete it")
    for label in LABELS:
        for kind in ("images", "masks"):
            (root / label / kind).mkdir(parents=True, exist_ok=True)
    (root / "README.md.txt").write_text(_readme(seed, shortcut), encoding="utf-8")

    def write(job: tuple[str, int]) -> None:
        label, index = job
        image, mask = draw(label, seed=seed, index=index, shortcut=shortcut)
        name = f"{label}-phantom-{index + 1}.png"
        for kind, picture in (("images", Image.fromarray(image)), ("masks", Image.fromarray(mask).convert("RGB"))):
            picture.save(root / label / kind / name, compress_level=_COMPRESSION)

    jobs = [(label, index) for label in LABELS for index in range(per_class)]
    written = map_ahead(write, jobs, ahead=_LOOK_AHEAD)
    console = Console(stderr=True)
    for _ in track(written, "drawing phantoms", len(jobs), console=console, disable=not progress):
        pass
    for label in LABELS:
        views = [view_of(label, seed=seed, index=index, shortcut=shortcut) for index in range(per_class)]
        _write_sheet(root / f"{label}.metadata.xlsx", label, views)
    return root


def _readme(seed: int, shortcut: str | None) -> str:
    clue = f"the clue {shortcut!r} was planted outside the lungs on purpose" if shortcut else "no clue planted"
    return f"""Every image and mask in this folder is SYNTHETIC: drawn by tfds_cxr.phantom, of no person.
None is from the COVID-19 Radiography Database, whose layout the folder imitates for tests, and results
on them say nothing about patients.
Seed {seed}; {clue}.
"""


def _write_sheet(path: Path, label: str, views: Sequence[str]) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Sheet1")
    sheet.append(["FILE NAME", "FORMAT", "SIZE", "URL"])
    stem = label.upper() if label == "Normal" else label
    for number, view in enumerate(views, start=1):
        url = f"{PHANTOM_URL}?view={view}"
        sheet.append([f"{stem}-phantom-{number}", "PNG", f"{MASK_SIZE}*{MASK_SIZE}", url])
    book.save(path)


def contact_sheet(per_class: int, seed: int) -> Image.Image:
    """Shows `per_class` phantoms of each class in a row, the class named at the left; grey."""
    _require_at_least("per_class", per_class, 1)
    heading, step = 100, IMAGE_SIZE // 2 + 4
    sheet = Image.new("L", (heading + step * per_class, step * len(LABELS)), 255)
    pen = ImageDraw.Draw(sheet)
    for row, label in enumerate(LABELS):
        name = label.replace("_", " ").replace(" ", "\n")
        pen.multiline_text((6, (row + 0.5) * step), name, 0, font=ImageFont.load_default(15), anchor="lm")
        for index in range(per_class):
            image, _ = draw(label, seed=seed, index=index)
            tile = Image.fromarray(image).resize((step - 4, step - 4), Image.Resampling.LANCZOS)
            sheet.paste(tile, (heading + index * step, row * step + 2))
    return sheet


def _require_one_of(name: str, value: str | None, allowed: Sequence[str | None]) -> None:
    if value not in allowed:
        raise UserError(f"{name} must be one of {', '.join(map(str, allowed))}; received {value!r}")


def _require_at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise UserError(f"{name} must be a whole number of at least {least}; received {value}")
