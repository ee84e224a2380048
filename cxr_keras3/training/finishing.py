"""What a run needs to serve, made at the end of training: the export to OpenVINO and the gate."""

import subprocess
import sys
from pathlib import Path

from cxr_keras3.base import progress
from cxr_keras3.base.errors import UserError
from cxr_keras3.run import artifact, gate
from cxr_keras3.serving import batches, runtimes
from cxr_keras3.training import data
from tfds_cxr.tfds_cxr_dataset_builder import Builder


def finish_run(run_dir: Path, builder: Builder) -> None:
    """Exports a run to OpenVINO, and fits its gate on the exported model's features.

    Call it after the calibration, which the export holds. The export runs in a process of its own, since it
    needs Keras on TensorFlow.

    Args:
        run_dir: A folder with model, manifest and, where the run is calibrated, calibration.
        builder: The dataset that the run was trained on.

    Raises:
        UserError: Where the export fails; what it said stands above.
    """
    data_dir = builder.data_path.parents[1]  # <data_dir>/tfds_cxr/<version>
    command = [sys.executable, "-m", "cxr_keras3.export", run_dir, "--format", "openvino", "--data-dir", data_dir]
    done = subprocess.run(command, check=False)  # noqa: S603 -- our own command
    if done.returncode != 0:
        raise UserError(
            f"the export of {run_dir} to OpenVINO failed, see above; the run itself is complete, and "
            "cxr_keras3.evaluate and cxr_keras3.predict take it with --runtime jax"
        )
    fit_gate(run_dir, builder)


def fit_gate(run_dir: Path, builder: Builder) -> None:
    """Fits and writes the gate of a run that is exported to OpenVINO."""
    folder = runtimes.export_folder(run_dir, "openvino")
    precisions: set[runtimes.Precision] = {"float32", runtimes.choose_precision(folder)}
    served = [runtimes.OpenVINORuntime(folder, precision) for precision in sorted(precisions, reverse=True)]
    train, validation = data.load(builder, "train").images, data.load(builder, "validation").images
    fitted = gate.fit(
        batches.run(served[0], train, task="features of the training images").features,
        *(batches.run(each, validation, task="features of the validation images").features for each in served),
        images_train=train,
    )
    gate.save(fitted, run_dir / artifact.GATE)
    progress.say(f"gate: {run_dir / artifact.GATE}")
