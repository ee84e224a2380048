"""What of a run travels to those who only ask it: what answers, and what says how good the answers are."""

from pathlib import Path

from cxr_keras3.run.folder import ABNORMALITY, CALIBRATION, EVALUATION, GATE, MANIFEST, MODEL_CARD, Run

FILES = (MANIFEST, CALIBRATION, ABNORMALITY, GATE, MODEL_CARD)


def shipped_files(run: Run) -> list[Path]:
    """The export to OpenVINO, calibration, gate, evaluation and model card, and the run's own segmenter if it has one.

    What trains on (`model.keras`) is left out, as is the report, for it shows films.
    """
    found = [run.folder / name for name in FILES if (run.folder / name).exists()]
    folders = [run.export_folder("openvino"), run.folder / EVALUATION, run.segmenter_folder]
    for folder in folders:
        inside = sorted(path for path in folder.rglob("*") if path.is_file()) if folder else []
        found += [path for path in inside if folder != run.folder / EVALUATION or path.suffix in {".json", ".csv"}]
    return found
