"""The builder that all collections share: lists, decodes, marks what the database holds, groups and splits."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from cxr_keras3.base import progress
from cxr_keras3.images import IMAGE_SIZE, NotAChestFilmError
from tfds_cxr import database, preparation, splits
from tfds_cxr.collections import fingerprints, records
from tfds_cxr.collections.table import CLASSES, LATERAL, NO_RADIOGRAPH, Collection, Film
from tfds_cxr.database import DatabaseError

MISSING = "missing_files.txt"
"""File of the built dataset with the names of the films that the collection lists and the copy lacks."""


class CollectionBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[misc, call-arg]  # TFDS ships no types
    """Films of one collection in the database's form, see `tfds_cxr.collections.table`."""

    COLLECTION: ClassVar[Collection]
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put a copy of the collection, or a zip of it, into the manual folder (--manual_dir)."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        text = tfds.features.Text
        facts = self.COLLECTION
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{facts.title}: {facts.size}. {facts.labelled_by}",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(IMAGE_SIZE, IMAGE_SIZE, 1), encoding_format="png"),
                    "label": tfds.features.ClassLabel(names=CLASSES),
                    "own_labels": text(),
                    "image_id": text(),
                    "source": text(),
                    "patient_id": text(),
                    "age": tfds.features.Scalar(np.float32),
                    "sex": text(),
                    "view": text(),
                    "device": text(),
                    "group_id": text(),
                    "overlaps": text(),
                    "overlap_evidence": text(),
                    "original_mode": text(),
                }
            ),
            supervised_keys=("image", "label"),
            homepage=facts.homepage,
            citation=facts.citation,
            license=facts.licence,
            metadata=tfds.core.MetadataDict(),
        )

    def download_and_prepare(self, **options: Any) -> None:  # noqa: ANN401 -- TFDS's own
        """Builds the dataset, see TFDS."""
        with ExitStack() as self._open_files:  # what `_split_generators` leaves open
            super().download_and_prepare(**options)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        facts = self.COLLECTION
        found = database.found(self._manual_dir(dl_manager), facts.is_root, what=facts.title, expected=facts.layout)
        listed = list(facts.films(self._open_files.enter_context(found)))
        films, left_out = _frontal(facts, listed)
        spool = self._open_files.enter_context(tempfile.TemporaryFile(dir=self.data_path))  # noqa: SIM115 -- closed with the stack
        known, spans = preparation.spooled(films, records.decode, spool=spool)
        left_out["said by the file not to be a frontal chest film"] = sum(
            isinstance(fact, NotAChestFilmError) for fact in known
        )
        usable = [
            (film, fact) for film, fact in zip(films, known, strict=True) if not isinstance(fact, NotAChestFilmError)
        ]
        preparation.require_readable([film.name for film, _ in usable], [fact for _, fact in usable])
        assigned = records.assign(
            facts,
            [film for film, _ in usable],
            [fact for _, fact in usable if isinstance(fact, records.FilmFacts)],
        )
        missing = [film.name for film in listed if film.path is None]
        (Path(self.data_path) / MISSING).write_text("".join(f"{name}\n" for name in missing), encoding="utf-8")
        summary = summarise(assigned, left_out=left_out, missing=len(missing))
        progress.say(describe(facts, summary))
        self.info.metadata.update(summary)
        prepared = preparation.Prepared(assigned, spans, spool)
        present = {record.split for record in assigned}
        return {split: prepared.examples(split) for split in splits.SPLITS if split in present}

    def _manual_dir(self, dl_manager: tfds.download.DownloadManager) -> Path:
        try:
            return Path(os.fspath(dl_manager.manual_dir))
        except AssertionError as error:  # what TFDS raises where the folder is missing or empty
            raise DatabaseError(
                f"the manual folder must hold a copy of {self.COLLECTION.title}, it is missing or empty; ask for one "
                f"at {self.COLLECTION.homepage}, and pass --manual_dir; expected {self.COLLECTION.layout}"
            ) from error

    def _generate_examples(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Part of TFDS's interface; `_split_generators` hands over the generators themselves."""
        raise NotImplementedError


def _frontal(collection: Collection, listed: Sequence[Film]) -> tuple[list[Film], dict[str, int]]:
    """The frontal films that are there, and how many others are left out, by reason.

    Raises:
        DatabaseError: Where none is there, or two have one name.
    """
    names = Counter(film.name for film in listed)
    twice = sorted(name for name, count in names.items() if count > 1)
    if twice:
        raise DatabaseError(
            f"every film of {collection.title} must be listed once, {len(twice)} are not, such as {twice[0]}; restore "
            "the original tables"
        )
    films = [film for film in listed if film.path is not None and film.view not in (LATERAL, NO_RADIOGRAPH)]
    if not films:
        raise DatabaseError(
            f"a copy of {collection.title} must hold frontal films, this one holds none of the {len(listed)} that it "
            f"lists; expected {collection.layout}"
        )
    return films, {view: sum(film.view == view for film in listed) for view in (LATERAL, NO_RADIOGRAPH)}


def summarise(assigned: Sequence[records.Record], *, left_out: dict[str, int], missing: int) -> dict[str, Any]:
    """Counts, as JSON can hold them."""
    labels = Counter(record.label for record in assigned)
    known = records.groups_of_patients()
    return {
        "films": len(assigned),
        "labels": {name: labels[name] for name in CLASSES if labels[name]},
        "patients": len({record.film.patient for record in assigned} - {""}),
        "groups": len({record.group_id for record in assigned}),
        "overlaps": sum(bool(record.facts.overlaps) for record in assigned),
        "overlaps_by_picture": sum(record.facts.evidence == "picture" for record in assigned),
        "patients_in_database": len({record.film.patient for record in assigned} & known.keys()),
        "left_out": {reason: count for reason, count in left_out.items() if count},
        "missing": missing,
        "fingerprints": len(fingerprints.load()),
    }


def describe(collection: Collection, summary: dict[str, Any]) -> str:
    """The summary in words, for the terminal."""
    counts = ", ".join(f"{name} {count:,}" for name, count in summary["labels"].items())
    told = (
        f"{summary['overlaps']:,} are films of the database, {summary['overlaps_by_picture']:,} of them told by their "
        f"picture, from {summary['fingerprints']:,} of its 21,165 films; {summary['patients_in_database']:,} patients "
        "are in the database too"
    )
    lines = [
        f"{collection.title}: {summary['films']:,} frontal films ({counts})",
        f"{summary['patients']:,} known patients, {summary['groups']:,} groups",
        told,
    ]
    lines += [f"left out: {count:,} {reason}" for reason, count in summary["left_out"].items()]
    if summary["missing"]:
        lines.append(
            f"{summary['missing']:,} films that its tables list are not in this copy; they are named in {MISSING} "
            "beside the records"
        )
    return "\n".join(lines)
