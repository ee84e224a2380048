"""The answer as a DICOM Structured Report: template TID 1500, a measurement group for each film that was scored."""

from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from cxr_keras3.pacs.codes import (
    ABNORMAL,
    CHEST,
    CHEST_FILM,
    EVIDENCE,
    FLAG,
    FLAGGED,
    IN_SET,
    MODEL,
    NO_CLASS,
    NO_UNIT,
    NOT_FLAGGED,
    PREDICTED,
    REASON,
    SCHEME,
    SCHEME_UID,
    SENSITIVITY,
    SITE,
    THRESHOLD,
    WITHHELD,
    class_code,
    model_code,
    probability_code,
    site_code,
)
from cxr_keras3.pacs.documents import MANUFACTURER, STATEMENT, bare_source, common, complete
from cxr_keras3.pacs.films import ScoredFilm
from cxr_keras3.pacs.identity import ascii_name, uid
from cxr_keras3.run.folder import Run
from cxr_keras3.serving import Prediction

SERIES_NUMBER = 9901


def build_report(films: list[ScoredFilm], run: Run, *, version: str) -> Dataset:
    """Makes the report of a study.

    Args:
        films: The films of one study that were scored, at least one.
        run: What scored them.
        version: Of cxr_keras3.

    Returns:
        A Comprehensive 3D SR, as IHE AI Results asks, complete and not verified, with patient and study as the first
        film states them.
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
    scheme.CodingSchemeUID = SCHEME_UID  # highdicom writes that of registered schemes alone
    report = sr.Comprehensive3DSR(
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
    complete(report, source, run)
    return report


def _group(film: ScoredFilm, number: int, run: Run, version: str) -> sr.MeasurementsAndQualitativeEvaluations:
    prediction, source = film.prediction, film.source
    tracking = sr.TrackingIdentifier(uid=uid(run, str(source.SOPInstanceUID), "film"), identifier=f"film {number}")
    findings = {True: FLAGGED, False: NOT_FLAGGED}
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking,
        algorithm_id=sr.AlgorithmIdentification(
            name=f"cxr_keras3 {ascii_name(run)}",
            version=version,
            parameters=[f"model fingerprint {run.fingerprint}"],
            manufacturer=MANUFACTURER,
        ),
        finding_type=None if prediction.flag is None else findings[prediction.flag],
        finding_sites=[sr.FindingSite(CHEST)],
        measurements=[
            sr.Measurement(name=name, value=value, unit=NO_UNIT) for name, value in _measured(prediction, run).items()
        ],
        qualitative_evaluations=[sr.QualitativeEvaluation(name, value) for name, value in _stated(prediction, run)],
        source_images=[sr.SourceImageForMeasurementGroup(source.SOPClassUID, source.SOPInstanceUID)],
    )
    if prediction.withheld:
        group[0].ContentSequence.append(_text(REASON, prediction.withheld))
    for text in (STATEMENT, *prediction.warnings):
        group[0].ContentSequence.append(_text(codes.DCM.Comment, text))
    return group


def _measured(prediction: Prediction, run: Run) -> dict[Code, float]:
    """All figures of a film, under their codes."""
    measured = {probability_code(name): value for name, value in prediction.probabilities.items()}
    measured[ABNORMAL] = float(prediction.abnormal_score or 0.0)
    if prediction.evidence_in_lungs is not None:
        measured[EVIDENCE] = prediction.evidence_in_lungs
    if run.operating_point:
        measured[THRESHOLD] = run.operating_point.abnormal_threshold
        measured[SENSITIVITY] = run.operating_point.sensitivity
    return measured


def _stated(prediction: Prediction, run: Run) -> list[tuple[Code, Code]]:
    """All that is said of a film in codes: what, and its value."""
    stated = [
        (MODEL, model_code(ascii_name(run), run.fingerprint)),
        (PREDICTED, WITHHELD if prediction.withheld else class_code(prediction.predicted)),
    ]
    if prediction.site:
        stated.append((SITE, site_code(prediction.site)))
    if prediction.flag is not None:
        stated.append((FLAG, codes.SCT.Yes if prediction.flag else codes.SCT.No))
        in_set = [class_code(name) for name in prediction.prediction_set or ()]
        stated += [(IN_SET, code) for code in in_set or [NO_CLASS]]
    return stated


def _text(name: Code, text: str) -> sr.TextContentItem:
    return sr.TextContentItem(name, text, relationship_type=sr.RelationshipTypeValues.CONTAINS)
