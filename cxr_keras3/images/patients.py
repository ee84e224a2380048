"""Which films are of one patient, without a word of who that is."""

import datetime as dt
import hashlib
import hmac
import io
from dataclasses import dataclass

import pydicom

HEADER_BYTES = 2**18
"""Of a DICOM file that are looked at: what stands before the pixels of a radiograph has some kilobytes."""
_TAGS = ["PatientID", "IssuerOfPatientID", "StudyDate", "AcquisitionDate", "ContentDate"]


@dataclass(frozen=True)
class Taken:
    """Of whom a film is, and of when.

    Attributes:
        patient: HMAC-SHA-256 of patient ID and issuer, in hexadecimal: equal for films of one patient, and nothing to
            those who lack the key.
        day: Number of the day, see `datetime.date.toordinal`; None where the header says none.
    """

    patient: str
    day: int | None


def taken(data: bytes, *, key: bytes) -> Taken | None:
    """Reads whose film a DICOM file is; None of one that does not say, and of other files.

    Args:
        data: The file's first `HEADER_BYTES`, or all of it.
        key: Secret, of one use, so that what is returned can be compared there and nowhere else.
    """
    if data[128:132] != b"DICM":
        return None
    try:
        header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, specific_tags=list(_TAGS))
        patient = str(header.get("PatientID") or "").strip()
        issuer = str(header.get("IssuerOfPatientID") or "").strip()
        days = [_day(str(header.get(name) or "")) for name in _TAGS[2:]]
    except Exception:  # noqa: BLE001 -- a damaged header raises almost anything; the film is then nobody's
        return None
    if not patient:
        return None
    digest = hmac.new(key, f"{issuer}\0{patient}".encode(), hashlib.sha256).hexdigest()
    return Taken(digest, next(filter(None, days), None))


def _day(date: str) -> int | None:
    """The number of a day that DICOM writes as YYYYMMDD."""
    try:
        return dt.datetime.strptime(date, "%Y%m%d").replace(tzinfo=dt.UTC).toordinal()
    except ValueError:
        return None
