"""The answer as a picture: the film, the heat map over it, and the figures beside them, as a secondary capture."""

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from highdicom.sc import SCImage
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from cxr_keras3.pacs.documents import STATEMENT, common, complete
from cxr_keras3.pacs.films import ScoredFilm
from cxr_keras3.pacs.identity import ascii_name, uid
from cxr_keras3.run.folder import Run
from cxr_keras3.serving import heat_maps

SERIES_NUMBER = 9902
PAPER, INK, SOFT, LINE, NOTE = "#12191f", "#e4e9ee", "#9fb0bf", "#34424f", "#e0a52e"
SIDE, PANEL, MARGIN, HEAD, FOOT = 600, 330, 24, 64, 60  # pixels
WIDTH, HEIGHT = 2 * SIDE + PANEL + 4 * MARGIN, HEAD + SIDE + 40 + FOOT


def build_capture(films: list[ScoredFilm], run: Run, *, version: str) -> Dataset:
    """Makes the picture of a study's film with the highest abnormal score.

    Args:
        films: The films of one study that were scored, at least one.
        run: What scored them.
        version: Of cxr_keras3.

    Returns:
        A Secondary Capture in RGB, with patient and study as the film states them, which names it as its source.
    """
    number, film = max(enumerate(films, 1), key=lambda pair: pair[1].prediction.abnormal_score or 0.0)
    study = str(film.source.StudyInstanceUID)
    capture = SCImage(
        pixel_array=draw(film, run, title=f"film {number} of {len(films)}" if len(films) > 1 else ""),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        study_instance_uid=study,
        series_instance_uid=uid(run, study, "capture series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid(run, study, "capture"),
        instance_number=1,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description="cxr_keras3 heat map, research only",
        **common(run, version),
    )
    capture.BodyPartExamined = "CHEST"  # which has no side, so no Laterality
    capture.PatientOrientation = []  # of a page with two films and writing
    if "BurnedInAnnotation" in film.source:  # what is burnt into the film is seen here too
        capture.BurnedInAnnotation = film.source.BurnedInAnnotation
    capture.DerivationDescription = "class activation map over the film"
    reference = Dataset()
    reference.ReferencedSOPClassUID = film.source.SOPClassUID
    reference.ReferencedSOPInstanceUID = film.source.SOPInstanceUID
    capture.SourceImageSequence = [reference]
    complete(capture, film.source, run)
    return capture


def draw(film: ScoredFilm, run: Run, *, title: str) -> npt.NDArray[np.uint8]:
    """Draws the page.

    Args:
        film: A film and what the model says of it.
        run: What scored it.
        title: Which film of the study it is; empty where it is the only one.

    Returns:
        uint8 (HEIGHT, WIDTH, 3), RGB. It holds nothing of the film's header.
    """
    prediction = film.prediction
    page = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    pen = ImageDraw.Draw(page)
    shown = Image.fromarray(film.pixels)
    shown.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    if max(shown.size) < SIDE:
        factor = SIDE / max(shown.size)
        shown = shown.resize((round(shown.width * factor), round(shown.height * factor)), Image.Resampling.BICUBIC)
    grey = np.asarray(shown)
    heat = heat_maps.drawn(prediction, grey)
    shown_class = "the class" if prediction.withheld else _spoken(prediction.predicted)
    captions = (title or "film", f"what speaks for {shown_class}, and the lungs' outlines")
    for column, (picture, caption) in enumerate(zip((grey, heat), captions, strict=True)):
        left = MARGIN + column * (SIDE + MARGIN)
        page.paste(Image.fromarray(picture), (left, HEAD + (SIDE - grey.shape[0]) // 2))
        pen.text((left, HEAD + SIDE + 10), caption, SOFT, _font(17))
    _draw_scale(page, right=MARGIN + SIDE + MARGIN + SIDE, top=HEAD + SIDE + 14)
    pen.text((MARGIN, 20), f"{ascii_name(run)[:60]}   cxr_keras3 {prediction.version}", INK, _font(22))
    _draw_panel(pen, film, run, left=2 * SIDE + 3 * MARGIN)
    pen.line((MARGIN, HEIGHT - FOOT, WIDTH - MARGIN, HEIGHT - FOOT), LINE)
    pen.text((MARGIN, HEIGHT - FOOT + 18), STATEMENT, NOTE, _font(22))
    return np.asarray(page)


def _draw_panel(pen: ImageDraw.ImageDraw, film: ScoredFilm, run: Run, *, left: int) -> None:
    """Writes the figures: the flag first, then a bar for each class."""
    prediction, top = film.prediction, HEAD
    pen.text((left, top), prediction.headline, NOTE if prediction.flag else INK, _font(24))
    rows = [f"abnormal score {prediction.abnormal_score:.3f}"]
    if run.operating_point:
        rows.append(f"flagged from {run.operating_point.abnormal_threshold:.3f}")
        films = "the site's films" if run.site else "validation films"
        rows.append(f"(sensitivity {100 * run.operating_point.sensitivity:.0f} % on {films})")
    if prediction.withheld:
        rows.append("class withheld: nothing evidences it")
    for row in rows:
        top += 24 if row is not rows[0] else 44
        pen.text((left, top), row, INK if row is rows[0] else SOFT, _font(18))
    top += 52
    for name, value in prediction.probabilities.items():
        pen.text((left, top), _spoken(name), INK, _font(18))
        pen.text((left + PANEL, top), f"{value:.3f}", INK, _font(18), anchor="ra")
        pen.rectangle((left, top + 26, left + PANEL, top + 34), LINE)
        pen.rectangle((left, top + 26, left + round(PANEL * value), top + 34), SOFT)
        top += 56
    if prediction.evidence_in_lungs is not None:
        pen.text(
            (left, top),
            f"{100 * prediction.evidence_in_lungs:.0f} % of the evidence lies in the lungs",
            SOFT,
            _font(17),
        )
        top += 30
    if prediction.prediction_set is not None:
        pen.text((left, top + 8), "cannot be ruled out (coverage 90 %)", SOFT, _font(17))
        names = [_spoken(name) for name in prediction.prediction_set] or ["none: unlike films of any class"]
        for line, name in enumerate(names):
            pen.text((left, top + 34 + 24 * line), name, INK, _font(18))


def _draw_scale(page: Image.Image, *, right: int, top: int) -> None:
    """Draws the heat map's colours, from none to the film's own largest."""
    colours = mpl.colormaps["inferno"](np.linspace(0.0, 1.0, 140))[:, :3] * 255.0
    strip = np.repeat(colours[np.newaxis].astype(np.uint8), 12, axis=0)
    page.paste(Image.fromarray(strip), (right - strip.shape[1], top))


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
