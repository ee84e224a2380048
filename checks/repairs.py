"""What each repair of training does on real images, alone and together: at home, in the audit, and at other hospitals.

For each seed and each recipe a classifier is trained and evaluated by the commands that a user has, and predicts the
films of hospitals that it has not seen: EXTERNAL/SET/CLASS/*. What is there already is not done again, so the run may
be interrupted. Each run is a row of OUT/repairs.csv, with 95 % intervals; the table on the terminal and in
OUT/summary.csv is the mean over the seeds, with the lowest and the highest.

Everything is small, so that a run takes minutes of a core: the comparison counts, and not the height of a figure.

Example: python -m checks.repairs OUT --external FOLDER --data-dir DIR --weights mobilenet_2_5_224_tf_no_top.h5
"""

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score

from cxr_keras3.run.folder import Run
from cxr_keras3.statistics.figures import Figure

TRAINING = ("--preset", "laptop", "--image-size", "96", "--head-epochs", "5", "--fine-tune-epochs", "5")
STRATA, APPEARANCE, SURROUNDINGS = (
    ("--class-balance", "strata"),
    ("--appearance", "0.5"),
    ("--surroundings", "0.5"),
)
RECIPES: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "strata": STRATA,
    "appearance": APPEARANCE,
    "surroundings": SURROUNDINGS,
    "strata, appearance": (*STRATA, *APPEARANCE),
    "all three": (*STRATA, *APPEARANCE, *SURROUNDINGS),
    "members": (*STRATA, *APPEARANCE, "--folds", "3"),
}
NORMAL = "Normal"


def train(run: Path, *, recipe: str, seed: int, data_dir: Path, weights: str) -> None:
    """Trains and evaluates; goes on where an interrupted one stopped."""
    options = (*TRAINING, *RECIPES[recipe], "--seed", str(seed), "--weights", weights)
    places = ("--data-dir", str(data_dir), "--run-dir", str(run))
    subprocess.run([sys.executable, "-m", "cxr_keras3.train", *options, *places], check=True)


def predict(run: Path, external: Path) -> list[dict[str, Any]]:
    """What a run says of the external films, one record a film."""
    found = run / "external.jsonl"
    if not found.exists():
        unfinished = found.with_name("unfinished.jsonl")
        unfinished.unlink(missing_ok=True)
        command = [sys.executable, "-m", "cxr_keras3.predict", str(external), "--model", str(run)]
        done = subprocess.run([*command, "--output", str(unfinished)], check=False)
        if not unfinished.exists():
            raise RuntimeError(f"predict ended with {done.returncode} and no answers")
        unfinished.rename(found)  # some films may be refused, which the exit code says
    return [json.loads(line) for line in found.read_text(encoding="utf-8").splitlines()]


def at_home(run: Path) -> dict[str, Figure]:
    """Figures of the run's own test split and its audit."""
    metrics = Run.open(run).metrics
    if metrics is None or metrics.triage is None:
        raise RuntimeError(f"{run} was trained and not evaluated, or not calibrated")
    audit = metrics.audit
    normal = [audit.subgroups.by_attribute["view"][view].recall[NORMAL] for view in ("AP", "PA")]
    return {
        "balanced accuracy": metrics.balanced_accuracy,
        "AUROC of abnormal": metrics.triage.auroc,
        "Normal on AP": normal[0],
        "Normal on PA": normal[1],
        **{f"lost to another's {name}": cue for name, cue in audit.cues.items()},
        "lost where the view is unusual": audit.subgroups.view.gap,
        "kept without lungs": audit.regions.background_share,
        "lost to 224 pixels and JPEG": audit.degraded["all"],
        **{f"source of {name} told": figure for name, figure in audit.sources.probe.items()},
    }


def abroad(records: Sequence[Mapping[str, Any]], external: Path) -> dict[str, float]:
    """Shares called COVID and flagged, by set and class, and how well abnormal films are told from normal ones."""
    found: dict[str, float] = {}
    sets: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for record in records:
        if record["accepted"]:
            name, label = Path(record["file"]).relative_to(external).parts[:2]
            sets.setdefault(name, {}).setdefault(label, []).append(record)
    for name, classes in sorted(sets.items()):
        for label, films in sorted(classes.items()):
            called = [max(film["probabilities"], key=film["probabilities"].get) == "COVID" for film in films]
            found[f"{name}, {label}: called COVID"] = sum(called) / len(films)
            found[f"{name}, {label}: flagged"] = sum(film["flag"] for film in films) / len(films)
        if NORMAL in classes and len(classes) > 1:
            scored = [(label != NORMAL, film["abnormal_score"]) for label, each in classes.items() for film in each]
            found[f"{name}: AUROC of abnormal"] = float(roc_auc_score(*zip(*scored, strict=True)))
    return found


def main() -> None:
    """Trains what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder that receives a run for each recipe and seed")
    parser.add_argument("--external", type=Path, required=True, help="films of other hospitals: SET/CLASS/*")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of built datasets")
    parser.add_argument("--weights", default="imagenet", help="as cxr_keras3.train takes it (default: imagenet)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    external = options.external.absolute()
    rows: list[dict[str, Any]] = []
    figures: dict[str, dict[str, list[float]]] = {recipe: {} for recipe in options.recipes}
    for seed in options.seeds:
        for recipe in options.recipes:
            run = options.out / f"{recipe.replace(', ', '-').replace(' ', '-')}-{seed}"
            if not (run / "evaluation" / "metrics.json").exists():
                train(run, recipe=recipe, seed=seed, data_dir=options.data_dir, weights=options.weights)
            home, away = at_home(run), abroad(predict(run, external), external)
            for name, value in ({key: figure.value for key, figure in home.items()} | away).items():
                figures[recipe].setdefault(name, []).append(float("nan") if value is None else value)
            written = {name: _interval(figure) for name, figure in home.items()}
            written |= {name: f"{value:.3f}" for name, value in away.items()}
            rows.append({"recipe": recipe, "seed": seed, **written})
            _write(options.out / "repairs.csv", rows)
    summary = [
        {"figure": name, **{recipe: _spread(figures[recipe][name]) for recipe in options.recipes}}
        for name in figures[options.recipes[0]]
    ]
    _write(options.out / "summary.csv", summary)
    table = Table("figure", *options.recipes)
    for row in summary:
        table.add_row(*row.values())
    Console(width=200).print(table)


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _interval(figure: Figure) -> str:
    return "" if figure.value is None else f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"


def _spread(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
