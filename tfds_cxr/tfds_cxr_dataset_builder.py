"""TFDS builder of the COVID-19 Radiography Database."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from cxr_keras3.base import progress
from tfds_cxr import database, download, preparation, splits, summary
from tfds_cxr.database import KAGGLE_HANDLE
from tfds_cxr.labels import LABELS

if TYPE_CHECKING:
    from tfds_cxr import distributed

HOMEPAGE = f"https://www.kaggle.com/datasets/{KAGGLE_HANDLE}"
IMAGE_SHAPE, MASK_SHAPE = (299, 299, 1), (256, 256, 1)


class Builder(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]  # TFDS ships no types
    """Chest X-rays in four classes with lung masks, recovered sources and a split by patient group."""

    VERSION = tfds.core.Version("2.0.0")
    RELEASE_NOTES: ClassVar = {
        "1.0.0": "First release: images, masks, recovered sources, split by group.",
        "2.0.0": "Patient, age, sex and view of the RSNA images, 70 % of the database. The split keeps these patients "
        "whole, and BIMCV's block in runs of 20 neighbours, so images have moved between splits: a model trained on "
        "1.0.0 has seen patients of this test split, and figures on the two are not comparable. `patient_id` begins "
        "with the collection that names the patient, for example `nih:` or `kermany:`.",
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Download {HOMEPAGE} and put the zip, or "
        "the folder extracted from it, into the manual folder (--manual_dir). With an empty manual folder "
        "the builder downloads it from Kaggle itself."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=IMAGE_SHAPE, encoding_format="png"),
                    "mask": tfds.features.Image(shape=MASK_SHAPE, encoding_format="png"),
                    "has_mask": tfds.features.Scalar(np.bool_),
                    "label": tfds.features.ClassLabel(names=LABELS),
                    "image_id": tfds.features.Text(),
                    "filename": tfds.features.Text(),
                    "claimed_source": tfds.features.Text(),
                    "claimed_url": tfds.features.Text(),
                    "source": tfds.features.Text(),
                    "patient_id": tfds.features.Text(),
                    "age": tfds.features.Scalar(np.float32),
                    "sex": tfds.features.Text(),
                    "view": tfds.features.Text(),
                    "group_id": tfds.features.Text(),
                    "original_mode": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            homepage=HOMEPAGE,
            metadata=tfds.core.MetadataDict(),
        )

    def download_and_prepare(
        self,
        *,
        download_config: tfds.download.DownloadConfig | None = None,
        **options: Any,  # noqa: ANN401 -- TFDS's own
    ) -> None:
        """Builds the dataset, see TFDS; on Apache Beam where the configuration has options or a runner for it."""
        self._config = download_config or tfds.download.DownloadConfig()
        with ExitStack() as self._open_files:  # what `_split_generators` leaves open
            super().download_and_prepare(download_config=download_config, **options)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        root = self._open_files.enter_context(database.opened(_manual_dir(dl_manager)))
        listing = database.list_files(root)
        prepared = self._prepare(listing.files)
        facts = summary.summarise(prepared.records, missing=listing.missing)
        progress.say(summary.describe(facts, missing=listing.missing))
        if listing.missing:
            names = "".join(f"{name}\n" for name in listing.missing)
            (Path(self.data_path) / summary.MISSING).write_text(names, encoding="utf-8")
        self.info.metadata.update(facts)
        return {split: prepared.examples(split) for split in splits.SPLITS}

    def _prepare(
        self, files: list[database.DatabaseFile]
    ) -> "preparation.Prepared[preparation.Record] | distributed.Prepared":
        if self._config.beam_options or self._config.beam_runner:
            from tfds_cxr import distributed  # noqa: PLC0415 -- imports Beam, which the build on one machine spares

            return distributed.prepare(
                files, folder=self.data_path, runner=self._config.beam_runner, options=self._config.beam_options
            )
        spool = self._open_files.enter_context(tempfile.TemporaryFile(dir=self.data_path))  # noqa: SIM115 -- closed with the stack
        return preparation.prepare(files, spool=spool)

    def _generate_examples(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Part of TFDS's interface; `_split_generators` hands over the generators themselves."""
        raise NotImplementedError


def _manual_dir(dl_manager: tfds.download.DownloadManager) -> Path:
    """The manual folder, or the folder that kagglehub downloads to where it is empty."""
    try:
        return Path(os.fspath(dl_manager.manual_dir))
    except AssertionError:  # what TFDS raises where the folder is missing or empty
        progress.say(f"no copy of the database in the manual folder; downloading {KAGGLE_HANDLE} from Kaggle")
        return download.from_kaggle()
