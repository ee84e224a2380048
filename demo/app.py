"""The page: its layout, and which function answers which event. What is said and shown is made in other modules."""

import base64
import io
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr

from cxr_keras3.errors import UserError
from cxr_keras3.inference.inputs import Source
from demo import examples, feedback, quality, study, worklist
from demo.pages import page as template
from demo.pages import static
from demo.run import REPORT, Run, banners
from demo.server import DELETE_AFTER_SECONDS
from demo.study import Study
from demo.uploads import Uploads

FILE_HINT = "PNG, JPEG, TIFF, WebP or DICOM, up to 100 MiB"
SWEEP_SECONDS = 300


def theme() -> gr.themes.Base:
    """Gradio's controls in the colours of style.css, and in the fonts of the system: its own come from Google."""
    colours = {
        "body_background_fill": "var(--paper)",
        "body_text_color": "var(--ink)",
        "body_text_color_subdued": "var(--soft)",
        "background_fill_primary": "var(--panel)",
        "background_fill_secondary": "var(--paper)",
        "block_background_fill": "var(--panel)",
        "block_border_color": "var(--line)",
        "block_label_background_fill": "var(--panel)",
        "block_label_text_color": "var(--soft)",
        "block_title_text_color": "var(--ink)",
        "block_info_text_color": "var(--soft)",
        "border_color_primary": "var(--line)",
        "border_color_accent": "var(--accent)",
        "color_accent_soft": "var(--chosen)",
        "input_background_fill": "var(--paper)",
        "input_border_color": "var(--edge)",
        "button_primary_background_fill": "var(--accent)",
        "button_primary_background_fill_hover": "var(--accent-strong)",
        "button_primary_text_color": "var(--on-accent)",
        "button_secondary_background_fill": "var(--paper)",
        "button_secondary_background_fill_hover": "var(--chosen)",
        "button_secondary_text_color": "var(--ink)",
        "button_secondary_border_color": "var(--edge)",
        "button_border_width": "1px",
        "checkbox_label_background_fill": "var(--paper)",
        "checkbox_label_background_fill_selected": "var(--chosen)",
        "checkbox_label_text_color_selected": "var(--ink)",
        "checkbox_background_color_selected": "var(--accent)",
        "checkbox_border_color": "var(--edge)",
        "link_text_color": "var(--accent)",
        "link_text_color_hover": "var(--accent-strong)",
        "link_text_color_visited": "var(--accent)",
        "link_text_color_active": "var(--accent)",
        "color_accent": "var(--accent)",
        "table_text_color": "var(--ink)",
    }
    built = gr.themes.Base(font="system-ui", font_mono="ui-monospace", radius_size="sm")
    dark = {f"{name}_dark": value for name, value in colours.items() if hasattr(built, f"{name}_dark")}
    return built.set(**colours, **dark)


def head() -> str:
    """The page's style sheet."""
    return f"<style>{static('style.css')}</style>"


class _Desk:
    """What the page's events call: a thin layer that turns uploads into answers, and mistakes into messages."""

    def __init__(self, runs: Sequence[Run], store: feedback.Store, uploads: Uploads) -> None:
        self.runs, self.run = runs, runs[0]
        self._store, self._uploads = store, uploads
        self._said = banners(self.run)

    def shown(self, read: Study) -> tuple[Any, ...]:
        """What the study tab shows: viewer, findings, what feedback needs, and a fresh feedback form."""
        name = f"chest-film-{read.digest[:8]}"
        files = [
            {"name": f"{name}.json", "kind": "application/json", "text": study.result_json(read)},
            {"name": f"{name}.html", "kind": "text/html", "text": study.result_page(self.run, read, said=self._said)},
        ]
        label = read.prediction.label
        return (
            study.viewer(read) | {"files": files},
            study.findings(self.run, read),
            read,
            gr.update(visible=read.pixels is not None),
            gr.update(value=f"Agree: {label.replace('_', ' ')}", visible=bool(label)),
            None,
            "",
            "",
        )

    def _nothing(self) -> tuple[Any, ...]:
        return None, template("empty.html").render(), None, gr.update(visible=False), gr.update(), None, "", ""

    def open_upload(self, file: str | None, request: gr.Request) -> tuple[Any, ...]:
        """Reads an uploaded film."""
        return self._nothing() if file is None else self.shown(self._read(self.run, file, request))

    def open_example(self, event: gr.EventData) -> tuple[Any, ...]:
        """Reads an example."""
        films = examples.films()
        name, content = films[_index(event, len(films))]
        return self.shown(study.read(self.run, name, content))

    def open_row(self, found: list[Source] | None, event: gr.EventData) -> tuple[Any, ...]:
        """Reads a film of the worklist again, and turns to the study tab."""
        found = found or []
        source = found[_index(event, len(found))]
        with _messages():
            return gr.Tabs(selected="study"), *self.shown(study.read(self.run, source.name, worklist.content(source)))

    def compare(self, file: str | None, request: gr.Request) -> tuple[Any, ...]:
        """Reads one film with both runs."""
        if file is None:
            return None, "", None, "", ""
        first, second = (self._read(run, file, request) for run in self.runs)
        said = template("agreement.html").render(first=first.prediction, second=second.prediction)
        parts = [(study.viewer(each), study.findings(run, each)) for run, each in zip(self.runs, (first, second), strict=True)]
        return (*parts[0], *parts[1], said)

    def fill_worklist(
        self, files: list[str] | None, request: gr.Request, progress: gr.Progress | None = None
    ) -> tuple[Any, ...]:
        """Scores many films."""
        if not files:
            return None, None
        progress = progress or gr.Progress()
        with _messages():
            found = worklist.find(self._uploads.claim(request.session_hash, files))
        predictions = []
        for prediction in worklist.score(self.run, found):
            predictions.append(prediction)
            progress((len(predictions), len(found)), desc="Reading", unit="films")
        rows = [worklist.row(self.run, index, prediction) for index, prediction in enumerate(predictions)]
        table = {
            "rows": worklist.in_order(rows),
            "classes": list(self.run.class_names),
            "csv": worklist.as_csv(self.run, predictions),
        }
        return table, found

    def agree(self, read: Study | None, comment: str, keep: bool) -> str:  # noqa: FBT001 -- a tick box
        """Keeps the answer that the label is right."""
        return self.answer(read, read.prediction.label if read else None, comment, keep)

    def answer(self, read: Study | None, label: str | None, comment: str, keep: bool) -> str:  # noqa: FBT001 -- see above
        """Keeps a reader's label."""
        if read is None:
            raise gr.Error("Open a film first.", print_exception=False)
        if label is None:
            raise gr.Error("Choose a label first.", print_exception=False)
        with _messages():
            kept = self._store.add(
                sha256=read.digest,
                model=read.prediction.model,
                predicted=read.prediction.label,
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
        with _messages():
            return [quality.render(run) for run in self.runs]

    def api_predict(self, file: str, request: gr.Request) -> dict[str, Any]:
        """Scores one chest X-ray file, and says whether it was accepted, with probabilities, flag and warnings."""
        if file is None:
            raise gr.Error("A file is needed, received none.", print_exception=False)
        return self._read(self.run, file, request).record()

    def api_worklist(self, files: list[str], request: gr.Request) -> list[dict[str, Any]]:
        """Scores many files or zip archives; returns one record a film, in their order."""
        with _messages():
            found = worklist.find(self._uploads.claim(request.session_hash, files or []))
        return [prediction.record() for prediction in worklist.score(self.run, found)]

    def api_feedback(self, sha256: str, label: str, predicted: str, comment: str) -> dict[str, Any]:
        """Keeps a reader's label for a film that /predict answered, named by its sha256."""
        with _messages():
            return asdict(
                self._store.add(sha256=sha256, model=self.run.name, predicted=predicted, label=label, comment=comment)
            )

    def api_answers(self) -> list[dict[str, Any]]:
        """All answers that readers gave, the oldest first."""
        return [asdict(answer) for answer in self._store.answers()]

    def end(self, request: gr.Request) -> None:
        """Deletes the uploads of a session that ended."""
        self._uploads.forget(request.session_hash)

    def _read(self, run: Run, file: str, request: gr.Request) -> Study:
        with _messages():
            (path,) = self._uploads.claim(request.session_hash, [file])
            return study.read(run, path.name, worklist.content(Source(path.name, path)))


class _messages:  # noqa: N801 -- reads as a statement
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


def build(runs: Sequence[Run], *, store: feedback.Store, uploads: Uploads) -> gr.Blocks:
    """Builds the page.

    Args:
        runs: One, or two to compare.
        store: Where readers' answers go.
        uploads: Remembers and deletes uploads.
    """
    desk = _Desk(runs, store, uploads)
    page: gr.Blocks
    with gr.Blocks(
        title="Chest X-ray reader", analytics_enabled=False, delete_cache=(SWEEP_SECONDS, DELETE_AFTER_SECONDS), fill_width=True
    ) as page:
        header = template("header.html").render(runs=runs, said=[(run.name, banners(run)) for run in runs])
        _html(header, elem_id="header", js_on_load=static("header.js"))
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Study", id="study"):
                shown = _study_tab(desk)
            with gr.Tab("Worklist", id="worklist"):
                _worklist_tab(desk, tabs, shown)
            with gr.Tab("How good is it?", id="quality") as tab:
                _quality_tab(desk, tab)
            if len(runs) == 2:
                with gr.Tab("Compare", id="compare"):
                    _compare_tab(desk)
        _interfaces(desk)
        page.unload(desk.end)
    return page


def _study_tab(desk: _Desk) -> list[Any]:
    read = gr.State(None, time_to_live=DELETE_AFTER_SECONDS)
    with gr.Row(elem_classes="desk"):
        with gr.Column(scale=7, min_width=320, elem_classes="film-side"):
            viewer = _script("viewer", elem_id="viewer")
        with gr.Column(scale=4, min_width=320, elem_classes="side"):
            file = gr.File(label=f"Film: {FILE_HINT}", type="filepath", height=112, elem_id="film-upload")
            strip = _html(
                template("examples.html").render(films=[(name, study.data_uri_of_png(png)) for name, png in examples.films()]),
                js_on_load=static("examples.js"),
            )
            findings = _html(template("empty.html").render(), elem_id="findings")
            with gr.Column(visible=False, elem_id="feedback", variant="panel") as form:
                _html("<h3>Your reading</h3>")
                agree = gr.Button("Agree", elem_id="agree")
                label = gr.Radio([(name.replace("_", " "), name) for name in desk.run.class_names], label="Or another label")
                comment = gr.Textbox(
                    label="Comment, without names", lines=1, max_lines=4, max_length=feedback.MAX_COMMENT
                )
                keep = gr.Checkbox(label="Keep the film too (as the model saw it, without header), to evaluate on", value=False)
                save = gr.Button("Save this label", elem_id="save-label")
                kept = _html("", elem_id="kept")
    shown = [viewer, findings, read, form, agree, label, comment, kept]
    reading: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "read", "show_progress": "hidden"}
    file.change(desk.open_upload, file, shown, **reading)
    strip.example(desk.open_example, None, shown, **reading)
    agree.click(desk.agree, [read, comment, keep], kept, api_visibility="private")
    save.click(desk.answer, [read, label, comment, keep], kept, api_visibility="private")
    return shown


def _html(value: str, *, js_on_load: str | None = None, **options: Any) -> gr.HTML:  # noqa: ANN401 -- for Gradio
    """A piece of the page that templates made, in our style and not in Gradio's."""
    return gr.HTML(value, js_on_load=js_on_load, apply_default_css=False, **options)


def _script(name: str, **options: Any) -> gr.HTML:  # noqa: ANN401 -- for Gradio
    """A piece of the page that a script draws from its value.

    Its template must stay constant: Gradio fills a template in and then runs the outcome as a JavaScript template
    literal, so a file name such as "${…}" in it would be run.
    """
    markup, code = static(f"{name}.html"), static(f"{name}.js")
    return gr.HTML(None, html_template=markup, js_on_load=code, apply_default_css=False, **options)


def _worklist_tab(desk: _Desk, tabs: gr.Tabs, shown: list[Any]) -> None:
    found = gr.State(None, time_to_live=DELETE_AFTER_SECONDS)
    files = gr.File(
        label=f"Films or zip archives, up to {worklist.MAX_FILES} films",
        type="filepath",
        file_count="multiple",
        height=128,
        elem_id="worklist-upload",
    )
    table = _script("worklist", elem_id="worklist", min_height=140)

    def fill(files: list[str] | None, request: gr.Request, progress: gr.Progress = gr.Progress()) -> tuple[Any, ...]:  # noqa: B008 -- Gradio's way
        return desk.fill_worklist(files, request, progress)

    files.change(fill, files, [table, found], api_visibility="private", concurrency_limit=1, concurrency_id="worklist")
    table.open(
        desk.open_row, found, [tabs, *shown], api_visibility="private", concurrency_id="read", show_progress="hidden"
    )


def _quality_tab(desk: _Desk, tab: gr.Tab) -> None:
    pages = []
    for run in desk.runs:
        pages.append(_html("<p class='soft'>Drawing the figures …</p>"))
        report, card = run.evaluation / REPORT, quality.model_card(run)
        with gr.Column(elem_classes="narrow"):
            if report.exists():
                gr.DownloadButton("Download the full report", value=report, size="sm")
            if card:
                with gr.Accordion("Model card", open=False):
                    gr.Markdown(card)

    def labels_zip(_: object = None) -> dict[str, str]:  # Gradio marks functions, which methods do not let it
        return desk.labels_zip()

    _html(template("labels.html").render(), js_on_load=static("labels.js"), server_functions=[labels_zip])
    tab.select(desk.quality, None, pages, api_visibility="private", show_progress="hidden")


def _compare_tab(desk: _Desk) -> None:
    file = gr.File(label=f"Film: {FILE_HINT}", type="filepath", height=112, elem_id="compare-upload")
    said = _html("", elem_id="agreement")
    outputs: list[Any] = []
    with gr.Row():
        for index, run in enumerate(desk.runs):
            with gr.Column(min_width=320):
                _html(template("run_name.html").render(run=run))
                outputs += [_script("viewer", elem_id=f"compare-viewer-{index + 1}"), _html("")]
    file.change(
        desk.compare, file, [*outputs, said], api_visibility="private", concurrency_id="read", show_progress="hidden"
    )


def _interfaces(desk: _Desk) -> None:
    """The named endpoints for programs, on fields that the page does not show."""
    with gr.Column(visible=False):
        file = gr.File(label="file", type="filepath")
        files = gr.File(label="files", type="filepath", file_count="multiple")
        texts = [gr.Textbox(label=name) for name in ("sha256", "label", "predicted", "comment")]
        record, go = gr.JSON(label="record"), gr.Button("API")
    go.click(desk.api_predict, file, record, api_name="predict", concurrency_id="read")
    go.click(desk.api_worklist, files, record, api_name="worklist", concurrency_limit=1, concurrency_id="worklist")
    go.click(desk.api_feedback, texts, record, api_name="feedback")
    go.click(desk.api_answers, None, record, api_name="answers")
