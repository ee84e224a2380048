"""Does the audit find a planted shortcut, name the right one, and pass a model that has none?

For each seed and each variant (no clue, or one of those that can be planted) phantoms are drawn, a classifier is
trained on them and evaluated by the commands that a user has. What is there already is not done again, so the run may
be interrupted. The table goes to OUT/audit.csv and to the terminal; the exit code is 1 where a verdict is wrong.

With --repair the classifiers are trained with other surroundings and appearances, and the question is whether the
planted clue still costs answers: more than two in a hundred with another class's clue is wrong.

Example: python -m checks.audit runs/audit --seeds 10
"""

import argparse
import csv
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cxr_keras3.run.audit import Audit
from cxr_keras3.run.folder import Run
from tfds_cxr.phantom import SHORTCUTS

CLEAN = "none"
VARIANTS = (CLEAN, *SHORTCUTS)
# Small enough for a few minutes of a core a run. All layers are trained on, so that a model may learn the clue.
TRAINING = (
    "--preset", "laptop", "--image-size", "128", "--batch-size", "16", "--head-epochs", "2", "--fine-tune-epochs", "4",
)  # fmt: skip
# A model that does without the clue has no shortcut to be named. Augmentation erases frames; at 128 pixels little is
# left of sharpness; and who finds the findings needs no view, but a last layer on features of real films does not.
TEMPTED = {
    "border": ("--augment", "False"),
    "sharpness": ("--image-size", "224"),
    "view": ("--fine-tune", "none", "--head-epochs", "30"),
}
REPAIR = ("--class-balance", "strata", "--surroundings", "0.7", "--appearance", "0.7")
REPAIRED = 0.02
"""Most of the answers that a planted clue may cost after repair."""


def train(folder: Path, *, variant: str, seed: int, per_class: int, weights: str, repair: bool) -> None:
    """Draws, trains and evaluates; leaves the run in `folder`, and the drawings nowhere."""
    drawings, run = folder.with_name(folder.name + "-drawings"), folder.with_name(folder.name + "-unfinished")
    for unfinished in (drawings, run):
        shutil.rmtree(unfinished, ignore_errors=True)
    clue = () if variant == CLEAN else ("--shortcut", variant)
    draw = ("-m", "tfds_cxr.phantom", str(drawings), "--per-class", str(per_class), "--seed", str(seed), *clue)
    training = (*TRAINING, *(REPAIR if repair else TEMPTED.get(variant, ())))
    learn = ("-m", "cxr_keras3.train", *training, "--weights", weights, "--seed", str(seed))
    places = ("--manual-dir", str(drawings), "--data-dir", str(drawings / "dataset"), "--run-dir", str(run))
    for command in (draw, (*learn, *places)):
        subprocess.run([sys.executable, *command], check=True)
    run.rename(folder)
    shutil.rmtree(drawings)


def row(folder: Path, *, variant: str, seed: int, repair: bool) -> dict[str, Any]:
    """What the audit said of a run, and whether that is right."""
    metrics = Run.open(folder).metrics
    if metrics is None:
        raise RuntimeError(f"{folder} was trained and not evaluated")
    audit = metrics.audit
    expected = ("PASS", None) if variant == CLEAN else ("FAIL", variant)
    share, view = audit.regions.background_share.value, audit.subgroups.view.gap
    return {
        "variant": variant,
        "seed": seed,
        "images": metrics.images,
        "accuracy": f"{metrics.accuracy.value:.3f}",
        "margin": f"{audit.margin.value:+.3f} over {audit.margin.floor}",
        **{name: f"{cue.value:+.2f} ({cue.low:+.2f} to {cue.high:+.2f})" for name, cue in audit.cues.items()},
        "view": "" if view.value is None else f"{view.value:+.2f} ({view.low:+.2f} to {view.high:+.2f})",
        "without lungs": "" if share is None else f"{share:.2f}",
        "verdict": audit.verdict,
        "named": audit.shortcut or "",
        "right": _repaired(audit, variant) if repair else (audit.verdict, audit.shortcut) == expected,
    }


def _repaired(audit: Audit, variant: str) -> bool:
    """Whether the planted clue costs next to nothing; without one, and for the view, whether none is named."""
    if variant not in audit.cues:
        return audit.shortcut is None
    return (audit.cues[variant].value or 0.0) <= REPAIRED


def main() -> int:
    """Trains what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder that receives a run for each variant and seed")
    parser.add_argument("--weights", default="reference", help="as cxr_keras3.train takes it (default: reference)")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--per-class", type=int, default=300, help="phantoms of each class (default: 300)")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--repair", action="store_true", help="train against the clues, and see whether they are gone")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in range(options.seeds):
        for variant in options.variants:
            folder = options.out / f"{variant}-{seed}"
            if not folder.exists():
                train(
                    folder,
                    variant=variant,
                    seed=seed,
                    per_class=options.per_class,
                    weights=options.weights,
                    repair=options.repair,
                )
            rows.append(row(folder, variant=variant, seed=seed, repair=options.repair))
            with (options.out / "audit.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, fieldnames=list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
    table = Table(*rows[0])
    for found in rows:
        table.add_row(*(str(value) for value in found.values()))
    Console(width=190).print(table)
    print(f"{sum(found['right'] for found in rows)} of {len(rows)} right")
    return 0 if all(found["right"] for found in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
