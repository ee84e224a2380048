"""Making a trained run ready to serve: its export to OpenVINO and its gate."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cxr_keras3.backend import selection
from cxr_keras3.base import progress
from cxr_keras3.base.errors import UserError
from cxr_keras3.lungs.showing import Showing
from cxr_keras3.run import gate
from cxr_keras3.run.folder import GATE, Run
from cxr_keras3.serving import batches, runtimes
from cxr_keras3.training.mixture import TRAINED, Mixture
from tfds_cxr import reading
from tfds_cxr.tfds_cxr_dataset_builder import Builder

MAX_COMPARED = 512
"""Validation images that an export is compared with the model on."""


def finish(run_dir: Path, builder: Builder) -> None:
    """Exports a run to OpenVINO, and fits its gate on the exported model's features.

    Call it after the calibration, which the export holds. The export runs in a process of its own, since it needs Keras
    on TensorFlow.

    Args:
        run_dir: A folder with model, manifest and, where the run is calibrated, calibration.
        builder: The dataset that the run was trained on.

    Raises:
        UserError: Where the export fails.
    """
    data_dir = builder.data_path.parents[1]  # <data_dir>/tfds_cxr/<version>
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as child:
        try:
            child.submit(export_to_openvino, run_dir, data_dir).result()
        except UserError as error:
            raise UserError(
                f"the run {run_dir} is trained, but cannot be exported to OpenVINO: {error}; evaluate and predict take "
                "it with --runtime jax"
            ) from error
    fit_gate(Run.open(run_dir), builder)


def export_to_openvino(run_dir: Path, data_dir: Path) -> None:
    """Exports a run, checked on the validation split of its dataset; starts Keras on TensorFlow in this process."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # the training that waits for this may hold the GPU
    selection.select("tensorflow")
    from cxr_keras3.serving import exporting  # noqa: PLC0415 -- only now is the backend chosen

    run = Run.open(run_dir)
    films, source = validation_films(run, data_dir)
    exporting.export(run, "openvino", films=films, source=source)


def validation_films(run: Run, data_dir: Path | None) -> tuple[npt.NDArray[np.uint8], str]:
    """Images of the validation split of a run's dataset, evenly spaced, and where they come from, in words.

    Args:
        run: The run.
        data_dir: Folder of built datasets; TFDS's default when None.

    Returns:
        uint8 (N, 299, 299, 1), N at most `MAX_COMPARED`, and the words.
    """
    builder = reading.find(data_dir)
    run.require_trained_on(builder)
    count = builder.info.splits["validation"].num_examples
    chosen = set(np.linspace(0, count - 1, min(count, MAX_COMPARED)).astype(int).tolist())
    rows = enumerate(reading.read(builder, "validation", encoded=("mask",)))
    films = [image for _, image in Showing.of(run).shown(row for index, row in rows if index in chosen)]
    return np.stack(films), f"validation split of {builder.name} {builder.version}"


def fit_gate(run: Run, builder: Builder) -> None:
    """Fits and writes the gate of a run that is exported to OpenVINO."""
    fast = runtimes.load_runtime(run, "openvino")
    exact = runtimes.load_runtime(run, "openvino", precision="float32")
    served = [exact] if fast.description == exact.description else [exact, fast]
    showing, mixture = Showing.of(run), Mixture.of(builder, run.manifest.collections)
    train, validation = (mixture.load(split, showing=showing).images for split in TRAINED)
    fitted = gate.fit(
        batches.run(exact, train, task="features of the training images").features,
        *(batches.run(each, validation, task="features of the validation images").features for each in served),
        images_train=train,
    )
    gate.save(fitted, run.folder / GATE)
    progress.say(f"gate: {run.folder / GATE}")
