"""How far an answer can be trusted, in words: what the run is, what was measured, and where. Without Gradio."""

from cxr_keras3.report import texts
from cxr_keras3.run import external
from cxr_keras3.run.folder import Run
from demo.pages import page


def about(run: Run) -> str:
    """What the page shows before any film, as HTML."""
    return page("about.html").render(run=run, trained_on=trained_on(run))


def standing(run: Run) -> str:
    """What stands beside every answer of a run, as HTML."""
    metrics, site = run.metrics, run.site
    calibration = site.calibration if site else run.calibration
    audit = None if metrics is None else metrics.audit
    return page("standing.html").render(
        run=run,
        site=site,
        verdict=audit.verdict if audit else "",
        operating_point=texts.operating_point(metrics),
        elsewhere=_elsewhere(run),
        verdict_words=texts.VERDICTS[audit.verdict] if audit else "",
        reasons=[reason.text for reason in audit.reasons] if audit else [],
        threshold=calibration.abnormal_threshold if calibration else None,
        sensitivity=calibration.sensitivity if calibration else None,
    )


def _elsewhere(run: Run) -> list[str]:
    """What was found of the run on other collections, and on images from elsewhere."""
    found = [(each.title, each.films, each.flag) for each in run.collections.collections] if run.collections else []
    found += [(name, each.images, each.triage) for name, each in external.found_by(run).items()]
    return [texts.flagged_elsewhere(*each) for each in found]


def trained_on(run: Run) -> str:
    """What a run learned from, in words, for a sentence to end with."""
    if run.manifest.is_synthetic:
        return "drawn films, of no patient"
    counts = run.manifest.data.get("counts", {}).get("train", {})
    films = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
    return (
        f"{sum(counts.values())} films of the COVID-19 Radiography Database: {films}" if counts else "films of adults"
    )
