"""The coded concepts of report, map and FHIR resources: the standard's where it has them, else our own."""

import hashlib

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

SCHEME = "99CXRK"
"""Our own codes. The model's classes are those of one database, not diagnoses: a code of SNOMED CT for COVID-19
would let other systems count the report as one."""

SCHEME_UID = "2.25.285943765383163383203872027058272999499"
"""Names the scheme where a designator of our own choice cannot."""

NO_UNIT = codes.UCUM.NoUnits
CHEST_FILM = Code("399208008", "SCT", "Plain X-ray of chest")
CHEST = Code("51185008", "SCT", "Thoracic structure")

ABNORMAL = Code("ABNORMAL", SCHEME, "Abnormal score, 0 to 1")
THRESHOLD = Code("THRESHOLD", SCHEME, "Operating point: abnormal score from which a film is flagged")
SENSITIVITY = Code("SENSITIVITY", SCHEME, "Operating point: share of abnormal validation films flagged")
EVIDENCE = Code("EVIDENCE", SCHEME, "Share of the evidence for that class that lies in the lungs")
FLAG = Code("FLAG", SCHEME, "Flagged for a reader to look first")
PREDICTED = Code("PREDICTED", SCHEME, "Class that the model names")
IN_SET = Code("SET90", SCHEME, "Class that cannot be ruled out at a coverage of 90 %")
NO_CLASS = Code("NONE", SCHEME, "none of the classes")
MODEL = Code("MODEL", SCHEME, "Model that answered")
SITE = Code("SITE", SCHEME, "Profile of the hospital by which the model answered")
WITHHELD = Code("WITHHELD", SCHEME, "Class withheld: nothing evidences it")
REASON = Code("REASON", SCHEME, "Why the class is withheld")

FLAGGED = Code("FLAGGED", SCHEME, "Abnormal: read first")
NOT_FLAGGED = Code("NOTFLAGGED", SCHEME, "Nothing above the threshold")
"""The finding of a film, which is the flag; a run without calibration states none."""


def class_code(name: str) -> Code:
    """The code of one of the model's classes."""
    return Code(name.replace(" ", ""), SCHEME, name)


def probability_code(name: str) -> Code:
    """The code of the calibrated probability of a class."""
    return Code("P:" + name.replace(" ", ""), SCHEME, f"Probability of the class {name}")


def contribution_code(name: str) -> Code:
    """The code of what each place of a film adds to the logit of a class."""
    return Code("MAP:" + name.replace(" ", "")[:12], SCHEME, f"Contribution to the logit of the class {name}")


def model_code(name: str, fingerprint: str) -> Code:
    """The code of a model: its fingerprint, which tells it from any other, with its name."""
    return Code(fingerprint, SCHEME, name[:64])


def site_code(name: str) -> Code:
    """The code of a site profile: a digest of its name, which may be long or in any script."""
    return Code(hashlib.sha256(name.encode()).hexdigest()[:16], SCHEME, name[:64].encode("ascii", "replace").decode())
