"""What answers the page's events: uploads become answers, and mistakes messages. What is said is made elsewhere."""

import base64
import dataclasses
import io
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from cxr_keras3.base.errors import UserError
from cxr_keras3.serving import Predictor
from cxr_keras3.serving.inputs import Input
from demo import examples, feedback, quality, reading, worklist
from demo.pages import banners
from demo.pages import page as template
from demo.reading import Download, Reading
from demo.uploads import Uploads


class Desk:
    """What the page's events and the endpoints for programs call, on one or two runs."""

    def __init__(self, predictors: Sequence[Predictor], store: feedback.Store, uploads: Uploads) -> None:
        self.predictors, self.predictor = predictors, predictors[0]
        self._store, self._uploads = store, uploads
        self._said = banners(self.predictor.run)

    def shown(self, read: Reading) -> tuple[Any, ...]:
        """What the study tab shows: viewer, findings, what feedback needs, and a fresh feedback form."""
        name = f"chest-film-{read.digest[:8]}"
        page = reading.result_page(self.predictor, read, said=self._said)
        files = [
            Download(f"{name}.json", "application/json", reading.result_json(read)),
            Download(f"{name}.html", "text/html", page),
        ]
        predicted = read.prediction.predicted
        return (
            dataclasses.asdict(reading.view(read, files=files)),
            reading.findings(self.predictor, read),
            dataclasses.replace(read, pixels=None),  # a session keeps the answer, not the film
            gr.update(visible=read.pixels is not None),
            gr.update(value=f"Agree: {predicted.replace('_', ' ')}", visible=bool(predicted)),
            None,
            "",
            "",
        )

    def _nothing(self) -> tuple[Any, ...]:
        return None, template("empty.html").render(), None, gr.update(visible=False), gr.update(), None, "", ""

    def open_upload(self, file: str | None, request: gr.Request) -> tuple[Any, ...]:
        """Reads an uploaded film."""
        return self._nothing() if file is None else self.shown(self._read(self.predictor, file, request))

    def examples(self) -> str:
        """The strip of examples."""
        films = [(name, reading.data_uri_of_png(png)) for name, png in examples.films()]
        return template("examples.html").render(films=films)

    def open_example(self, event: gr.EventData) -> tuple[Any, ...]:
        """Reads an example."""
        films = examples.films()
        name, content = films[_index(event, len(films))]
        return self.shown(reading.read_film(self.predictor, name, content))

    def open_row(self, found: list[Input] | None, event: gr.EventData) -> tuple[Any, ...]:
        """Reads a film of the worklist again, and turns to the study tab."""
        found = found or []
        chosen = found[_index(event, len(found))]
        with _Messages():
            return gr.Tabs(selected="study"), *self.shown(
                reading.read_film(self.predictor, chosen.name, worklist.content(chosen))
            )

    def compare(self, file: str | None, request: gr.Request) -> tuple[Any, ...]:
        """Reads one film with both runs."""
        if file is None:
            return None, "", None, "", ""
        first, second = (self._read(predictor, file, request) for predictor in self.predictors)
        said = template("agreement.html").render(first=first.prediction, second=second.prediction)
        parts = [
            (dataclasses.asdict(reading.view(each)), reading.findings(predictor, each))
            for predictor, each in zip(self.predictors, (first, second), strict=True)
        ]
        return (*parts[0], *parts[1], said)

    def fill_worklist(
        self, files: list[str] | None, request: gr.Request, progress: gr.Progress | None = None
    ) -> tuple[Any, ...]:
        """Scores many films."""
        if not files:
            return None, None
        progress = progress or gr.Progress()
        with _Messages():
            found = worklist.find(self._uploads.claim(request.session_hash, files))
        predictions = []
        for prediction in worklist.score(self.predictor, found):
            predictions.append(prediction)
            progress((len(predictions), len(found)), desc="Reading", unit="films")
        rows = [worklist.row(self.predictor, index, prediction) for index, prediction in enumerate(predictions)]
        table = {
            "rows": [dataclasses.asdict(row) for row in worklist.in_order(rows)],
            "classes": list(self.predictor.run.class_names),
            "csv": worklist.as_csv(self.predictor, predictions),
        }
        return table, found

    def agree(self, read: Reading | None, comment: str, keep: bool) -> str:
        """Keeps the answer that the label is right."""
        return self.answer(read, read.prediction.predicted if read else None, comment, keep)

    def answer(self, read: Reading | None, label: str | None, comment: str, keep: bool) -> str:
        """Keeps a reader's label."""
        if read is None:
            raise gr.Error("Open a film first.", print_exception=False)
        if label is None:
            raise gr.Error("Choose a label first.", print_exception=False)
        with _Messages():
            kept = self._store.add(
                sha256=read.digest,
                model=read.prediction.model,
                predicted=read.prediction.predicted,
                label=label,
                comment=comment.strip(),
                film=read.prediction.image if keep else None,
            )
        return template("kept.html").render(answer=kept)

    def labels_zip(self) -> dict[str, str]:
        """The answers as a zip file in base64, for the button that exports them."""
        buffer = io.BytesIO()
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            feedback.export(self._store, Path(folder))
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(folder).as_posix())
        return {"name": "labels.zip", "base64": base64.b64encode(buffer.getvalue()).decode()}

    def quality(self) -> list[str]:
        """How good each run is."""
        with _Messages():
            return [quality.render(predictor.run) for predictor in self.predictors]

    def api_predict(self, file: str, request: gr.Request) -> dict[str, Any]:
        """Scores one chest X-ray file, and says whether it was accepted, with probabilities, flag and warnings."""
        if file is None:
            raise gr.Error("A file is needed, received none.", print_exception=False)
        return self._read(self.predictor, file, request).record()

    def api_worklist(self, files: list[str], request: gr.Request) -> list[dict[str, Any]]:
        """Scores many files or zip archives; returns one record a film, in their order."""
        with _Messages():
            found = worklist.find(self._uploads.claim(request.session_hash, files or []))
        return [prediction.record() for prediction in worklist.score(self.predictor, found)]

    def api_feedback(self, sha256: str, label: str, predicted: str, comment: str) -> dict[str, Any]:
        """Keeps a reader's label for a film that /predict answered, named by its sha256."""
        with _Messages():
            return dataclasses.asdict(
                self._store.add(
                    sha256=sha256, model=self.predictor.run.name, predicted=predicted, label=label, comment=comment
                )
            )

    def api_answers(self) -> list[dict[str, Any]]:
        """All answers that readers gave, the oldest first."""
        return [dataclasses.asdict(answer) for answer in self._store.answers()]

    def end(self, request: gr.Request) -> None:
        """Deletes the uploads of a session that ended."""
        self._uploads.forget(request.session_hash)

    def _read(self, predictor: Predictor, file: str, request: gr.Request) -> Reading:
        with _Messages():
            (path,) = self._uploads.claim(request.session_hash, [file])
            return reading.read_film(predictor, path.name, worklist.content(Input(path.name, path)))


class _Messages:
    """Shows a user's mistake as a message on the page; all else stays hidden behind the word "Error"."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, UserError):
            text = str(error)
            raise gr.Error(f"{text[:1].upper()}{text[1:]}.", print_exception=False) from None


def _index(event: gr.EventData, count: int) -> int:
    """The number that the page sends with an event; anyone may send anything."""
    index = getattr(event, "index", None)
    if not isinstance(index, int) or not 0 <= index < count:
        raise gr.Error("This film is gone; upload it again.", print_exception=False)
    return index
