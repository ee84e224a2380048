"""The bulk command, once its arguments are read: list the films, start Ray, score what is missing, and report."""

import json
import os
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import ray

from cxr_keras3.base import progress
from cxr_keras3.base.errors import SOME_FILES_REFUSED_EXIT_CODE, UserError
from cxr_keras3.base.version import __version__
from cxr_keras3.bulk import bundle, listing, pipeline, tables
from cxr_keras3.run import drift
from cxr_keras3.run.folder import MODEL, Run
from cxr_keras3.serving import runtimes

LINE_SECONDS = 30.0
"""Between lines about what is done, where there is no terminal for a bar."""


def score(
    inputs: Sequence[str],
    *,
    output: str,
    run_dir: Path | None,
    site: Path | None,
    address: str,
    runtime: str | None,
) -> int:
    """Scores what the output lacks; returns the exit code, which tells whether some files were refused.

    Args:
        inputs: Files, folders, patterns, archives, lists and URIs.
        output: Folder or URI for the tables.
        run_dir: The run; the reference model when None.
        site: Profile of the hospital that the films come from; None where that is not known.
        address: Of the Ray cluster; "local" starts one here.
        runtime: See `runtimes.load_runtime`; JAX where the cluster has a GPU and the run its model, when None.
    """
    run = Run.open(run_dir, site=site)
    films = listing.films(inputs)
    output = output.removeprefix("file://")  # a disk, where parts are renamed and the output is locked
    root = output if listing.is_uri(output) else os.fspath(Path(output).absolute())
    progress.say(f"{len(films)} films; starting Ray")
    with _cluster(address) as (cpus, found_gpus):
        on_gpus = found_gpus and (run.folder / MODEL).exists()
        runtime = runtime or ("jax" if on_gpus else runtimes.default(run))
        gpus = 0 if runtime == "openvino" else found_gpus
        packed = bundle.pack(run, runtime)
        origin = tables.Origin(tables.SCHEMA_VERSION, run.name, run.fingerprint, runtime, __version__)
        progress.say(f"model: {run.folder}, {runtime}, Ray with {cpus} task slots and {gpus} GPUs")
        with tables.claimed(root, origin):
            done = tables.done(root).names()
            if missing := [film for film in films if film.name not in done]:
                work = pipeline.pieces(missing, slots=cpus)
                counts = pipeline.score_pieces(work, bundle=packed, runtime=runtime, gpus=gpus, root=root)
                _show(counts, total=len(films), done=len(films) - len(missing))
            _compare(run, root)
            return _report({film.name for film in films}, tables.done(root), root=root)


@contextmanager
def _cluster(address: str) -> Iterator[tuple[int, int]]:
    """Joins or starts a cluster; gives its number of cores and of GPUs."""
    settings: dict[str, object] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        # Ray counts the machine's cores; this process may have been given fewer. (macOS has no such call.)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        settings |= {"num_cpus": cores, "include_dashboard": False}
    try:
        ray.init(address=address, **settings)
    except (ConnectionError, ValueError) as error:
        raise UserError(f"--address must be that of a running Ray cluster, received {address} ({error})") from error
    try:
        found = ray.cluster_resources()
        if not found.get("CPU"):
            raise UserError(f"the cluster must have a core for decoding, {address} has none; add a node")
        yield int(found["CPU"]), int(found.get("GPU", 0))
    finally:
        ray.shutdown()


def _show(counts: Iterable[pipeline.Count], *, total: int, done: int) -> None:
    """A bar on a terminal, elsewhere a line now and then: films a second, refused, left."""
    refused, begun, before = 0, time.monotonic(), done
    told = begun
    with progress.bar() as shown:
        task = shown.add_task("scoring", total=total, completed=done)
        for count in counts:
            done, refused = done + count.scored + count.refused, refused + count.refused
            shown.update(task, completed=done, description=f"scoring, {refused} refused")
            now = time.monotonic()
            if not progress.console.is_terminal and now - told >= LINE_SECONDS:
                told, rate = now, (done - before) / (now - begun)
                progress.say(f"{done} of {total} films, {rate:.3g}/s, {refused} refused, {total - done} left")


def _compare(run: Run, root: str) -> None:
    """Writes how far all scored films differ from those that the run was validated on, and says so where they do."""
    if run.gate is None or run.abnormality is None or not tables.done(root).scored:
        return
    distances, scores = tables.measured(root)
    found = drift.differences(run, distances=distances, scores=scores)
    tables.publish(root, tables.DRIFT, json.dumps({name: asdict(each) for name, each in found.items()}).encode())
    if len(distances) >= drift.WINDOW and any(each.p_value < drift.ALARM for each in found.values()):
        said = ", ".join(f"{name.replace('_', ' ')} {each.statistic:.2f}" for name, each in found.items())
        progress.say(
            f"note: these {len(distances)} films differ from those that the run was validated on (Kolmogorov-Smirnov: "
            f"{said}); commission the site: python -m cxr_keras3.commission"
        )


def _report(names: Collection[str], found: tables.Done, *, root: str) -> int:
    """Says what the tables hold of these films, and gives the exit code."""
    lacking = len(set(names) - found.names())
    if lacking:
        raise RuntimeError(f"the tables lack {lacking} films")
    refused = len(set(names) & set(found.refused))
    progress.say(f"scored: {len(names) - refused} of {len(names)}; tables: {root}/scored, reasons: {root}/rejects")
    return SOME_FILES_REFUSED_EXIT_CODE if refused else 0
