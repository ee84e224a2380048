"""Scores films in bulk on Ray, on this machine or a cluster, into Parquet tables; a rerun completes what is missing.

Not a medical device: for research only.

Example: python -m cxr_keras3.score --model runs/first films/ shards/2023.tar s3://bucket/films --output scores
"""

import argparse
import os
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_keras3.backend import selection
from cxr_keras3.base import progress
from cxr_keras3.base.errors import SOME_FILES_REFUSED_EXIT_CODE, UserError, run_command

if TYPE_CHECKING:  # --help answers without it
    from cxr_keras3.bulk.pipeline import Count
    from cxr_keras3.bulk.tables import Done

LINE_SECONDS = 30.0  # between lines about what is done, where there is no terminal for a bar
MISSING_RAY = "bulk scoring needs Ray; python -m pip install 'cxr_keras3[ray]'"


def main(arguments: Sequence[str]) -> int:
    """Scores what the output lacks; returns 3 where some files could not be scored."""
    options = _parse(arguments)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # else Ray reports to its makers
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # else this process repeats what is in Ray's log files
    try:
        import ray  # noqa: F401, PLC0415 -- --help answers without it
    except ImportError as error:
        raise UserError(MISSING_RAY) from error
    from cxr_keras3 import __version__  # noqa: PLC0415
    from cxr_keras3.bulk import bundle, listing, pipeline, tables  # noqa: PLC0415
    from cxr_keras3.run import artifact  # noqa: PLC0415
    from cxr_keras3.serving import runtimes  # noqa: PLC0415

    run_dir = options.model or artifact.REFERENCE
    manifest = artifact.load_manifest(run_dir)
    films = listing.films(options.inputs)
    output = options.output.removeprefix("file://")  # a disk, where parts are renamed and the output is locked
    root = output if listing.is_uri(output) else os.fspath(Path(output).absolute())
    progress.say(f"{len(films)} films; starting Ray")
    with _cluster(options.address) as (cpus, found_gpus):
        on_gpus = found_gpus and (run_dir / artifact.MODEL).exists()
        runtime = options.runtime or ("jax" if on_gpus else runtimes.default(run_dir))
        gpus = 0 if runtime == "openvino" else found_gpus
        packed = bundle.pack(run_dir, runtime)
        origin = tables.Origin(tables.SCHEMA_VERSION, manifest.name, packed.fingerprint, runtime, __version__)
        progress.say(f"model: {run_dir}, {runtime}, Ray with {cpus} task slots and {gpus} GPUs")
        with tables.claimed(root, origin):
            done = tables.done(root).names()
            if missing := [film for film in films if film.name not in done]:
                work = pipeline.pieces(missing, slots=cpus)
                counts = pipeline.run(work, bundle=packed, runtime=runtime, gpus=gpus, root=root)
                _show(counts, total=len(films), done=len(films) - len(missing))
            return _report({film.name for film in films}, tables.done(root), root=root)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cxr_keras3.score",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="image file, folder, pattern in quotes, zip or tar archive, .parquet file with the column path, or a URI "
        "that fsspec knows, such as s3://bucket/films; what lies on disks must be seen by the whole cluster",
    )
    add("--output", required=True, metavar="DIR", help="folder or URI for the tables; one that exists is completed")
    add("--model", type=Path, metavar="RUN", help="run folder; the reference model when left out")
    add(
        "--address",
        default="local",
        help="local starts Ray on this machine (the default), auto joins the cluster this machine belongs to; else "
        "the cluster's HOST:PORT",
    )
    add(
        "--runtime",
        choices=selection.RUNTIMES,
        help="what computes; jax where the cluster has a GPU and RUN its model, else openvino where RUN is exported to "
        "it, else Keras on $KERAS_BACKEND or jax",
    )
    return parser.parse_args(arguments)


@contextmanager
def _cluster(address: str) -> Iterator[tuple[int, int]]:
    """Joins or starts a cluster; gives its number of cores and of GPUs."""
    import ray  # noqa: PLC0415 -- see above

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


def _show(counts: "Iterable[Count]", *, total: int, done: int) -> None:
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


def _report(names: Collection[str], found: "Done", *, root: str) -> int:
    """Says what the tables hold of these films, and gives the exit code."""
    lacking = len(set(names) - found.names())
    if lacking:
        raise RuntimeError(f"the tables lack {lacking} films")
    refused = len(set(names) & set(found.refused))
    progress.say(f"scored: {len(names) - refused} of {len(names)}; tables: {root}/scored, reasons: {root}/rejects")
    return SOME_FILES_REFUSED_EXIT_CODE if refused else 0


if __name__ == "__main__":
    run_command(main)
