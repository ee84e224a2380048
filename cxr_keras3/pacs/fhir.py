"""The report as HL7 FHIR R4 resources, by HL7's guide for DICOM SR (TID 1500), and where they are sent.

The guide is written for FHIR R5. What R4 lacks is said as R4 says it: the film of a measurement group is named by a
reference to the study, since R4 has no ImagingSelection.
"""

import datetime as dt
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from pydicom.dataset import Dataset

from cxr_keras3.base import files
from cxr_keras3.pacs import connection

TOKEN = "CXR_FHIR_TOKEN"  # noqa: S105 -- the name of a variable
MEDIA_TYPE = "application/fhir+json"
_SYSTEMS = {
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "SCT": "http://snomed.info/sct",
    "UCUM": "http://unitsofmeasure.org",
    "LN": "http://loinc.org",
}
_DICOM_UID, _URI = "urn:dicom:uid", "urn:ietf:rfc3986"
_IDENTIFIER_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
_MEASUREMENTS, _GROUP, _FINDING, _COMMENT = "126010", "125007", "121071", "121106"  # concept names of DCM
_FINDING_SITE = "363698007"  # of SNOMED CT

Resource = dict[str, Any]


def bundle(report: Dataset) -> Resource:
    """Turns a report into resources.

    Args:
        report: A DICOM SR of template TID 1500, such as `structured_report.build_report` makes.

    Returns:
        A transaction Bundle, as JSON holds it: a Device, a DiagnosticReport, and for each measurement group an
        Observation with one for each of its measurements and evaluations. Patient, order and imaging study are named
        by their identifiers. The same report gives the same bundle, and each entry replaces what was sent before.
    """
    mapping = _Mapping(report)
    device = mapping.device()
    observations: list[Resource] = []
    results = []
    for number, group in enumerate(_groups(report), 1):
        members = list(mapping.members(group, str(number)))
        found = mapping.group(group, str(number), members)
        observations += [*members, found]
        results.append(found)
    resources = [device, *observations, mapping.diagnostic_report(results)]
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [_entry(resource) for resource in resources],
    }


class _Mapping:
    """What all resources of a report share."""

    def __init__(self, report: Dataset) -> None:
        self._report = report
        self._uid = str(report.SOPInstanceUID)
        schemes = report.get("CodingSchemeIdentificationSequence", [])
        stated = {item.CodingSchemeDesignator: f"urn:oid:{item.CodingSchemeUID}" for item in schemes if _has_uid(item)}
        self._systems = stated | _SYSTEMS
        self._status = "final" if report.get("PreliminaryFlag") == "FINAL" else "preliminary"
        self._shared: Resource = {
            "status": self._status,
            **({"subject": subject} if (subject := _subject(report)) else {}),
            **({"basedOn": [order]} if (order := _order(report)) else {}),
            **({"effectiveDateTime": when} if (when := _study_date(report)) else {}),
            "issued": _issued(report),
        }
        self._study = {"type": "ImagingStudy", "identifier": _uid_identifier(report.StudyInstanceUID)}

    def device(self) -> Resource:
        """The software and model that made the report."""
        report = self._report
        return {
            "resourceType": "Device",
            "identifier": [_uid_identifier(report.DeviceUID)],
            "manufacturer": report.Manufacturer,
            "serialNumber": report.DeviceSerialNumber,
            "deviceName": [{"name": report.ManufacturerModelName, "type": "model-name"}],
            "version": [{"value": str(report.SoftwareVersions)}],
        }

    def group(self, group: Dataset, place: str, members: list[Resource]) -> Resource:
        """The Observation of a measurement group, which has a film's measurements and evaluations as its members."""
        finding = next((_code(item) for item in _items(group, "CODE") if _name(item) == _FINDING), None)
        site = next((_code(item) for item in _items(group, "CODE") if _name(item) == _FINDING_SITE), None)
        notes = [{"text": str(item.TextValue)} for item in _items(group, "TEXT") if _name(item) == _COMMENT]
        return {
            **self._observation(place),
            "category": [self._concept(group.ConceptNameCodeSequence[0])],
            "code": self._concept(_dcm(_FINDING, "Finding")),
            "hasMember": [{"reference": _url(member), "type": "Observation"} for member in members],
            **({"valueCodeableConcept": self._concept(finding)} if finding else {}),
            **({"bodySite": self._concept(site)} if site else {}),
            **({"note": notes} if notes else {}),
        }

    def members(self, group: Dataset, place: str) -> Iterator[Resource]:
        """An Observation for each measurement, evaluation and text of a group; the finding is the group's own value."""
        apart = (_FINDING, _FINDING_SITE, _COMMENT)
        contained = [item for item in group.ContentSequence if item.RelationshipType == "CONTAINS"]
        for number, item in enumerate(contained, 1):
            if _name(item) not in apart and (value := self._value(item)):
                code = self._concept(item.ConceptNameCodeSequence[0])
                yield {**self._observation(f"{place}.{number}"), "code": code, **value}

    def diagnostic_report(self, results: list[Resource]) -> Resource:
        """The report itself: its results, and in words what they come to."""
        concepts = [result["valueCodeableConcept"] for result in results if "valueCodeableConcept" in result]
        said = [f"{place}: {concept['coding'][0]['display']}" for place, concept in enumerate(concepts, 1)]
        notes = [note["text"] for result in results for note in result.get("note", [])]
        conclusion = ". ".join(dict.fromkeys([*(f"Film {each}" for each in said), *notes]))
        return {
            "resourceType": "DiagnosticReport",
            "identifier": [_uid_identifier(self._uid)],
            **self._shared,
            "category": [_concept("http://terminology.hl7.org/CodeSystem/v2-0074", "RAD", "Radiology")],
            "code": _concept("http://loinc.org", "18748-4", "Diagnostic imaging study"),
            "imagingStudy": [self._study],
            "result": [{"reference": _url(result), "type": "Observation"} for result in results],
            **({"conclusion": conclusion} if conclusion else {}),
            **({"conclusionCode": concepts} if concepts else {}),
        }

    def _observation(self, place: str) -> Resource:
        identifier = {"system": _URI, "value": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, f'{self._uid}/{place}')}"}
        device = {"type": "Device", "identifier": _uid_identifier(self._report.DeviceUID)}
        return {
            "resourceType": "Observation",
            "identifier": [identifier],
            **self._shared,
            "partOf": [self._study],
            "derivedFrom": [self._study],
            "device": device,
        }

    def _value(self, item: Dataset) -> Resource:
        """The value of a content item; nothing where it is of a kind that an Observation does not hold."""
        if item.ValueType == "CODE":
            return {"valueCodeableConcept": self._concept(_code(item))}
        if item.ValueType == "TEXT":
            return {"valueString": str(item.TextValue)}
        if item.ValueType == "NUM":
            (measured,) = item.MeasuredValueSequence
            (unit,) = measured.MeasurementUnitsCodeSequence
            value = float(measured.get("FloatingPointValue", measured.NumericValue))
            quantity = {"value": value, "unit": unit.CodeMeaning, "system": _SYSTEMS["UCUM"], "code": unit.CodeValue}
            return {"valueQuantity": quantity}
        return {}

    def _concept(self, code: Dataset) -> Resource:
        system = self._systems.get(code.CodingSchemeDesignator, f"urn:dicom:scheme:{code.CodingSchemeDesignator}")
        return _concept(system, code.CodeValue, code.CodeMeaning)


def _groups(report: Dataset) -> Iterator[Dataset]:
    for item in report.ContentSequence:
        if _name(item) == _MEASUREMENTS:
            yield from (group for group in item.ContentSequence if _name(group) == _GROUP)


def _items(group: Dataset, value_type: str) -> list[Dataset]:
    return [item for item in group.ContentSequence if item.ValueType == value_type]


def _name(item: Dataset) -> str:
    sequence = item.get("ConceptNameCodeSequence")
    return str(sequence[0].CodeValue) if sequence else ""


def _code(item: Dataset) -> Dataset:
    code: Dataset = item.ConceptCodeSequence[0]
    return code


def _dcm(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code


def _concept(system: str, code: str, display: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _has_uid(item: Dataset) -> bool:
    return "CodingSchemeDesignator" in item and "CodingSchemeUID" in item


def _uid_identifier(uid: str) -> Resource:
    return {"system": _DICOM_UID, "value": f"urn:oid:{uid}"}


def _subject(report: Dataset) -> Resource:
    """The patient, by the identifier that the header states; nothing where it states none."""
    number = str(report.get("PatientID") or "").strip()
    if not number:
        return {}
    issuer = str(report.get("IssuerOfPatientID") or "").strip()
    assigner = {"assigner": {"display": issuer}} if issuer else {}
    return {"type": "Patient", "identifier": {"value": number, **assigner}}


def _order(report: Dataset) -> Resource:
    number = str(report.get("AccessionNumber") or "").strip()
    kind = {"coding": [{"system": _IDENTIFIER_TYPES, "code": "ACSN"}]}
    return {"type": "ServiceRequest", "identifier": {"type": kind, "value": number}} if number else {}


def _study_date(report: Dataset) -> str:
    try:
        return dt.datetime.strptime(str(report.get("StudyDate") or ""), "%Y%m%d").date().isoformat()  # noqa: DTZ007
    except ValueError:  # a hospital's header may hold anything
        return ""


def _issued(report: Dataset) -> str:
    """When the report was made; it states local time, and FHIR wants to know which."""
    stated = f"{report.ContentDate}{str(report.ContentTime).split('.')[0]}"
    return dt.datetime.strptime(stated, "%Y%m%d%H%M%S").astimezone().isoformat()


def _url(resource: Resource) -> str:
    """The name of a resource within its bundle, the same each time."""
    value = resource["identifier"][0]["value"]
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, resource['resourceType'] + value)}"


def _entry(resource: Resource) -> Resource:
    kind, identifier = resource["resourceType"], resource["identifier"][0]
    query = f"{kind}?identifier={identifier['system']}|{identifier['value']}"
    return {"fullUrl": _url(resource), "resource": resource, "request": {"method": "PUT", "url": query}}


class Receiver(Protocol):
    """Takes the bundle of a report."""

    def __call__(self, report: Dataset) -> None:
        """Sends or writes it.

        Raises:
            RefusedError: Where a server does not take it.
        """
        ...


def receiver(target: str, *, ca_bundle: Path | None) -> Receiver:
    """Makes what sends bundles to a server, or writes them into a folder.

    Args:
        target: The base address of a FHIR R4 server, or a folder. A bearer token is read from the environment
            (`TOKEN`) and travels over https or loopback only.
        ca_bundle: PEM file of the authorities that may vouch for the server; the usual ones when None.

    Raises:
        UserError: Where the address is none that may be used.
    """
    if "://" not in target:
        folder = Path(target)
        folder.mkdir(parents=True, exist_ok=True)
        return lambda report: files.write_json(folder / f"{report.SOPInstanceUID}.json", bundle(report))
    session = connection.session(
        "--fhir", target, auth=lambda: connection.token_authentication(TOKEN), ca_bundle=ca_bundle
    )

    def send(report: Dataset) -> None:
        headers = {"Content-Type": MEDIA_TYPE, "Accept": MEDIA_TYPE}
        body = json.dumps(bundle(report))
        try:
            with connection.asking("storage of a FHIR bundle"):
                answer = session.post(target.rstrip("/"), data=body, headers=headers, timeout=connection.TIMEOUT)
                answer.raise_for_status()
        except connection.ServerAwayError as error:  # which the archive is not: other studies can be answered
            raise connection.RefusedError(str(error)) from error

    return send
