"""A run, packed to travel: the machines of a cluster need not see the disk that it is on."""

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

from cxr_keras3.base.errors import UserError
from cxr_keras3.run import artifact
from cxr_keras3.serving import runtimes


@dataclass(frozen=True, eq=False)
class Bundle:
    """What a runtime needs of a run.

    Attributes:
        content: A zip of the files.
        fingerprint: 16 hexadecimal digits of SHA-256 over names and contents of the files: equal for equal answers.
    """

    content: bytes
    fingerprint: str

    def unpack(self, folder: Path) -> None:
        """Lays the files out as a run folder."""
        with zipfile.ZipFile(io.BytesIO(self.content)) as archive:
            archive.extractall(folder)


def pack(run_dir: Path, runtime: str) -> Bundle:
    """Packs what a runtime needs of a run.

    Raises:
        UserError: Where the run lacks it.
    """
    model = runtimes.export_folder(run_dir, "openvino") if runtime == "openvino" else run_dir / artifact.MODEL
    if not model.exists():
        raise UserError(f"the runtime {runtime} needs {model}, which is not there; train or export the run again")
    files = [run_dir / name for name in (artifact.MANIFEST, artifact.CALIBRATION, artifact.GATE)]
    files += sorted(model.rglob("*")) if model.is_dir() else [model]
    content, digest = io.BytesIO(), hashlib.sha256()
    with zipfile.ZipFile(content, "w") as archive:
        for file in files:
            if file.is_file():
                name, data = file.relative_to(run_dir).as_posix(), file.read_bytes()
                archive.writestr(name, data)
                digest.update(f"{name}\n{hashlib.sha256(data).hexdigest()}\n".encode())
    return Bundle(content.getvalue(), digest.hexdigest()[:16])
