"""What the frozen part of a model yields for every image: computed once, kept on disk, reused by later runs.

A frozen layer yields the same in every epoch; to push it through every step wastes most of a CPU's time.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cxr_keras3.base import files, progress
from cxr_keras3.base.batching import filled
from cxr_keras3.base.errors import UserError
from cxr_keras3.images.augment import augment

BATCH_SIZE = 32
_PIECE = 16 * BATCH_SIZE  # images between two notes of how far it got: a second or a few of work
_FEATURES, _PARTIAL, _ROWS = "features.npy", "partial.npy", "rows.json"


def cached(
    extractor: keras.Model,
    images: np.ndarray,
    *,
    identity: Mapping[str, Any],
    views: int,
    seed: int,
    cache_dir: Path,
    task: str,
) -> np.ndarray:
    """Features of images, from the cache where they are there, else computed and put there.

    Killed half-way, it goes on where it was. Two processes that want the same features wait for one another.

    Args:
        extractor: From uint8 (B, 299, 299, 1) to features (B, …); used in inference mode.
        images: uint8 (N, 299, 299, 1).
        identity: Which images these are and how the extractor's graph was made. With the extractor's weights
            it decides what is found in the cache.
        views: Augmented views of each image; 0 for the image as it is.
        seed: Decides the views: (seed, view, index of the image) each.
        cache_dir: Where features are kept; nothing there is ever deleted by the program.
        task: What the progress bar says.

    Returns:
        float16 (max(views, 1), N, …), read from disk as it is used.

    Raises:
        UserError: Where a feature does not fit into float16, or the disk is full.
    """
    key = {**identity, "weights": _weights_fingerprint(extractor), "backend": keras.backend.backend()}
    key |= {"images": len(images), "views": views} | ({"seed": seed} if views else {})
    folder = cache_dir / hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    folder.mkdir(parents=True, exist_ok=True)
    rule = "features are computed by one process"
    with files.exclusive(folder / "lock", rule=rule, remedy="wait", waits=True):
        if not (folder / _FEATURES).exists():
            _compute(extractor, images, views=views, seed=seed, folder=folder, task=task)
            files.write_json(folder / "identity.json", key)
    try:
        found: np.ndarray = np.load(folder / _FEATURES, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{folder} must hold features, it is damaged ({type(error).__name__}); delete it") from error
    progress.say(f"{task}: {found.nbytes / 1e6:,.0f} MB in {folder}")
    return found


def _weights_fingerprint(model: keras.Model) -> str:
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def _compute(extractor: keras.Model, images: np.ndarray, *, views: int, seed: int, folder: Path, task: str) -> None:
    """Fills a file in order, notes how far it got, and gives it its final name when it is complete."""
    shape = (max(views, 1), len(images), *extractor.output_shape[1:])
    partial, noted = folder / _PARTIAL, folder / _ROWS
    done = files.read_json(noted, rule="must hold a number", remedy=f"delete {folder}") if noted.exists() else 0
    if done:
        stored = _partial(partial, shape)
    else:
        stored = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)
    flat = stored.reshape(-1, *shape[2:])
    with progress.bar() as shown:
        bar = shown.add_task(task, total=len(flat), completed=done)
        for start in range(done, len(flat), BATCH_SIZE):
            batch = _views(images, range(start, min(start + BATCH_SIZE, len(flat))), views=views, seed=seed)
            with np.errstate(over="ignore"):  # checked in the next line
                found = np.asarray(extractor.predict_on_batch(filled(batch, BATCH_SIZE)))[: len(batch)].astype(
                    np.float16
                )
            if not np.isfinite(found).all():
                raise UserError("features must fit into float16, these do not; use --fine-tune all to do without")
            flat[start : start + len(batch)] = found
            shown.advance(bar, len(batch))
            if (start + BATCH_SIZE) % _PIECE == 0:
                stored.flush()  # the note must not be ahead of the rows
                files.write_json(noted, start + BATCH_SIZE)
    stored.flush()
    partial.replace(folder / _FEATURES)


def _partial(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """What an earlier command computed, to be gone on with."""
    try:
        stored = np.lib.format.open_memmap(path, mode="r+")
        if stored.shape != shape:
            raise ValueError(f"shape {stored.shape}")  # noqa: TRY301 -- like the others
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} must hold features of shape {shape}, it is damaged ({error}); delete it") from error
    return stored


def _views(images: np.ndarray, rows: range, *, views: int, seed: int) -> np.ndarray:
    """The images of some rows; view after view, each of all images in their order."""
    if not views:
        return images[rows.start : rows.stop]
    places = [divmod(row, len(images)) for row in rows]
    return np.stack([augment(images[index], seed=(seed, view, index)) for view, index in places])
