"""Writes a page that shows what is in a built dataset.

Example: python -m tfds_cxr.report ~/tensorflow_datasets dataset.html
"""

import argparse
import base64
import hashlib
import io
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import jinja2
import numpy as np
from PIL import Image
from scipy.ndimage import binary_erosion

from cxr_keras3.base import progress
from cxr_keras3.base.errors import UserError, run_command
from tfds_cxr import tables
from tfds_cxr.database import natural_key
from tfds_cxr.labels import LABELS, PUBLISHED_COUNTS

if TYPE_CHECKING:
    from tfds_cxr.survey import Facts, Key, Picture

Item = TypeVar("Item")

SAMPLES_PER_CLASS = 6
GROUPS_OF_A_KIND = 6  # shown of those with a known patient, and of those without
SHOWN_OF_GROUP = 6
OUTLINE_COLOUR = (255, 176, 0)


def main(arguments: Sequence[str]) -> int:
    """Reads the dataset and writes the page."""
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
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # else TensorFlow greets with a page of notices
    from tfds_cxr import reading, survey

    builder = reading.find(options.data_dir)
    facts = survey.facts(builder)
    samples = choose_samples(facts)
    same_patient, copies = (choose_groups(facts, patient_known=known) for known in (True, False))
    chosen = {fact.key for group in (*samples.values(), *same_patient, *copies) for fact in group[:SHOWN_OF_GROUP]}
    page = render(
        description={
            "version": str(builder.version),
            "file_format": builder.info.file_format.value,
            "size": str(builder.info.dataset_size),
            **builder.info.metadata,
        },
        facts=facts,
        samples=samples,
        same_patient=same_patient,
        copies=copies,
        pictures=survey.pictures(builder, chosen),
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(page, encoding="utf-8")
    progress.say(f"report: {options.out}")
    return 0


def render(
    *,
    description: Mapping[str, Any],
    facts: Sequence["Facts"],
    samples: Mapping[str, Sequence["Facts"]],
    same_patient: Sequence[Sequence["Facts"]],
    copies: Sequence[Sequence["Facts"]],
    pictures: Mapping["Key", "Picture"],
) -> str:
    """The page, with its pictures inside.

    Args:
        description: Version, file format and size of the dataset, and the metadata of its build.
        facts: Of every image.
        samples: Images to show, by class.
        same_patient: Groups to show that hold images of a known patient.
        copies: Groups to show in which no patient is known.
        pictures: At least those that are shown.
    """
    template = jinja2.Environment(
        loader=jinja2.PackageLoader("tfds_cxr", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("report.html")
    sizes = Counter(Counter(fact.group_id for fact in facts).values())
    return template.render(
        about=description,
        images=len(facts),
        published=PUBLISHED_COUNTS,
        classes=tables.by_class(facts),
        sources=tables.by_source(facts),
        patients=tables.by_patient(facts),
        splits=list(description["counts"]),
        source_oracle=tables.oracle(facts, "source"),
        view_oracle=tables.oracle([fact for fact in facts if fact.view], "view"),
        claims=tables.claims(facts),
        patients_known=len({fact.patient_id for fact in facts} - {""}),
        groups_by_size=sorted(sizes.items()),
        groups_in_several_splits=tables.groups_in_several_splits(facts),
        samples=samples,
        same_patient=same_patient,
        copies=copies,
        shown_of_group=SHOWN_OF_GROUP,
        plain={key: _data_uri(picture.pixels) for key, picture in pictures.items()},
        outlined={key: _data_uri(_outlined(picture)) for key, picture in pictures.items()},
    )


def choose_samples(facts: Sequence["Facts"]) -> dict[str, list["Facts"]]:
    """A few images of each class: its sources in turn, images with a mask first, else by a fixed draw."""
    samples = {}
    for label in LABELS:
        by_source = defaultdict(list)
        for fact in sorted(facts, key=_draw):
            if fact.label == label:
                by_source[fact.source].append(fact)
        samples[label] = _in_turn(by_source.values())[:SAMPLES_PER_CLASS]
    return samples


def _draw(fact: "Facts") -> tuple[bool, bytes]:
    return not fact.has_mask, hashlib.sha256(fact.image_id.encode()).digest()


def choose_groups(facts: Sequence["Facts"], *, patient_known: bool) -> list[list["Facts"]]:
    """The largest groups of several images, of each class in turn.

    Args:
        facts: Of every image.
        patient_known: Whether to take the groups with a known patient, or those without.
    """
    groups = defaultdict(list)
    for fact in sorted(facts, key=lambda fact: (LABELS.index(fact.label), natural_key(fact.image_id))):
        groups[fact.group_id].append(fact)
    of_label = defaultdict(list)
    for group in sorted(groups.values(), key=lambda group: (-len(group), group[0].group_id)):
        if len(group) > 1 and any(fact.patient_id for fact in group) == patient_known:
            of_label[group[0].label].append(group)
    return _in_turn(of_label.values())[:GROUPS_OF_A_KIND]


def _in_turn(lists: Iterable[Sequence[Item]]) -> list[Item]:
    """The first of each list, then the second of each, and so on; the longest list goes first."""
    longest_first = sorted(lists, key=len, reverse=True)
    turns = range(len(longest_first[0])) if longest_first else ()
    return [items[turn] for turn in turns for items in longest_first if turn < len(items)]


def _outlined(picture: "Picture") -> np.ndarray:
    """The image in colour, with the outline of the lung mask drawn in where there is one."""
    rgb = np.repeat(picture.pixels[..., np.newaxis], 3, axis=2)
    if picture.mask is not None:
        size = picture.pixels.shape[::-1]
        inside = np.asarray(Image.fromarray(picture.mask).resize(size, Image.Resampling.NEAREST)) > 0
        rgb[inside & ~binary_erosion(inside, iterations=2)] = OUTLINE_COLOUR
    return rgb


def _data_uri(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=80, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


if __name__ == "__main__":
    run_command(main)
