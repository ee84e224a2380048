"""The work as Ray Data runs it: decoding in tasks, the model and the writing in actors, with Ray's back-pressure.

A row of the dataset is a whole piece of up to 128 films and not a film: so a piece is never divided, its
answers go into one part of the output, and whatever Ray does again after a loss is written to the same place.
"""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ray

from cxr_keras3 import serving
from cxr_keras3.base.batching import BATCH_SIZE
from cxr_keras3.base.errors import UserError
from cxr_keras3.bulk import tables
from cxr_keras3.bulk.bundle import unpack
from cxr_keras3.bulk.listing import Location
from cxr_keras3.bulk.reading import STORE_SILENT, Decoded, decode
from cxr_keras3.images import ImageError
from cxr_keras3.run.site import FILE
from cxr_keras3.serving.inputs import Input

MOST_FILMS = 128  # of a piece: small enough to be done again, large enough for tables of not too many parts
PIECES_PER_SLOT = 8  # so that all are busy until near the end
_ATTEMPTS = 4  # of a piece whose store does not answer

Row = dict[str, Any]


@dataclass(frozen=True)
class Piece:
    """Films whose answers make one part of the output."""

    part: str
    films: Sequence[Location]


@dataclass(frozen=True)
class Count:
    """What became of a piece."""

    scored: int
    refused: int


def pieces(films: Sequence[Location], *, slots: int) -> list[Piece]:
    """Cuts films into pieces of whole batches, several for each of the slots that decode."""
    size = min(max(len(films) // (PIECES_PER_SLOT * slots) // BATCH_SIZE, 1) * BATCH_SIZE, MOST_FILMS)
    cut = [tuple(films[start : start + size]) for start in range(0, len(films), size)]
    return [Piece(tables.part_name([film.name for film in chosen]), chosen) for chosen in cut]


def score_pieces(work: Sequence[Piece], *, bundle: bytes, runtime: str, gpus: int, root: str) -> Iterator[Count]:
    """Scores pieces on the cluster that Ray is connected to, and counts them as they are written.

    Args:
        work: From `pieces`; at least one.
        bundle: The run, from `bundle.pack`.
        runtime: One of `serving.runtimes.RUNTIMES`.
        gpus: GPUs of the cluster, each of which gets an actor; 0 computes on the cores.
        root: Where the tables are.

    Raises:
        UserError: Where a machine cannot load the model or does not see the inputs, or a store does not answer.
    """
    context = ray.data.DataContext.get_current()
    logging.getLogger("ray.data").setLevel("CRITICAL")  # it tells its plans, and errors that are raised as well
    context.enable_progress_bars = False  # the command has its own
    context.retried_map_errors, context.max_map_retries = [STORE_SILENT], _ATTEMPTS - 1
    # OpenVINO and Keras use all cores of a machine from one process.
    most = gpus or sum(node["Alive"] for node in ray.nodes())
    # Without GPUs an actor takes no slot: with one it would leave a core idle where decoding is the bottleneck.
    resources = {"num_gpus": 1} if gpus else {"num_cpus": 0}
    actors = ray.data.ActorPoolStrategy(
        min_size=1,
        max_size=most,
        max_concurrent_calls_per_actor=2,  # one computes while the other writes
        enable_true_multi_threading=True,
    )
    dataset = (
        ray.data.from_items([{"piece": piece} for piece in work], override_num_blocks=len(work))
        .map(_decode, num_cpus=1)
        .map(
            _Scorer,
            fn_constructor_args=(ray.put(bundle), runtime, gpus > 0, root),
            compute=actors,
            **resources,
        )
    )
    try:
        for row in dataset.iter_rows():
            yield Count(row["scored"], row["refused"])
    except ray.exceptions.RayError as error:
        # Of what a worker raised, Ray hands on the text.
        _, found, message = str(error).rpartition(f"{UserError.__module__}.{UserError.__qualname__}: ")
        if found:
            raise UserError(message.splitlines()[0]) from error
        raise


def _decode(row: Row) -> Row:
    piece: Piece = row["piece"]
    return {"part": piece.part, "decoded": _Whole(tuple(decode(film) for film in piece.films))}


@dataclass(frozen=True)
class _Whole:
    """Keeps Ray from taking a piece apart into columns."""

    items: tuple[Any, ...]


class _Scorer:
    """An actor: the model, loaded once, and the hand that writes."""

    def __init__(self, bundle: Any, runtime: str, on_gpu: bool, root: str) -> None:  # noqa: ANN401 -- a reference of Ray's
        self._root = root
        self._folder = tempfile.TemporaryDirectory()  # OpenVINO reads it when the first batch comes
        run_dir = Path(self._folder.name)
        unpack(ray.get(bundle), run_dir)
        site = run_dir / FILE
        self._predictor = serving.load(run_dir, site=site if site.exists() else None, runtime=runtime)
        if on_gpu and runtime == "jax":
            _require_gpu()

    def __call__(self, row: Row) -> Row:
        films: tuple[Decoded, ...] = row["decoded"].items
        inputs = [Input(film.name, film.film or partial(_refuse, film.reason)) for film in films]
        predictions = self._predictor.predict(inputs)
        records = [
            {"key": film.key or None, **prediction.record()}
            for film, prediction in zip(films, predictions, strict=True)
        ]
        names = self._predictor.run.class_names
        scored, refused = tables.write(self._root, row["part"], records, class_names=names)
        return {"scored": scored, "refused": refused}


def _refuse(reason: str) -> bytes:
    """Raises why there is no film, so that the predictor words the refusal."""
    raise ImageError(reason)


def _require_gpu() -> None:
    import jax  # noqa: PLC0415 -- only where it computes

    if jax.default_backend() == "cpu":
        raise UserError("JAX must find the GPU that Ray gave it, it does not; python -m pip install 'cxr_keras3[gpu]'")
