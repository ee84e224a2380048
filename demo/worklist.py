"""Many films at once: a table sorted by how abnormal they look, and a CSV file. Pure functions, without Gradio."""

import contextlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr_keras3.base.errors import UserError
from cxr_keras3.images import MAX_FILE_BYTES, ImageError
from cxr_keras3.images.patients import HEADER_BYTES
from cxr_keras3.serving import Prediction, Predictor, inputs
from cxr_keras3.serving.inputs import Input
from cxr_keras3.serving.results import Results
from demo.pictures import thumbnail

THUMBNAIL_SIDE = 64
MOST_COMPARED = 2000
"""Films of a worklist whose headers are looked at for films of one patient, each some two milliseconds."""


def find(files: Sequence[tuple[Path, str]], *, named: Counter[str]) -> list[Input]:
    """The films in uploaded files, those in zip archives too, under the names that their senders gave them.

    Archives are read in place: a name in one is a label and never a path.

    Args:
        files: Where each file lies, and its name.
        named: How often each name stands in the worklist already; equal ones are told apart by "(2)".

    Raises:
        UserError: Where there is none, or an archive cannot be opened. The message names files, not the server's
            folders.
    """
    found: list[Input] = []
    for path, name in files:
        try:
            of_file = inputs.find([path])
        except UserError as error:
            raise UserError(str(error).replace(str(path), name)) from error
        for film in of_file:
            own = inputs.printable(name) + film.name.removeprefix(inputs.printable(str(path)))
            named[own] += 1
            found.append(Input(f"{own} ({named[own]})" if named[own] > 1 else own, film.content))
    return found


def content(film: Input) -> bytes:
    """A film's bytes, at most one more than an image may have.

    Raises:
        ImageError: Where they cannot be read, such as those of a file deleted since.
    """
    if isinstance(film.content, Path):
        try:
            with film.content.open("rb") as file:
                return file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise ImageError("the file has been deleted since it was uploaded; upload it again") from error
    if callable(film.content):
        return film.content()
    raise TypeError(f"an uploaded film is a file or lies in an archive, received {type(film.content).__name__}")


def beginning(film: Input) -> bytes:
    """A film's first bytes: its header, where it is a DICOM file.

    Raises:
        ImageError: As `content`.
    """
    if isinstance(film.content, Path):
        with contextlib.suppress(OSError), film.content.open("rb") as file:
            return file.read(HEADER_BYTES)
    return content(film)[:HEADER_BYTES]


def score(predictor: Predictor, found: Sequence[Input]) -> Iterator[Prediction]:
    """Scores films in their order."""
    return predictor.predict(found)


@dataclass(frozen=True)
class Row:
    """What the table shows of one film; what holds for all films of a run stands above the table.

    Attributes:
        index: The film's number in the worklist, by which the page asks for it.
        file: Its name.
        thumbnail: A small JPEG as a data URI; None where the film could not be read.
        accepted: Whether it could be read and is taken for a chest film.
        reason: Why not; empty where accepted.
        predicted: The class as a reader is told it, see `Prediction.named`; empty where not accepted.
        score: The abnormal score.
        flag: Whether a reader should look first.
        warnings: What a reader should know of the film.
    """

    index: int
    file: str
    thumbnail: str | None
    accepted: bool
    reason: str
    predicted: str
    score: float | None
    flag: bool | None
    warnings: tuple[str, ...]


def row(predictor: Predictor, index: int, prediction: Prediction) -> Row:
    """What the table shows of a film.

    Args:
        predictor: The run that answered.
        index: The film's number in the worklist.
        prediction: What the model says of it.
    """
    return Row(
        index=index,
        file=prediction.file,
        thumbnail=None if prediction.image is None else thumbnail(prediction.image, THUMBNAIL_SIDE),
        accepted=prediction.accepted,
        reason=prediction.reject_reason,
        predicted=prediction.named,
        score=prediction.abnormal_score,
        flag=prediction.flag,
        warnings=tuple(
            each for each in (prediction.withheld, *prediction.warnings) if each and each not in predictor.notices
        ),
    )


def as_csv(predictor: Predictor, predictions: Sequence[Prediction]) -> str:
    """Rows as a CSV file, in their order, with the columns that `python -m cxr_keras3.predict` writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "worklist.csv"
        with Results(path, class_names=predictor.run.class_names, model=predictor.run.name, resume=False) as results:
            for prediction in predictions:
                results.add(prediction)
        return path.read_text(encoding="utf-8")
