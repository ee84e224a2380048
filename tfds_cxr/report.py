"""Writes a page that shows what is in a built dataset.

Example: python -m tfds_cxr.report ~/tensorflow_datasets dataset.html
"""

import argparse
import base64
import hashlib
import io
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
import numpy.typing as npt
from PIL import Image

from cxr_keras3 import progress
from cxr_keras3.errors import UserError, run_command
from tfds_cxr.database import natural_key
from tfds_cxr.labels import LABELS, PUBLISHED_COUNTS

if TYPE_CHECKING:
    from tfds_cxr.survey import Facts, Picture

SAMPLES_PER_CLASS = 6
LARGEST_GROUPS = 6
"""Groups shown, of those with a known person and of those without."""
SHOWN_OF_GROUP = 6
THUMBNAIL_SIZE = 224  # pixels a side, twice what the page shows them at, for fine screens
OUTLINE = (255, 176, 0)
BRIGHTNESS_BINS = 32


def main(arguments: Sequence[str]) -> int:
    """Writes the page."""
    parser = argparse.ArgumentParser(
        prog="python -m tfds_cxr.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data_dir", type=Path, help="folder of built datasets: the --data_dir of tfds build")
    parser.add_argument("out", type=Path, help="HTML file to write")
    options = parser.parse_args(arguments)
    if options.out.is_dir():
        raise UserError(f"OUT must be a file, {options.out} is a folder; add a name such as dataset.html")
    from tfds_cxr import survey  # noqa: PLC0415 -- --help answers without it

    builder = survey.find(options.data_dir)
    facts = survey.facts(builder)
    samples, groups = choose_samples(facts), choose_groups(facts)
    keys = {fact.key for chosen in (*samples.values(), *(g for kind in groups.values() for g in kind)) for fact in chosen}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("", encoding="utf-8")
    progress.say(f"report: {options.out}")
    return 0


if __name__ == "__main__":
    run_command(main)
