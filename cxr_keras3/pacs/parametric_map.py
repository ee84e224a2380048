"""What each place of a film adds to each class, as a DICOM Parametric Map, one for each film that was scored."""

import numpy as np
from highdicom import PixelMeasuresSequence, PlaneOrientationSequence, PlanePositionSequence, VOILUTTransformation
from highdicom.enum import CoordinateSystemNames
from highdicom.pm import ParametricMap, RealWorldValueMapping
from pydicom.dataset import Dataset

from cxr_keras3.pacs.codes import NO_UNIT, contribution_code
from cxr_keras3.pacs.documents import bare_source, common, complete
from cxr_keras3.pacs.films import ScoredFilm
from cxr_keras3.pacs.identity import uid
from cxr_keras3.run.folder import Run

SERIES_NUMBER = 9904
FRONTAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
"""Of an upright frontal film as it is shown: rows run to the patient's left, columns to the feet."""
_SPACING = ("ImagerPixelSpacing", "PixelSpacing")
_ANY_VALUE = (-1e9, 1e9)


def build_maps(films: list[ScoredFilm], run: Run, *, version: str) -> list[Dataset]:
    """Makes the maps of a study.

    A film of projection has no place in the patient, and the object must have one. So each film gets a frame of
    reference of its own, in which its first pixel is the origin: it says where on the film a place lies, and nothing
    can be laid over anything else by it.

    Args:
        films: The films of one study that were scored.
        run: What scored them.
        version: Of cxr_keras3.

    Returns:
        For each film a Parametric Map with a frame for each class, float32 in logits, as fine as the model's own map,
        with the patient and the study as the film states them.
    """
    return [_build(film, number, run, version=version) for number, film in enumerate(films, 1)]


def _build(film: ScoredFilm, number: int, run: Run, *, version: str) -> Dataset:
    maps = film.prediction.activation_maps
    if maps is None:
        raise ValueError("a film that was refused has no map")
    source, names = film.source, tuple(maps)
    study, instance = str(source.StudyInstanceUID), str(source.SOPInstanceUID)
    frames = np.stack([maps[name] for name in names], axis=-1).astype(np.float32)
    row, column = _pixel_spacing(source)
    height, width = film.pixels.shape
    down, across = row * height / frames.shape[0], column * width / frames.shape[1]
    image = bare_source(source)
    image.Rows, image.Columns = height, width
    image.FrameOfReferenceUID = uid(run, instance, "frame of reference")
    image.ImageOrientationPatient, image.ImagePositionPatient = list(FRONTAL), [0.0, 0.0, 0.0]
    image.PixelSpacing, image.SliceThickness = [row, column], 1.0
    largest = max(float(np.abs(frames).max()), 1e-6)
    parametric = ParametricMap(
        source_images=[image],
        pixel_array=frames[np.newaxis],
        real_world_value_mappings=[[_mapping(name)] for name in names],
        pixel_measures=PixelMeasuresSequence(pixel_spacing=(down, across), slice_thickness=1.0),
        plane_orientation=PlaneOrientationSequence(CoordinateSystemNames.PATIENT, FRONTAL),
        plane_positions=[
            PlanePositionSequence(CoordinateSystemNames.PATIENT, ((across - column) / 2, 0.0, (row - down) / 2))
        ],
        voi_lut_transformations=[VOILUTTransformation(window_center=0.0, window_width=2.0 * largest)],
        contains_recognizable_visual_features=False,
        series_instance_uid=uid(run, study, "map series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid(run, instance, "map"),
        instance_number=number,
        series_description="cxr_keras3 class activation maps, research only",
        content_label="ACTIVATION",
        content_description="What each place adds to each class's logit",
        **common(run, version),
    )
    parametric.BodyPartExamined = "CHEST"  # which has no side, so no Laterality
    complete(parametric, source, run)
    return parametric


def _mapping(name: str) -> RealWorldValueMapping:
    code = contribution_code(name)
    return RealWorldValueMapping(
        lut_label=code.value[:16],
        lut_explanation=code.meaning[:64],
        unit=NO_UNIT,
        value_range=_ANY_VALUE,
        slope=1.0,
        intercept=0.0,
        quantity_definition=code,
    )


def _pixel_spacing(source: Dataset) -> tuple[float, float]:
    """Between rows and between columns of the film, in millimetres at the detector; 1 where it states none."""
    for keyword in _SPACING:
        stated = source.get(keyword)
        if stated and len(stated) == 2 and min(float(value) for value in stated) > 0.0:
            return float(stated[0]), float(stated[1])
    return 1.0, 1.0
