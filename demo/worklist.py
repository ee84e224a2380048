"""Many films at once: a table sorted by how abnormal they look, and a CSV file. Pure functions, without Gradio."""

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cxr_keras3.base.errors import UserError
from cxr_keras3.images import MAX_FILE_BYTES, ImageError
from cxr_keras3.serving import Prediction
from cxr_keras3.serving.inputs import Source, sources
from cxr_keras3.serving.results import Results
from demo.run import Run
from demo.study import thumbnail

MAX_FILES = 1000
"""Most films in one worklist; each row keeps a thumbnail of some 2 kB."""
THUMBNAIL_SIDE = 64


def find(files: Sequence[Path]) -> list[Source]:
    """The films in uploaded files, those in zip archives too, under their bare names.

    Archives are read in place: a name in one is a label and never a path.

    Raises:
        UserError: Where there is none, there are more than `MAX_FILES`, or an archive cannot be opened. The message
            names files, not the server's folders.
    """
    try:
        found = sources(files)
    except UserError as error:
        message = str(error)
        for file in files:
            message = message.replace(str(file), file.name)
        raise UserError(message) from error
    if len(found) > MAX_FILES:
        raise UserError(f"a worklist may hold {MAX_FILES} films, received {len(found)}; send them in parts")
    return _named(found, folders=[file.parent for file in files])


def _named(found: Sequence[Source], *, folders: Sequence[Path]) -> list[Source]:
    """Sources without the folders that uploads lie in; equal names are told apart by "(2)"."""
    prefixes = sorted({f"{folder}/" for folder in folders}, key=len, reverse=True)
    times: dict[str, int] = {}
    named = []
    for source in found:
        prefix = next((prefix for prefix in prefixes if source.name.startswith(prefix)), "")
        name = source.name.removeprefix(prefix)
        times[name] = times.get(name, 0) + 1
        named.append(Source(f"{name} ({times[name]})" if times[name] > 1 else name, source.content))
    return named


def content(source: Source) -> bytes:
    """A film's bytes, at most one more than an image may have.

    Raises:
        ImageError: Where they cannot be read, such as those of a file deleted since.
    """
    if isinstance(source.content, Path):
        try:
            with source.content.open("rb") as file:
                return file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise ImageError("the file has been deleted since it was uploaded; upload it again") from error
    if callable(source.content):
        return source.content()
    raise TypeError(f"an uploaded film is a file or lies in an archive, received {type(source.content).__name__}")


def score(run: Run, found: Sequence[Source]) -> Iterator[Prediction]:
    """Scores films in their order."""
    return run.predictor.predict(found)


def row(run: Run, index: int, prediction: Prediction) -> dict[str, Any]:
    """What the table shows of one film; what holds for all films of a run stands above the table.

    Args:
        run: The run that answered.
        index: The film's number in the worklist, by which the page asks for it.
        prediction: What the model says of it.
    """
    return {
        "index": index,
        "file": prediction.file,
        "thumbnail": None if prediction.image is None else thumbnail(prediction.image, THUMBNAIL_SIDE),
        "accepted": prediction.accepted,
        "reason": prediction.reject_reason,
        "label": prediction.label,
        "probability": prediction.probabilities.get(prediction.label),
        "score": prediction.abnormal_score,
        "flag": prediction.flag,
        "warnings": [each for each in prediction.warnings if each not in run.predictor.notices],
    }


def in_order(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The most abnormal first, what could not be read last."""
    return sorted(rows, key=lambda row: -1.0 if row["score"] is None else row["score"], reverse=True)


def as_csv(run: Run, predictions: Sequence[Prediction]) -> str:
    """The table as a CSV file, with the columns that `python -m cxr_keras3.predict` writes, the most abnormal first."""
    ordered = sorted(predictions, key=lambda each: -1.0 if each.abnormal_score is None else each.abnormal_score)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "worklist.csv"
        with Results(path, class_names=run.class_names, model=run.name, resume=False) as results:
            for prediction in reversed(ordered):
                results.add(dataclasses.replace(prediction, file=_harmless(prediction.file)))
        return path.read_text(encoding="utf-8")


def _harmless(name: str) -> str:
    """A name that no spreadsheet takes for a formula (OWASP, "CSV Injection")."""
    return f"'{name}" if name[:1] in ("=", "+", "-", "@") else name
