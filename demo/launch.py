"""Starting the demo, once its arguments are read: listen, load the runs, build the page, serve."""

import argparse
import socket
import threading

from cxr_keras3 import serving
from cxr_keras3.base import progress
from cxr_keras3.images.isolated import Decoders
from cxr_keras3.run.folder import Run
from demo import answers, server
from demo.pages import banners

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def launch(options: argparse.Namespace, *, login: tuple[str, str] | None) -> None:
    """Serves the page until interrupted.

    Args:
        options: The command's arguments.
        login: User and password; None to let anyone in.
    """
    runs = [Run.open(folder, site=options.site) for folder in options.model or [None]]
    listening = server.listen(options.host, options.port)
    with Decoders() as decoders:
        predictors = [serving.load(run, runtime=options.runtime, decode=decoders.decode) for run in runs]
        _serve(options, predictors, decoders, listening, login=login)


def _serve(
    options: argparse.Namespace,
    predictors: list[serving.Predictor],
    decoders: Decoders,
    listening: socket.socket,
    *,
    login: tuple[str, str] | None,
) -> None:
    runs = [predictor.run for predictor in predictors]
    for predictor in predictors:
        progress.say(f"model: {predictor.run.folder}, {predictor.description}")
        for sentence in banners(predictor.run):
            progress.say(f"note: {sentence}")
    if options.host not in LOOPBACK and login is None:
        progress.say(f"note: whoever reaches {options.host} can use the page; --user asks for a password")
    # OpenVINO compiles on its own threads while Gradio's modules are imported, most of the start.
    threading.Thread(target=_warm_up, args=(predictors,), name="warm-up").start()
    with server.upload_folder() as folder:
        server.import_gradio(folder)
        from demo import app, uploads  # noqa: PLC0415 -- imports Gradio

        store = answers.Store(options.feedback or runs[0].results_folder / "feedback", runs[0].class_names)
        kept = uploads.Uploads(folder)
        page = app.build_page(
            predictors,
            decoders=decoders,
            store=store,
            uploads=kept,
            asks_for_user=login is not None,
            said=options.banner,
        )
        hosts = [*options.allow_host, options.host]
        served = server.application(
            page, model=runs[0].name, login=login, hosts=hosts, root=options.root_path, framed_by=options.framed_by
        )
        server.serve(served, listening=listening, say=progress.say)


def _warm_up(predictors: list[serving.Predictor]) -> None:
    for predictor in predictors:
        predictor.warm_up()
