"""The lungs as a DICOM Segmentation, one for each film that was scored."""

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import Segmentation, SegmentationTypeValues, SegmentDescription
from highdicom.seg.enum import SegmentAlgorithmTypeValues
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from cxr_keras3.pacs.documents import MANUFACTURER, bare_source, common, complete
from cxr_keras3.pacs.films import ScoredFilm
from cxr_keras3.pacs.identity import uid
from cxr_keras3.run.folder import Run

SERIES_NUMBER = 9903
SEGMENTS = (("right lung", Code("3341006", "SCT", "Right lung")), ("left lung", Code("44029006", "SCT", "Left lung")))
"""Label and type of each segment, in the order of a prediction's lungs."""

_ARTIFICIAL_INTELLIGENCE = Code("123109", "DCM", "Artificial Intelligence")


def build_segmentations(films: list[ScoredFilm], run: Run, *, version: str) -> list[Dataset]:
    """Makes the segmentations of a study.

    Args:
        films: The films of one study that were scored.
        run: What scored them.
        version: Of cxr_keras3, whose segmenter found the lungs.

    Returns:
        A Segmentation for each film on which lungs were found, binary, at the film's own size, with the patient and the
        study as the film states them.
    """
    return [_build(film, number, run, version=version) for number, film in enumerate(films, 1)]


def _build(film: ScoredFilm, number: int, run: Run, *, version: str) -> Dataset:
    source, lungs = film.source, film.prediction.lungs
    if lungs is None:
        raise ValueError("a film that was refused has no lungs")
    study, height, width = str(source.StudyInstanceUID), *film.pixels.shape
    sides = [Image.fromarray(lungs[..., side]) for side in range(lungs.shape[-1])]
    masks = [np.asarray(side.resize((width, height), Image.Resampling.NEAREST)) for side in sides]
    found = [index for index, mask in enumerate(masks) if mask.any()]
    image = bare_source(source)
    image.Rows, image.Columns = height, width
    segmentation = Segmentation(
        source_images=[image],
        pixel_array=np.stack([masks[index] for index in found], axis=-1)[np.newaxis],
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _description(place, *SEGMENTS[index], version=version) for place, index in enumerate(found, 1)
        ],
        series_instance_uid=uid(run, study, "segmentation series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid(run, str(source.SOPInstanceUID), "segmentation"),
        instance_number=number,
        series_description="cxr_keras3 lungs, research only",
        content_label="LUNGS",
        content_description="Lungs found by a segmenter, for research only",
        **{name: value for name, value in common(run, version).items() if name != "content_qualification"},
    )
    segmentation.ContentQualification = "RESEARCH"
    segmentation.PatientOrientation = source.get("PatientOrientation", "")
    complete(segmentation, source, run)
    return segmentation


def _description(number: int, label: str, kind: Code, *, version: str) -> SegmentDescription:
    return SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=kind,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=f"{MANUFACTURER} lungs", family=_ARTIFICIAL_INTELLIGENCE, version=version
        ),
    )
