"""What the page and programs ask: uploads become answers, and mistakes messages. What is said is made elsewhere."""

import base64
import dataclasses
import functools
import io
import secrets
import tempfile
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio as gr

from cxr_keras3 import images
from cxr_keras3.base.errors import UserError
from cxr_keras3.images import patients
from cxr_keras3.images.isolated import Decoders
from cxr_keras3.serving import Predictor
from cxr_keras3.serving.inputs import Input, printable
from demo import agreement, answers, examples, feedback, pictures, quality, reading, result, standing, viewing, worklist
from demo.jobs import Jobs
from demo.pages import banners
from demo.pages import page as template
from demo.questions import Answered, Chosen, Example, Film, Films, Listed, Numbered, Place, Said, Sent
from demo.uploads import Uploads

WAIT_SECONDS = 2.0
"""For which the page's question for new rows of a worklist is held."""


class Desk:
    """What the page and the endpoints for programs call, on one or two runs."""

    def __init__(
        self, predictors: Sequence[Predictor], decoders: Decoders, store: answers.Store, uploads: Uploads
    ) -> None:
        self.predictors, self.predictor = predictors, predictors[0]
        self.store, self._decoders, self._uploads = store, decoders, uploads
        self._key = secrets.token_bytes(32)
        self.jobs = Jobs(self.predictor)
        self._said = banners(self.predictor.run)
        self._examples = ThreadPoolExecutor(1, "examples").submit(examples.choose, self.predictor)

    def greet(self, _: object, __: str) -> dict[str, Any]:
        """What is shown before any film: what this is, and the example films."""
        films = [
            {"name": each.name, "words": each.words, "picture": pictures.data_uri_of_png(each.content)}
            for each in self._examples.result()
        ]
        return {"films": films, "about": standing.about(self.predictor.run)}

    def read(self, asked: Film, session: str) -> dict[str, Any]:
        """A film and the answer to it: viewer, findings, and what feedback needs."""
        name, content = self._content(asked, session)
        read = reading.read_film(self.predictor, name, content)
        return {
            "name": name,
            "view": dataclasses.asdict(viewing.view(read)),
            "headline": reading.headline(self.predictor, read),
            "findings": reading.findings(self.predictor, read),
            "standing": standing.standing(self.predictor.run),
            "sha256": read.digest,
            "predicted": read.prediction.predicted,
            "named": "" if read.prediction.withheld else read.prediction.predicted,
            "readable": read.pixels is not None,
            "labels": [*self.predictor.run.class_names, *answers.OTHER_LABELS],
        }

    def result(self, asked: Film, session: str) -> dict[str, Any]:
        """The answer to a film as files to keep."""
        read = reading.read_film(self.predictor, *self._content(asked, session))
        return {"files": [dataclasses.asdict(each) for each in result.downloads(self.predictor, read, said=self._said)]}

    def whole(self, asked: Film, session: str) -> dict[str, Any]:
        """All that a film's file holds, in its own size and depth."""
        _, content = self._content(asked, session)
        return dataclasses.asdict(self._decoders.call(pictures.whole, content))

    def priors(self, asked: Listed, _: str) -> dict[str, Any]:
        """Films of the same patient in a worklist, by their number, and how many days earlier each was taken."""
        job = self.jobs.job(asked.job)
        known = job.taken
        new = [self._taken(film) for film in job.found[len(known) : worklist.MOST_COMPARED]]
        taken = job.taken = known + new  # not to what is there by now: another question may have added the same films
        mine = taken[asked.index] if asked.index < len(taken) else None
        others = [] if mine is None else [(i, each) for i, each in enumerate(taken) if i != asked.index and each]
        return {
            "films": [
                {"index": index, "days": each.day and mine.day and mine.day - each.day}
                for index, each in others
                if mine and each.patient == mine.patient
            ]
        }

    def _taken(self, film: Input) -> patients.Taken | None:
        try:
            head = worklist.beginning(film)
            is_dicom = head[128:132] == b"DICM"
            return self._decoders.call(functools.partial(patients.taken, key=self._key), head) if is_dicom else None
        except images.ImageError:
            return None

    def compare(self, asked: Film, session: str) -> dict[str, Any]:
        """One film and the answers of both runs."""
        name, content = self._content(asked, session)
        reads = [reading.read_film(predictor, name, content) for predictor in self.predictors]
        return {
            "name": name,
            "agreement": template("agreement.html").render(first=reads[0].prediction, second=reads[1].prediction),
            "answers": [
                {
                    "model": predictor.run.name,
                    "view": dataclasses.asdict(viewing.view(each)),
                    "findings": reading.headline(predictor, each) + reading.findings(predictor, each),
                }
                for predictor, each in zip(self.predictors, reads, strict=True)
            ],
        }

    def add_films(self, asked: Films, session: str) -> dict[str, Any]:
        """Begins a worklist, or adds to one."""
        files = self.claim(asked.files, session)
        job = asked.job or self.jobs.start(session)
        try:
            self.jobs.add(job, files)
        except UserError:
            if asked.job is None:
                self.jobs.forget(name=job)
            raise
        return {"job": job}

    def rows(self, asked: Place, _: str) -> dict[str, Any]:
        """The rows of a worklist that the page has not, once there are some."""
        job = self.jobs.wait(asked.job, asked.after, WAIT_SECONDS)
        return {
            "rows": [dataclasses.asdict(row) for row in job.rows[asked.after :]],
            "total": len(job.found),
            "running": self.jobs.is_running(job),
            "failed": job.failed,
        }

    def stop(self, asked: Place, _: str) -> dict[str, Any]:
        """Stops a worklist."""
        self.jobs.stop(asked.job)
        return {}

    def table(self, asked: Chosen, _: str) -> dict[str, Any]:
        """Rows of a worklist as a CSV file, in the order asked for."""
        predictions = self.jobs.job(asked.job).predictions
        chosen = [predictions[index] for index in asked.indices if 0 <= index < len(predictions)]
        return {"csv": worklist.as_csv(self.predictor, chosen)}

    def answer(self, asked: Said, session: str) -> dict[str, Any]:
        """Keeps what a reader says of a film."""
        film = None
        if asked.keep:
            _, content = self._content(asked, session)
            film = images.canonical(self.predictor.decode(content).pixels)[..., 0]
        kept = self.store.add(
            sha256=asked.sha256,
            model=self.predictor.run.name,
            predicted=asked.predicted,
            label=asked.label,
            comment=asked.comment.strip(),
            reader=asked.reader.strip(),
            film=film,
        )
        return {"kept": template("kept.html").render(answer=kept)}

    def withdraw(self, asked: Answered, _: str) -> dict[str, Any]:
        """Takes a reader's answer back."""
        self.store.withdraw(asked.sha256, asked.reader.strip())
        return {}

    def answered(self, asked: Answered, _: str) -> dict[str, Any]:
        """What a reader said of a film before; an empty label where nothing."""
        reader = asked.reader.strip()
        mine = [each.label for each in self.store.answers() if (each.sha256, each.reader) == (asked.sha256, reader)]
        return {"label": mine[-1] if mine else ""}

    def report(self, asked: Numbered, _: str) -> dict[str, Any]:
        """The full report on a run, drawn where the run comes without one."""
        run = self.predictors[min(asked.index, len(self.predictors) - 1)].run
        return {"html": quality.report(run)}

    def labels_zip(self, _: object, __: str) -> dict[str, Any]:
        """The answers as a zip file in base64, for the button that exports them."""
        buffer = io.BytesIO()
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            feedback.export(self.store, Path(folder), comments=False)
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(folder).as_posix())
        return {"name": "labels.zip", "base64": base64.b64encode(buffer.getvalue()).decode()}

    def quality(self) -> list[str]:
        """How good each run is, and how far readers agree."""
        pages = [quality.render(predictor.run, index) for index, predictor in enumerate(self.predictors)]
        agreeing = template("agreements.html").render(agreements=agreement.agreements(self.store.answers()))
        return [*pages, agreeing]

    def end(self, request: gr.Request) -> None:
        """Stops the worklists of a page that was closed, and deletes its uploads."""
        self.jobs.forget(session=request.session_hash)
        self._uploads.forget(request.session_hash)

    def claim(self, files: Sequence[Sent], session: str | None) -> list[tuple[Path, str]]:
        """Where uploads lie, and their names; see `Uploads.claim`."""
        paths = self._uploads.claim(session, [file.path for file in files])
        return [(path, printable(file.name)) for path, file in zip(paths, files, strict=True)]

    def _content(self, asked: Film, session: str) -> tuple[str, bytes]:
        """The name and bytes of a film that the page asks about."""
        film = asked.film
        if isinstance(film, Example):
            chosen = self._examples.result()
            if film.index >= len(chosen):
                raise UserError(f"there are {len(chosen)} examples, received number {film.index + 1}; reload the page")
            return chosen[film.index].name, chosen[film.index].content
        if isinstance(film, Sent):
            ((path, name),) = self.claim([film], session)
            return name, images.read(path)
        found = self.jobs.job(film.job).found
        if film.index >= len(found):
            raise UserError("this film is not in the worklist any more; read it again")
        return found[film.index].name, worklist.content(found[film.index])


def sentence(error: UserError) -> str:
    """A mistake as the page says it."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
