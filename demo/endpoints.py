"""What programs call by `gradio_client`; Gradio shows them these descriptions."""

import dataclasses
import math
import sys
from pathlib import Path
from typing import Any

import gradio as gr

from cxr_keras3 import images
from cxr_keras3.base.errors import UserError
from demo import feedback, reading
from demo.desk import Desk, sentence
from demo.questions import Sent


class Endpoints:
    """The named endpoints, on what the page works on, too."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def predict(self, file: str, request: gr.Request) -> dict[str, Any]:
        """Scores one chest X-ray file, and says whether it was accepted, with probabilities, flag and warnings."""
        if file is None:
            raise gr.Error("A file is needed, received none.", print_exception=False)
        with Messages():
            ((path, name),) = self._desk.claim([Sent(path=file, name=Path(file).name)], request.session_hash)
            return reading.read_film(self._desk.predictor, name, images.read(path)).record()

    def worklist(self, files: list[str], request: gr.Request) -> list[dict[str, Any]]:
        """Scores many files or zip archives; returns one record a film, in their order."""
        with Messages():
            sent = self._desk.claim(
                [Sent(path=file, name=Path(file).name) for file in files or []], request.session_hash
            )
            name = self._desk.jobs.start("", patience=math.inf)
            try:
                self._desk.jobs.add(name, sent)
                job = self._desk.jobs.wait(name, sys.maxsize, None)
            finally:
                self._desk.jobs.forget(name=name)
        if job.failed:
            raise gr.Error("The worklist could not be scored.", print_exception=False)
        return [prediction.record() for prediction in job.predictions]

    def feedback(self, sha256: str, label: str, predicted: str, comment: str, reader: str) -> dict[str, Any]:
        """Keeps a reader's label for a film that /predict answered, named by its sha256."""
        with Messages():
            return dataclasses.asdict(
                self._desk.store.add(
                    sha256=sha256,
                    model=self._desk.predictor.run.name,
                    predicted=predicted,
                    label=label,
                    comment=comment,
                    reader=reader,
                )
            )

    def answers(self) -> list[dict[str, Any]]:
        """All answers that readers gave, the oldest first, without their comments."""
        return [dataclasses.asdict(answer) for answer in feedback.without_comments(self._desk.store.answers())]


class Messages:
    """Shows a user's mistake as a message on the page; all else stays hidden behind the word "Error"."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, UserError):
            raise gr.Error(sentence(error), print_exception=False) from None
