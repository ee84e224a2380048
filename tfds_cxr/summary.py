"""What a build says of itself: counts against what was published, groups, and what is missing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tfds_cxr import database, provenance, splits
from tfds_cxr.labels import PUBLISHED_COUNTS
from tfds_cxr.preparation import Record, is_synthetic

MISSING = "missing_files.txt"
"""File of the built dataset with the names of the images that the metadata lists and the copy lacks."""

_NAMED = 20  # missing files that the terminal shows; the file names all of them


def summarise(records: Sequence[Record], *, missing: Sequence[str]) -> dict[str, Any]:
    """Counts, groups, and how much of the database is there, as JSON can hold it.

    Args:
        records: All records of the build.
        missing: See `database.Listing`.
    """
    files = [record.file for record in records]
    counts = {split: Counter(r.file.label for r in records if r.split == split) for split in splits.SPLITS}
    sources = {label: Counter(r.origin.source for r in records if r.file.label == label) for label in PUBLISHED_COUNTS}
    groups = Counter(record.group_id for record in records)
    return {
        "listing_fingerprint": database.listing_fingerprint(files),
        "synthetic": any(is_synthetic(file) for file in files),
        "counts": {split: {label: counts[split][label] for label in PUBLISHED_COUNTS} for split in splits.SPLITS},
        "sources": {label: dict(sorted(found.items())) for label, found in sources.items()},
        "complete": database.count_by_label(files) == PUBLISHED_COUNTS,
        "missing": len(missing),
        "with_mask": sum(record.file.mask is not None for record in records),
        "with_patient": sum(bool(record.origin.patient_id) for record in records),
        "patients": len({record.origin.patient_id for record in records} - {""}),
        "groups": len(groups),
        "images_in_groups_of_several": sum(size for size in groups.values() if size > 1),
    }


def describe(summary: Mapping[str, Any], *, missing: Sequence[str]) -> str:
    """The summary in words, for the terminal: a line a class, then what is missing and what to do."""
    found = {label: sum(counts[label] for counts in summary["counts"].values()) for label in PUBLISHED_COUNTS}
    kind = "synthetic images" if summary["synthetic"] else "images"
    whole = "the whole database" if summary["complete"] else "not the whole database"
    lines = [f"{sum(found.values()):,} {kind}, {whole}; of each class, with the source that the images show:"]
    for label, published in PUBLISHED_COUNTS.items():
        shares = ", ".join(
            f"{source} {number:,}" + ("" if summary["synthetic"] else _of_published(label, source))
            for source, number in summary["sources"][label].items()
        )
        lines.append(f"  {label} {found[label]:,} of {published:,}: {shares}")
    lines.append(
        f"{summary['with_mask']:,} with a mask; {summary['with_patient']:,} are of {summary['patients']:,} known "
        f"patients; {summary['groups']:,} groups of one patient or near-duplicates, "
        f"{summary['images_in_groups_of_several']:,} images share theirs with another"
    )
    if missing:
        shown = ", ".join(missing[:_NAMED]) + (f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else "")
        lines.append(
            f"{len(missing):,} files that the metadata names are missing: {shown}; all are listed in {MISSING} beside "
            "the records. If the copy was meant to be whole, download it again; otherwise nothing need be done"
        )
    return "\n".join(lines)


def _of_published(label: str, source: str) -> str:
    published = provenance.published_counts()[label].get(source)
    return f" of {published:,}" if published else ""
