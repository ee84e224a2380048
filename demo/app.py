"""The page: its layout, and which function answers which question of its scripts."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import anyio.to_thread
import gradio as gr
from pydantic import BaseModel, ValidationError

from cxr_keras3.base.errors import UserError
from cxr_keras3.images.isolated import Decoders
from cxr_keras3.serving import Predictor
from demo import answers, questions
from demo.desk import Desk, sentence
from demo.endpoints import Endpoints, Messages
from demo.pages import banners, static
from demo.pages import page as template
from demo.server import AT_ONCE, DELETE_AFTER_SECONDS, QUEUE_LENGTH
from demo.uploads import Uploads

SWEEP_SECONDS = 300
Answer = Callable[[Any, gr.Request], Awaitable[dict[str, Any]]]


def build_page(
    predictors: Sequence[Predictor],
    *,
    decoders: Decoders,
    store: answers.Store,
    uploads: Uploads,
    asks_for_user: bool = False,
    said: str | None = None,
) -> gr.Blocks:
    """Builds the page.

    Args:
        predictors: One run, or two to compare.
        decoders: Decode the films of strangers.
        store: Where readers' answers go.
        uploads: Remembers and deletes uploads.
        asks_for_user: Whether readers log in, and may log out.
        said: A sentence that stands on every tab, beside what must be said of the runs.
    """
    runs = [predictor.run for predictor in predictors]
    answering = Desk(predictors, decoders, store, uploads)
    page: gr.Blocks
    with gr.Blocks(
        title="Chest X-ray reader",
        analytics_enabled=False,
        delete_cache=(SWEEP_SECONDS, DELETE_AFTER_SECONDS),
        fill_width=True,
    ) as page:
        sentences = [("", [said] if said else []), *((run.name, banners(run)) for run in runs)]
        header = template("header.html").render(runs=runs, said=sentences, asks_for_user=asks_for_user)
        _html(header, elem_id="header", js_on_load=static("header.js"))
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Study", id="study", elem_id="tab-study"):
                _script("study", server_functions=_server_functions(answering))
            with gr.Tab("Worklist", id="worklist", elem_id="tab-worklist"):
                _script("worklist")
            with gr.Tab("How good is it?", id="quality", elem_id="tab-quality") as tab:
                _quality_tab(answering, tab)
            if len(runs) == 2:
                with gr.Tab("Compare", id="compare", elem_id="tab-compare"):
                    _script("compare")
        _html(template("programs.html").render(), js_on_load=_start("programs"))
        _interfaces(Endpoints(answering))
        page.unload(answering.end)
    return page


def _server_functions(answering: Desk) -> list[Answer]:
    """What the page's scripts call; films are few at a time, questions for rows wait beside them."""
    films, others = anyio.CapacityLimiter(AT_ONCE), anyio.CapacityLimiter(10 * AT_ONCE)
    return [
        _answer(answering.greet, None, others),
        _answer(answering.read, questions.Film, films),
        _answer(answering.whole, questions.Film, films),
        _answer(answering.result, questions.Film, films),
        _answer(answering.priors, questions.Listed, others),
        _answer(answering.compare, questions.Film, films),
        _answer(answering.add_films, questions.Films, others),
        _answer(answering.rows, questions.Place, others),
        _answer(answering.stop, questions.Place, others),
        _answer(answering.table, questions.Chosen, others),
        _answer(answering.answer, questions.Said, films),
        _answer(answering.withdraw, questions.Answered, others),
        _answer(answering.answered, questions.Answered, others),
        _answer(answering.report, questions.Numbered, others),
        _answer(answering.labels_zip, None, others),
    ]


def _answer(
    function: Callable[[Any, str], dict[str, Any]], kind: type[BaseModel] | None, limiter: anyio.CapacityLimiter
) -> Answer:
    """A function as Gradio's component server calls it: what was asked is checked, and mistakes come as a sentence."""

    async def answer(asked: Any, request: gr.Request) -> dict[str, Any]:  # noqa: ANN401 -- anyone may send anything
        if limiter.statistics().tasks_waiting >= QUEUE_LENGTH:
            return {"error": "Too many readers at once: try again in a minute."}
        # The annotation is how Gradio knows the argument; what it hands over is FastAPI's request.
        session = (await request.json())["session_hash"]
        try:
            checked = kind.model_validate(asked) if kind else None
            return await anyio.to_thread.run_sync(function, checked, session, limiter=limiter)
        except UserError as error:
            return {"error": sentence(error)}
        except ValidationError:
            return {"error": "The server does not understand this page: reload it."}

    answer.__name__ = function.__name__
    return answer


def _html(value: str, *, js_on_load: str | None = None, **options: Any) -> gr.HTML:  # noqa: ANN401 -- for Gradio
    """A piece of the page that templates made, in our style and not in Gradio's."""
    return gr.HTML(value, js_on_load=js_on_load, apply_default_css=False, **options)


def _script(name: str, **options: Any) -> gr.HTML:  # noqa: ANN401 -- for Gradio
    """A piece of the page that the module of its name brings to life.

    Its template must stay constant: Gradio fills a template in and then runs the outcome as a JavaScript template
    literal, so a file name such as "${…}" in it would be run.
    """
    markup = static(f"{name}.html").replace("<!-- viewer -->", static("viewer.html"))
    return gr.HTML(None, html_template=markup, js_on_load=_start(name), apply_default_css=False, **options)


def _start(name: str) -> str:
    """What brings a piece of the page to life by the module of its name."""
    root = "new URL(window.gradio_config.root).pathname.replace(/[/]$/, '')"
    return f"import({root} + '/scripts/{name}.js').then((module) => module.start(element, server));"


def _quality_tab(answering: Desk, tab: gr.Tab) -> None:
    pages = []
    for run in (predictor.run for predictor in answering.predictors):
        pages.append(_html("<p class='soft'>Drawing the figures …</p>"))
        if run.model_card:
            with gr.Column(elem_classes="narrow"), gr.Accordion("Model card", open=False):
                gr.Markdown(run.model_card)
    pages.append(_html(""))
    _script("quality")
    tab.select(_with_messages(answering.quality), None, pages, api_visibility="private", show_progress="hidden")


def _with_messages(function: Callable[[], list[str]]) -> Callable[[], list[str]]:
    def called() -> list[str]:
        with Messages():
            return function()

    return called


def _interfaces(endpoints: Endpoints) -> None:
    """The named endpoints for programs, on fields that the page does not show."""
    with gr.Column(visible=False):
        file = gr.File(label="file", type="filepath")
        files = gr.File(label="files", type="filepath", file_count="multiple")
        texts = [gr.Textbox(label=name) for name in ("sha256", "label", "predicted", "comment", "reader")]
        record, go = gr.JSON(label="record"), gr.Button("API")
    go.click(endpoints.predict, file, record, api_name="predict", concurrency_id="read")
    go.click(endpoints.worklist, files, record, api_name="worklist", concurrency_id="worklist")
    go.click(endpoints.feedback, texts, record, api_name="feedback")
    go.click(endpoints.answers, None, record, api_name="answers")
