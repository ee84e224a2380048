"""The answer as a DICOM Structured Report: template TID 1500, a measurement group for each film that was scored."""

from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from cxr_keras3.pacs.documents import MANUFACTURER, STATEMENT, bare_source, common, inherit
from cxr_keras3.pacs.films import ScoredFilm
from cxr_keras3.pacs.identity import ascii_name, uid
from cxr_keras3.run.folder import Run

SERIES_NUMBER = 9901
SCHEME = "99CXRK"
"""Our own codes. The model's classes are those of one database, not diagnoses: a code of SNOMED CT for COVID-19
would let other systems count the report as one."""

PROBABILITY = "P:"  # and the class's name
ABNORMAL = Code("ABNORMAL", SCHEME, "Abnormal score: probability of any class but Normal")
THRESHOLD = Code("THRESHOLD", SCHEME, "Operating point: abnormal score from which a film is flagged")
SENSITIVITY = Code("SENSITIVITY", SCHEME, "Operating point: share of abnormal validation films flagged")
FLAG = Code("FLAG", SCHEME, "Flagged for a reader to look first")
PREDICTED = Code("PREDICTED", SCHEME, "Most probable class")
IN_SET = Code("SET90", SCHEME, "Class that cannot be ruled out at a coverage of 90 %")
NO_CLASS = Code("NONE", SCHEME, "none of the classes")
EVIDENCE = Code("EVIDENCE", SCHEME, "Share of the evidence for that class that lies in the lungs")
CHEST_FILM = Code("399208008", "SCT", "Plain X-ray of chest")
_NO_UNIT = Code("1", "UCUM", "no units")


def class_code(name: str) -> Code:
    """The code of one of the model's classes."""
    return Code(name.replace(" ", ""), SCHEME, name)


def probability_code(name: str) -> Code:
    """The code of the calibrated probability of a class."""
    return Code(PROBABILITY + name.replace(" ", ""), SCHEME, f"Probability of the class {name}")


def build_report(films: list[ScoredFilm], run: Run, *, version: str) -> Dataset:
    """Makes the report of a study.

    Args:
        films: The films of one study that were scored, at least one.
        run: What scored them.
        version: Of cxr_keras3.

    Returns:
        A Comprehensive SR, complete and not verified, with patient and study as the first film states them.
    """
    source = films[0].source
    study = str(source.StudyInstanceUID)
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=uid(run, "device"),
        name=f"cxr_keras3 {ascii_name(run)}",
        manufacturer_name=MANUFACTURER,
        model_name=ascii_name(run),
    )
    observer = sr.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=CHEST_FILM,
        imaging_measurements=[_group(film, number, run, version) for number, film in enumerate(films, 1)],
    )
    scheme = CodingSchemeIdentificationItem(SCHEME, name="cxr_keras3", responsible_organization=MANUFACTURER)
    report = sr.ComprehensiveSR(
        evidence=[bare_source(film.source) for film in films],
        content=content[0],
        series_instance_uid=uid(run, study, "report series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid(run, study, "report"),
        instance_number=1,
        is_complete=True,
        coding_schemes=[scheme],
        series_description="cxr_keras3 report, research only",
        **common(run, version),
    )
    inherit(report, source)
    return report


def _group(film: ScoredFilm, number: int, run: Run, version: str) -> sr.MeasurementsAndQualitativeEvaluations:
    prediction, source = film.prediction, film.source
    measured = {probability_code(name): value for name, value in prediction.probabilities.items()}
    measured[ABNORMAL] = float(prediction.abnormal_score or 0.0)
    if prediction.evidence_in_lungs is not None:
        measured[EVIDENCE] = prediction.evidence_in_lungs
    stated = [(PREDICTED, class_code(prediction.predicted))]
    if run.calibration:
        measured[THRESHOLD] = run.calibration.abnormal_threshold
        measured[SENSITIVITY] = run.calibration.sensitivity
        stated.append((FLAG, codes.SCT.Yes if prediction.flag else codes.SCT.No))
        in_set = [class_code(name) for name in prediction.prediction_set or ()]
        stated += [(IN_SET, code) for code in in_set or [NO_CLASS]]
    tracking = sr.TrackingIdentifier(uid=uid(run, str(source.SOPInstanceUID), "film"), identifier=f"film {number}")
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking,
        algorithm_id=sr.AlgorithmIdentification(
            name=f"cxr_keras3 {ascii_name(run)}",
            version=version,
            parameters=[f"model fingerprint {run.fingerprint}"],
            manufacturer=MANUFACTURER,
        ),
        measurements=[sr.Measurement(name=name, value=value, unit=_NO_UNIT) for name, value in measured.items()],
        qualitative_evaluations=[sr.QualitativeEvaluation(name, value) for name, value in stated],
        source_images=[sr.SourceImageForMeasurementGroup(source.SOPClassUID, source.SOPInstanceUID)],
    )
    for text in (STATEMENT, *prediction.warnings):
        comment = sr.TextContentItem(codes.DCM.Comment, text, relationship_type=sr.RelationshipTypeValues.CONTAINS)
        group[0].ContentSequence.append(comment)
    return group
