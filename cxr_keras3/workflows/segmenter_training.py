"""Training a segmenter and writing its folder."""

from pathlib import Path

from cxr_keras3.base import progress
from cxr_keras3.base.errors import UserError
from cxr_keras3.lungs import data, saving, training
from cxr_keras3.lungs.segmenter import Segmenter
from tfds_cxr import reading

PHANTOMS = 0.1
"""Drawn films among those learnt from, as a share of the others."""


def train(folder: Path, *, data_dir: Path | None, weights: str, epochs: int, seed: int, teacher: Path | None) -> None:
    """Trains a segmenter on the films of the dataset that have a lung mask.

    Args:
        folder: Where it goes.
        data_dir: Folder of built datasets; TFDS's default when None.
        weights: The backbone's initial weights.
        epochs: Passes over the films.
        seed: Decides weights, order and changes.
        teacher: Folder of a segmenter whose sure outlines of clear films are learnt from, too; None for none.

    Raises:
        UserError: Where there are no masks, or no epoch.
    """
    if epochs < 1:
        raise UserError(f"--epochs must be at least 1, received {epochs}")
    builder = reading.find(data_dir)
    learnt, validated = (data.of_split(builder, split) for split in ("train", "validation"))
    drawn = data.of_phantoms(round(PHANTOMS * len(learnt)), seed=seed)
    parts = [learnt, drawn]
    if teacher is not None:
        parts.append(data.of_teacher(builder, "train", teacher=Segmenter.open(teacher), largest=len(learnt)))
    counts = {"drawn by people": len(learnt), "phantoms": len(drawn), "by a teacher": sum(map(len, parts[2:]))}
    progress.say(
        f"outlined films to learn from: {', '.join(f'{count} {name}' for name, count in counts.items())}; "
        f"{len(validated)} to choose the best epoch on"
    )
    schedule = training.Schedule(epochs=epochs, seed=seed)
    model, rows = training.train(data.together(parts), validated, weights=weights, schedule=schedule)
    saved = saving.save(
        model,
        folder,
        schedule=schedule,
        data={
            "version": str(builder.version),
            "train": counts,
            "validation": len(validated),
        },
        validation_dice=max(row["dice"] for row in rows),
        films=validated.images,
    )
    progress.say(f"segmenter: {folder}, Dice {saved.manifest.validation_dice:.3f} on the validation films")
