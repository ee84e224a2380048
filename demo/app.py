"""The page: its layout, and which function answers which event."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from cxr_keras3.run.folder import EVALUATION, REPORT
from cxr_keras3.serving import Predictor
from demo import feedback, worklist
from demo.desk import Desk
from demo.pages import banners, static
from demo.pages import page as template
from demo.server import DELETE_AFTER_SECONDS, MAX_UPLOAD_BYTES
from demo.uploads import Uploads

FILE_HINT = f"PNG, JPEG, TIFF, WebP or DICOM, up to {MAX_UPLOAD_BYTES // 2**20} MiB"
SWEEP_SECONDS = 300


def build_page(predictors: Sequence[Predictor], *, store: feedback.Store, uploads: Uploads) -> gr.Blocks:
    """Builds the page.

    Args:
        predictors: One run, or two to compare.
        store: Where readers' answers go.
        uploads: Remembers and deletes uploads.
    """
    runs = [predictor.run for predictor in predictors]
    desk = Desk(predictors, store, uploads)
    page: gr.Blocks
    with gr.Blocks(
        title="Chest X-ray reader",
        analytics_enabled=False,
        delete_cache=(SWEEP_SECONDS, DELETE_AFTER_SECONDS),
        fill_width=True,
    ) as page:
        header = template("header.html").render(runs=runs, said=[(run.name, banners(run)) for run in runs])
        _html(header, elem_id="header", js_on_load=static("header.js"))
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Study", id="study"):
                shown, strip = _study_tab(desk)
            with gr.Tab("Worklist", id="worklist"):
                _worklist_tab(desk, tabs, shown)
            with gr.Tab("How good is it?", id="quality") as tab:
                _quality_tab(desk, tab)
            if len(runs) == 2:
                with gr.Tab("Compare", id="compare"):
                    _compare_tab(desk)
        _interfaces(desk)
        page.load(desk.examples, None, strip, api_visibility="private", show_progress="hidden")
        page.unload(desk.end)
    return page


def _study_tab(desk: Desk) -> tuple[list[Any], gr.HTML]:
    """Returns what a read film changes, and the strip of examples, which are drawn when the page is opened."""
    read = gr.State(None, time_to_live=DELETE_AFTER_SECONDS)
    with gr.Row(elem_classes="desk"):
        with gr.Column(scale=7, min_width=320, elem_classes="film-side"):
            viewer = _script("viewer", elem_id="viewer")
        with gr.Column(scale=4, min_width=320, elem_classes="side"):
            file = gr.File(label=f"Film: {FILE_HINT}", type="filepath", height=112, elem_id="film-upload")
            strip = _html("", js_on_load=static("examples.js"), min_height=58)
            findings = _html(template("empty.html").render(), elem_id="findings")
            with gr.Column(visible=False, elem_id="feedback", variant="panel") as form:
                _html("<h3>Your reading</h3>")
                agree = gr.Button("Agree", elem_id="agree")
                label = gr.Radio(
                    [(name.replace("_", " "), name) for name in desk.predictor.run.class_names],
                    label="Or another label",
                )
                comment = gr.Textbox(
                    label="Comment, without names", lines=1, max_lines=4, max_length=feedback.MAX_COMMENT
                )
                keep = gr.Checkbox(
                    label="Keep the film too (as the model saw it, without header), to evaluate on", value=False
                )
                save = gr.Button("Save this label", elem_id="save-label")
                kept = _html("", elem_id="kept")
    shown = [viewer, findings, read, form, agree, label, comment, kept]
    reading: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "read", "show_progress": "hidden"}
    file.change(desk.open_upload, file, shown, **reading)
    strip.example(desk.open_example, None, shown, **reading)
    agree.click(desk.agree, [read, comment, keep], kept, api_visibility="private")
    save.click(desk.answer, [read, label, comment, keep], kept, api_visibility="private")
    return shown, strip


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


def _worklist_tab(desk: Desk, tabs: gr.Tabs, shown: list[Any]) -> None:
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


def _quality_tab(desk: Desk, tab: gr.Tab) -> None:
    pages = []
    for run in (predictor.run for predictor in desk.predictors):
        pages.append(_html("<p class='soft'>Drawing the figures …</p>"))
        report, card = run.folder / EVALUATION / REPORT, run.model_card
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


def _compare_tab(desk: Desk) -> None:
    file = gr.File(label=f"Film: {FILE_HINT}", type="filepath", height=112, elem_id="compare-upload")
    said = _html("", elem_id="agreement")
    outputs: list[Any] = []
    with gr.Row():
        for index, run in enumerate(predictor.run for predictor in desk.predictors):
            with gr.Column(min_width=320):
                _html(template("run_name.html").render(run=run))
                outputs += [_script("viewer", elem_id=f"compare-viewer-{index + 1}"), _html("")]
    file.change(
        desk.compare, file, [*outputs, said], api_visibility="private", concurrency_id="read", show_progress="hidden"
    )


def _interfaces(desk: Desk) -> None:
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
