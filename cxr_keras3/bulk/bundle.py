"""A run, packed to travel: the machines of a cluster need not see the disk that it is on."""

import io
import json
import zipfile
from dataclasses import asdict
from pathlib import Path

from cxr_keras3.base.errors import UserError
from cxr_keras3.run.folder import ABNORMALITY, CALIBRATION, GATE, MANIFEST, MODEL, Run
from cxr_keras3.run.site import FILE


def pack(run: Run, runtime: str) -> bytes:
    """Packs what a runtime needs of a run, and its site profile, as a zip.

    Raises:
        UserError: Where the run lacks it.
    """
    model = run.export_folder("openvino") if runtime == "openvino" else run.folder / MODEL
    if not model.exists():
        raise UserError(f"the runtime {runtime} needs {model}, which is not there; train or export the run again")
    files = [run.folder / name for name in (MANIFEST, CALIBRATION, ABNORMALITY, GATE)]
    files += sorted(model.rglob("*")) if model.is_dir() else [model]
    if run.segmenter_folder is not None:
        files += sorted(run.segmenter_folder.iterdir())
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        if run.site is not None:
            archive.writestr(FILE, json.dumps(asdict(run.site)))
        for file in files:
            if file.is_file():
                archive.write(file, file.relative_to(run.folder).as_posix())
    return content.getvalue()


def unpack(content: bytes, folder: Path) -> None:
    """Lays the files out as a run folder."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder)
