"""Unique identifiers of what the gateway stores: the same each time, so that nothing is stored twice."""

import uuid

from cxr_keras3.run.folder import Run

_NAMESPACE = uuid.UUID("5d0f4bb6-5c1e-5b0c-9c54-1f0a9a3e7c52")  # drawn once; another would give all stored UIDs anew


def uid(run: Run, *parts: str) -> str:
    """The unique identifier of something of a run's, a UUID (RFC 9562, version 5) as DICOM writes it.

    Args:
        run: The run that answers.
        parts: What tells it from the run's other things, such as the study's UID and "report".
    """
    return f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join((run.fingerprint, *parts))).int}"


def ascii_name(run: Run) -> str:
    """The run's name in printable ASCII, which any DICOM character set holds."""
    name = run.name.encode("ascii", "replace").decode()
    return "".join(letter if letter.isprintable() and letter != "\\" else "?" for letter in name)
