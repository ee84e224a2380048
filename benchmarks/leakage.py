"""What a leak of patients is worth: one model, trained on folds drawn at random and on folds that keep patients whole.

Every image of the dataset is tested once in each way by a model that was not trained on it, so both are measured on the
same images. The model is the preset `laptop` at 128 pixels. What was trained already is kept in OUT, so the run may be
interrupted.

Example: python -m benchmarks.leakage OUT --data-dir ~/tensorflow_datasets --weights imagenet
"""

import argparse
import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cxr_keras3.backend import selection
from cxr_keras3.statistics.bootstrap import mean
from cxr_keras3.training.presets import PRESETS
from tfds_cxr.labels import LABELS

FOLDS = 5
WAYS = ("random", "by patient")


def folds(labels: np.ndarray, groups: np.ndarray, way: str) -> np.ndarray:
    """The fold of each image, int (N,), stratified by class."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold  # noqa: PLC0415 -- a second to import

    kind = StratifiedKFold if way == "random" else StratifiedGroupKFold
    splitter = kind(FOLDS, shuffle=True, random_state=0)
    found = np.empty(len(labels), dtype=int)
    for fold, (_, chosen) in enumerate(splitter.split(labels, labels, groups)):
        found[chosen] = fold
    return found


def answers(split, fold: np.ndarray, number: int, options: argparse.Namespace) -> np.ndarray:  # noqa: ANN001 -- a `data.Split`
    """The class that a model trained on three folds and chosen on a fourth gives to the images of fold `number`."""
    from cxr_keras3.training import stages  # noqa: PLC0415 -- imports Keras

    config = dataclasses.replace(PRESETS["laptop"].config, weights=options.weights, image_size=options.image_size)
    validated = (number + 1) % FOLDS
    model = stages.initial_model(config)
    with tempfile.TemporaryDirectory() as folder:
        stages.fit_stages(
            model,
            config,
            split.subset((fold != number) & (fold != validated)),
            split.subset(fold == validated),
            identity={"fold": number},
            run_dir=Path(folder),
            cache_dir=Path(folder) / "cache",
        )
    logits = model.predict(split.images[fold == number], batch_size=64, verbose=0)
    return np.asarray(logits).argmax(axis=1)


def seen_in_training(patients: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Whether the patient of each image is in its training folds, bool (N,)."""
    found = np.zeros(len(patients), dtype=bool)
    for number in range(FOLDS):
        trained = (fold != number) & (fold != (number + 1) % FOLDS)
        known = np.setdiff1d(patients[trained], [""])
        found |= (fold == number) & np.isin(patients, known)
    return found


def report(split, right: dict[str, np.ndarray], leaked: np.ndarray) -> None:  # noqa: ANN001 -- a `data.Split`
    """Prints accuracies, their paired difference with intervals over groups, and the share that leaks."""
    print(f"\n{len(split)} images, {FOLDS} folds; intervals of 95 % over groups\n")
    print(
        "| test images | number | patient in training | random | by patient | difference |\n|---|---|---|---|---|---|"
    )
    rows = {"all": np.ones(len(split), dtype=bool)}
    rows |= {label: split.labels == number for number, label in enumerate(LABELS)}
    rows["patient in training, in the random folds"] = leaked
    rows["of RSNA, patient not in training"] = (split.sources == "rsna") & ~leaked
    for name, chosen in rows.items():
        random, grouped = (right[way][chosen].astype(float) for way in WAYS)
        gap = mean(random - grouped, groups=split.group_ids[chosen]).defined
        print(
            f"| {name} | {chosen.sum()} | {leaked[chosen].mean():.0%} | {random.mean():.3f} | {grouped.mean():.3f} | "
            f"{gap.value:+.3f} ({gap.low:+.3f} to {gap.high:+.3f}) |"
        )


def main() -> None:
    """Trains what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder that keeps the answers")
    parser.add_argument("--data-dir", type=Path, help="folder of built datasets; TFDS's default when left out")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--backend", default="jax")
    options = parser.parse_args()
    selection.select(options.backend)
    import keras  # noqa: PLC0415 -- after the backend is chosen

    from cxr_keras3.training import data  # noqa: PLC0415 -- imports Keras

    builder = data.prepare(data_dir=options.data_dir, manual_dir=None)
    split = joined([data.load_split(builder, name) for name in data.SPLITS])
    options.out.mkdir(parents=True, exist_ok=True)
    right, leaked = {}, np.zeros(len(split), dtype=bool)
    for way in WAYS:
        fold = folds(split.labels, split.group_ids, way)
        predicted = np.empty(len(split), dtype=int)
        for number in range(FOLDS):
            kept = options.out / f"{way.replace(' ', '-')}-{number}.npy"
            if not kept.exists():
                keras.utils.set_random_seed(number)
                np.save(kept, answers(split, fold, number, options))
            predicted[fold == number] = np.load(kept)
        right[way] = predicted == split.labels
        if way == "random":
            leaked = seen_in_training(split.patient_ids, fold)
    report(split, right, leaked)


def joined(parts: Sequence):  # noqa: ANN201 -- a `data.Split`
    """All splits as one."""
    names = [field.name for field in dataclasses.fields(parts[0])]
    return type(parts[0])(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


if __name__ == "__main__":
    main()
