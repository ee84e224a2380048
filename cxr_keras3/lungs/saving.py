"""Writes a trained segmenter's folder: the Keras model, its graph for OpenVINO, and the manifest."""

import dataclasses
import datetime as dt
import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cxr_keras3.backend.openvino_graph import GRAPH
from cxr_keras3.base import files, records
from cxr_keras3.base.errors import UserError
from cxr_keras3.base.version import package_versions
from cxr_keras3.lungs import exporting, segmenter
from cxr_keras3.lungs.measures import dice
from cxr_keras3.lungs.network import BACKBONE
from cxr_keras3.lungs.segmenter import MANIFEST, MODEL, Segmenter, SegmenterManifest, cleaned
from cxr_keras3.lungs.training import Schedule, outlines

LICENCE = "for research; learnt from lung masks under CC BY 4.0, see the data card of tfds_cxr for the films' terms"
LEAST_AGREEMENT = 0.99
"""Least mean Dice of the exported graph's outlines with the Keras model's, in the precision that serves."""


def save(
    model: keras.Model,
    folder: Path,
    *,
    schedule: Schedule,
    data: Mapping[str, Any],
    validation_dice: float,
    films: np.ndarray,
) -> Segmenter:
    """Writes a segmenter's folder; the manifest last, without which it is none.

    Args:
        model: From `training.train`.
        folder: Made where missing.
        schedule: How it was trained.
        data: See `SegmenterManifest`.
        validation_dice: See `SegmenterManifest`.
        films: uint8 (N, 299, 299, 1), on which the exported graph must outline what the model does.

    Raises:
        UserError: Where it does not; the model is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with files.replacing(folder / MODEL) as written:
        model.save(written)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as child:
        child.submit(exporting.export, folder).result()
    manifest = SegmenterManifest(
        schema_version=segmenter.SCHEMA_VERSION,
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        backend=keras.backend.backend(),
        backbone=BACKBONE,
        schedule=dataclasses.asdict(schedule),
        data=data,
        validation_dice=validation_dice,
        packages=package_versions(),
        licence=LICENCE,
        checksums=files.checksums([folder / GRAPH, (folder / GRAPH).with_suffix(".bin")]),
    )
    _require_alike(model, Segmenter(folder, manifest), films)
    records.write(folder / MANIFEST, manifest)
    return Segmenter.open(folder)


def _require_alike(model: keras.Model, exported: Segmenter, films: np.ndarray) -> None:
    expected = [cleaned(found) for found in outlines(model, films)]
    found = exported.outline(films, task="parity: openvino")
    agreement = float(np.mean([dice(one, other) for one, other in zip(expected, found, strict=True)]))
    if agreement < LEAST_AGREEMENT:
        raise UserError(
            f"the exported segmenter must outline what the Keras model does (mean Dice at least {LEAST_AGREEMENT}), on "
            f"{len(films)} films it is {agreement:.3f}; train with another seed"
        )
