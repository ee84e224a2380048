"""What all that is stored has in common: who made it, whose it is, and what it is not for."""

from typing import Any

from pydicom.dataset import Dataset

from cxr_keras3.pacs.identity import ascii_name, uid
from cxr_keras3.run.folder import Run

MANUFACTURER = "cxr_keras3"
STATEMENT = "Research only, not for diagnosis. Not a medical device. No clinician has verified this result."
_LONGEST = 64  # characters of a value of representation LO
_TYPE_2 = (  # must be there, and may be empty (PS3.3 C.7.1.1 and C.7.2.1)
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber"),
)
_INHERITED = (
    *("SpecificCharacterSet", "StudyInstanceUID", *_TYPE_2),
    *("IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "OtherPatientIDsSequence", "PatientBirthTime"),
    *("IssuerOfAccessionNumberSequence", "StudyDescription", "PatientAge", "PatientSize", "PatientWeight"),
)


def common(run: Run, version: str) -> dict[str, Any]:
    """The arguments that highdicom takes for equipment and purpose."""
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": ascii_name(run)[:_LONGEST],
        "software_versions": version,
        "device_serial_number": run.fingerprint,
        "content_qualification": "RESEARCH",
    }


def bare_source(source: Dataset) -> Dataset:
    """A source's unique identifiers without its patient.

    highdicom checks what patient and study say, refuses what does not conform and logs a name it finds odd.
    Hospitals' headers are what they are; `complete` copies them as they stand.
    """
    bare = Dataset()
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
        setattr(bare, keyword, source[keyword].value)
    for keyword in _TYPE_2:
        setattr(bare, keyword, "")
    return bare


def complete(document: Dataset, source: Dataset, run: Run) -> None:
    """Gives a document the patient and the study of its source, unchanged, and the identity of the device."""
    for keyword in _INHERITED:
        if keyword in source:
            document[keyword] = source[keyword]
        elif keyword in _TYPE_2:
            setattr(document, keyword, "")
        elif keyword in document:
            delattr(document, keyword)
    document.DeviceUID = uid(run, "device")
