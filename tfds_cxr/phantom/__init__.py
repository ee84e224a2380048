"""Synthetic chest radiographs in the layout of the COVID-19 Radiography Database.

    python -m tfds_cxr.phantom OUT --per-class 50 --seed 1

writes a small database of drawn images, lung masks and metadata sheets, to try the pipeline and to
test it without the real images. The class is seen in the lungs only; pose, exposure, collimation
and side marker vary independently of it, unless `--shortcut` plants one of them as a clue, which an
audit of a trained classifier must then find. No phantom says anything about patients.
`--contact-sheet docs/images/phantom.png --seed 1` draws the picture in the documentation.
"""

from tfds_cxr.phantom.anatomy import draw_chest
from tfds_cxr.phantom.database import PHANTOM_URL, contact_sheet, draw, write_database
from tfds_cxr.phantom.exposure import IMAGE_SIZE, MASK_SIZE, SHORTCUTS, draw_acquisition, expose, lung_mask
from tfds_cxr.phantom.findings import add_finding

__all__ = [
    "IMAGE_SIZE",
    "MASK_SIZE",
    "PHANTOM_URL",
    "SHORTCUTS",
    "add_finding",
    "contact_sheet",
    "draw",
    "draw_acquisition",
    "draw_chest",
    "expose",
    "lung_mask",
    "write_database",
]
