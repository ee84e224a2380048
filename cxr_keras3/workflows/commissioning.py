"""Commissioning a site: score its films, measure, write the profile, and say in words what the site gets."""

from collections.abc import Sequence
from pathlib import Path

from cxr_keras3.base import progress, records
from cxr_keras3.base.errors import UserError
from cxr_keras3.evaluation import commissioning, external
from cxr_keras3.run.folder import REFERENCE, Run
from cxr_keras3.run.site import FILE, Site
from cxr_keras3.serving import inputs, load

_MEANING = {
    "as is": "use the run as it is",
    "adapted": "use the run with this profile; send labelled films to check it",
    "recalibrated": "use the run with this profile",
    "do not use": "do not use this run here",
}


def commission(
    run_dir: Path,
    paths: Sequence[Path],
    *,
    labels: Path | None,
    output: Path,
    sensitivity: float | None,
    runtime: str | None,
) -> int:
    """Commissions a site; returns the exit code.

    Args:
        run_dir: The run folder, or "reference".
        paths: Files, folders and zip archives of one site.
        labels: Table of paths and labels; None where there is none.
        output: Folder for the profile; must not hold one yet.
        sensitivity: Share of abnormal films to flag, where labels set the threshold; the run's when None.
        runtime: See `cxr_keras3.serving.runtimes.load_runtime`.

    Raises:
        UserError: Where there are too few films, or a label's film is not among them.
    """
    if (output / FILE).exists():
        raise UserError(
            f"--output must not hold a profile yet, {output / FILE} does; delete it, or name another folder"
        )
    run = Run.open(None if run_dir == Path(REFERENCE.name) else run_dir)
    films = inputs.find(paths)
    known = _labels(labels, run, {Path(film.name).resolve(): film.name for film in films})
    predictor = load(run, runtime=runtime)
    predictions = []
    with progress.bar() as shown:
        task = shown.add_task("scoring the site's films", total=len(films))
        for prediction in predictor.predict(films):
            predictions.append(prediction)
            shown.advance(task)
    site = commissioning.commission(run, predictions, known, name=output.name, sensitivity=sensitivity)
    output.mkdir(parents=True, exist_ok=True)
    records.write(output / FILE, site)
    _say(site, output)
    return 0


def _labels(table: Path | None, run: Run, names: dict[Path, str]) -> dict[str, int]:
    """Name of a film to its class."""
    if table is None:
        return {}
    found = {}
    for row in external.from_table(table, run.class_names):
        if row.file.resolve() not in names:
            raise UserError(f"--labels must name films of the site, {row.file} is not among FILMS; add it there")
        found[names[row.file.resolve()]] = row.label
    return found


def _say(site: Site, output: Path) -> None:
    progress.say(f"{site.name}: {site.films} films, {site.refused} refused, {site.labelled} labelled: {site.verdict}")
    for reason in site.reasons:
        progress.say(f"- {reason}")
    named = ", ".join(site.vouched) if site.vouched else "as without a profile"
    progress.say(f"classes that may be named here: {named}")
    progress.say(f"{_MEANING[site.verdict]}; profile: {output / FILE}")
