"""Many films at once: a table sorted by how abnormal they look, and a CSV file. Pure functions, without Gradio."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr_keras3.base.errors import UserError
from cxr_keras3.images import MAX_FILE_BYTES, ImageError
from cxr_keras3.serving import Prediction, Predictor, inputs
from cxr_keras3.serving.inputs import Input
from cxr_keras3.serving.results import Results
from demo.reading import thumbnail

MAX_FILES = 1000
"""Most films in one worklist; each row keeps a thumbnail of some 2 kB."""
THUMBNAIL_SIDE = 64


def find(files: Sequence[Path]) -> list[Input]:
    """The films in uploaded files, those in zip archives too, under their bare names.

    Archives are read in place: a name in one is a label and never a path.

    Raises:
        UserError: Where there is none, there are more than `MAX_FILES`, or an archive cannot be opened. The message
            names files, not the server's folders.
    """
    try:
        found = inputs.find(files)
    except UserError as error:
        message = str(error)
        for file in files:
            message = message.replace(str(file), file.name)
        raise UserError(message) from error
    if len(found) > MAX_FILES:
        raise UserError(f"a worklist may hold {MAX_FILES} films, received {len(found)}; send them in parts")
    return _named(found, folders=[file.parent for file in files])


def _named(found: Sequence[Input], *, folders: Sequence[Path]) -> list[Input]:
    """Films without the folders that uploads lie in; equal names are told apart by "(2)"."""
    prefixes = sorted({f"{folder}/" for folder in folders}, key=len, reverse=True)
    times: dict[str, int] = {}
    named = []
    for film in found:
        prefix = next((prefix for prefix in prefixes if film.name.startswith(prefix)), "")
        name = film.name.removeprefix(prefix)
        times[name] = times.get(name, 0) + 1
        named.append(Input(f"{name} ({times[name]})" if times[name] > 1 else name, film.content))
    return named


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
        predicted: The most probable class; empty where not accepted.
        probability: Its probability.
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
    probability: float | None
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
        predicted=prediction.predicted,
        probability=prediction.probabilities.get(prediction.predicted),
        score=prediction.abnormal_score,
        flag=prediction.flag,
        warnings=tuple(each for each in prediction.warnings if each not in predictor.notices),
    )


def in_order(rows: Sequence[Row]) -> list[Row]:
    """The most abnormal first, what could not be read last."""
    return sorted(rows, key=lambda row: -1.0 if row.score is None else row.score, reverse=True)


def as_csv(predictor: Predictor, predictions: Sequence[Prediction]) -> str:
    """The table as a CSV file, with the columns that `python -m cxr_keras3.predict` writes, the most abnormal first."""
    ordered = sorted(predictions, key=lambda each: -1.0 if each.abnormal_score is None else each.abnormal_score)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "worklist.csv"
        with Results(path, class_names=predictor.run.class_names, model=predictor.run.name, resume=False) as results:
            for prediction in reversed(ordered):
                results.add(prediction)
        return path.read_text(encoding="utf-8")
