"""Which model answers, and the unique identifiers of what it stores: the same each time, so nothing is stored twice."""

import hashlib
import uuid
from dataclasses import dataclass
from pathlib import Path

from cxr_keras3.run import artifact, calibration

_NAMESPACE = uuid.UUID("5d0f4bb6-5c1e-5b0c-9c54-1f0a9a3e7c52")  # drawn once; another would give all stored UIDs anew
_DECIDING = (artifact.MANIFEST, artifact.CALIBRATION, artifact.GATE)


@dataclass(frozen=True)
class Model:
    """The run that answers.

    Attributes:
        name: The run's name in printable ASCII, which any DICOM character set holds.
        fingerprint: 16 hexadecimal digits of SHA-256 over what decides its answers: manifest (with the time of
            training), calibration and gate. An export or an upgrade of this package does not change it.
        calibration: None where the run has none.
    """

    name: str
    fingerprint: str
    calibration: calibration.Calibration | None

    def uid(self, *parts: str) -> str:
        """The unique identifier of something of this model's, a UUID (RFC 9562, version 5) as DICOM writes it.

        Args:
            parts: What tells it from the model's other things, such as the study's UID and "report".
        """
        return f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join((self.fingerprint, *parts))).int}"


def load(run_dir: Path) -> Model:
    """Reads the identity of a run.

    Raises:
        UserError: Where the folder is not a finished run.
    """
    manifest = artifact.load_manifest(run_dir)
    digest = hashlib.sha256()
    for name in _DECIDING:
        content = (run_dir / name).read_bytes() if (run_dir / name).exists() else b""
        digest.update(hashlib.sha256(content).digest())
    path = run_dir / artifact.CALIBRATION
    return Model(
        name="".join(letter if letter.isprintable() and letter != "\\" else "?" for letter in _ascii(manifest.name)),
        fingerprint=digest.hexdigest()[:16],
        calibration=calibration.load(path) if path.exists() else None,
    )


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()
