"""PASS, WARN or FAIL by written rules, argued in docs/adr/0011-a-verdict-by-written-rules.md."""

from collections.abc import Iterator, Mapping

from cxr_keras3.report.texts import CUES
from cxr_keras3.run.audit import Activation, Audit, AuditFigures, Level, Margin, Reason, RegionTests
from cxr_keras3.run.source_tests import Contrast, SourceTests
from cxr_keras3.run.subgroup_tests import SubgroupTests
from cxr_keras3.statistics.figures import Figure

USED, NOTICED = 0.05, 0.02  # of right answers that are lost where a cue comes from another class
BACKGROUND_FAIL, BACKGROUND_WARN = 0.50, 0.20  # of what the model has above chance, left without the lungs
CONTRAST_GAP = 0.10  # AUROC lost within a source against the whole
PROBE_WARN = 0.50  # of the way from chance to certainty
UNSEEN_FAIL, UNSEEN_WARN = 0.25, 0.10  # recall lost on a source that the head has not seen
UNEQUAL = 0.10  # recall of a class lost between two views, sexes or ages
VIEW = "view"
LEAST_MAP_CELLS = 5  # a side; coarser maps cannot tell lungs from what lies around them


def judge(figures: AuditFigures, *, macro_auroc: float | None) -> Audit:
    """Judges what an audit measured.

    Args:
        figures: What it measured.
        macro_auroc: The model's, on the whole split.
    """
    reasons = [
        *_margin(figures.margin),
        *_cues(figures.cues),
        *_background(figures.regions),
        *_activation(figures.activation),
        *_sources(figures.sources, macro_auroc),
        *_subgroups(figures.subgroups),
        *_degraded(figures.degraded),
    ]
    reasons.sort(key=lambda reason: reason.level)  # FAIL before WARN
    asked = dict(figures.cues)
    if figures.subgroups.view.is_used:
        asked[VIEW] = figures.subgroups.view.gap
    known = {name: gap.defined for name, gap in asked.items()}
    used = {name: gap.value for name, gap in known.items() if gap.low > NOTICED}
    return Audit(
        **vars(figures),
        verdict=reasons[0].level if reasons else "PASS",
        reasons=tuple(reasons),
        shortcut=max(used, key=lambda name: used[name]) if used else None,
    )


def _margin(margin: Margin) -> Iterator[Reason]:
    gain = margin.defined
    if gain.low <= 0.0:
        yield _reason(
            "FAIL",
            "margin",
            f"It is not shown to be better than the floor '{margin.floor.replace('_', ' ')}': accuracy "
            f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}).",
        )


def _cues(cues: Mapping[str, Figure]) -> Iterator[Reason]:
    for name, figure in sorted(cues.items(), key=lambda item: -item[1].defined.value):
        level = _level(figure.defined.low, fail=USED, warn=NOTICED)
        if level:
            yield _reason(
                level,
                name,
                f"Right answers depend on {CUES[name]}: taken from an image of another class, and not of the same, it "
                f"costs {_percent(figure)} of all answers.",
            )


def _background(regions: RegionTests) -> Iterator[Reason]:
    if not regions.images:
        yield _reason(
            "WARN",
            "masks",
            "The lungs of too few images are known: what it sees outside them is not tested.",
        )
        return
    if regions.background_share.value is None:
        return  # near chance on the whole images; the margin says so
    level = _level(regions.background_share.defined.low, fail=BACKGROUND_FAIL, warn=BACKGROUND_WARN)
    if level:
        yield _reason(
            level,
            "background",
            f"With the lungs filled in it keeps {_percent(regions.background_share)} of what it has above chance "
            f"(balanced accuracy {regions.balanced_accuracy['background_only'].value:.2f} on {regions.images} images "
            "whose lungs are known).",
        )


def _activation(activation: Activation) -> Iterator[Reason]:
    if activation.excess.value is None or min(activation.map_cells) < LEAST_MAP_CELLS:
        return
    if activation.excess.defined.high < 0.0:
        yield _reason(
            "WARN",
            "activation",
            f"Only {activation.share.value:.0%} of the class activation lies in the lungs, less than their share "
            f"of the area ({activation.area.value:.0%}).",
        )


def _sources(sources: SourceTests, macro_auroc: float | None) -> Iterator[Reason]:
    if sources.exclusive_classes:
        yield _reason(
            "WARN",
            "confounded",
            f"{', '.join(sources.exclusive_classes)}: shares no source with any other class, so nothing in this data "
            "can show that the model sees the disease rather than the source.",
        )
    for contrast in sources.fair_contrasts:
        yield from _contrast(contrast, macro_auroc)
    for name, probe in sources.probe.items():
        if probe.defined.low > probe.chance + PROBE_WARN * (1 - probe.chance):
            yield _reason(
                "WARN",
                "probe",
                f"Its features tell the source of {name} images ({' or '.join(probe.sources)}): balanced accuracy "
                f"{probe.text(2)}.",
            )
    for row in sources.left_out:
        level = _level(row.drop.defined.low, fail=UNSEEN_FAIL, warn=UNSEEN_WARN)
        if level:
            yield _reason(
                level,
                "unseen source",
                f"Of the {row.class_name} images of {row.source} it finds {row.recall_seen.value:.0%} where its "
                f"last layer has learnt from that source, {row.recall_unseen.value:.0%} where it has not.",
            )


def _subgroups(tests: SubgroupTests) -> Iterator[Reason]:
    if tests.view.is_used:
        level = _level(tests.view.gap.defined.low, fail=USED, warn=NOTICED)
        if level:
            yield _reason(
                level,
                VIEW,
                "Right answers depend on the view: AP films are taken for classes that are mostly AP whatever they "
                f"show, and where the view is unusual for the class recall is lower by {_percent(tests.view.gap)}.",
            )
    for gap in tests.gaps:
        if gap.defined.low > UNEQUAL:
            yield _reason(
                "WARN",
                "unequal",
                f"It finds {gap.class_name} less often by {gap.attribute}: {gap.worst} against {gap.best}, recall "
                f"lower by {_percent(gap)}.",
            )


def _degraded(lost: Mapping[str, Figure]) -> Iterator[Reason]:
    for name, figure in lost.items():
        level = _level(figure.defined.low, fail=USED, warn=NOTICED)
        if level:
            yield _reason(
                level,
                "degraded",
                f"Brought through 224 pixels and JPEG of quality 75, it is right less often on "
                f"{'all images' if name == 'all' else name}, by {_percent(figure)}.",
            )


def _contrast(contrast: Contrast, macro_auroc: float | None) -> Iterator[Reason]:
    bounds = contrast.auroc.defined
    where = f"Within {contrast.source}, {contrast.classes[0]} against {contrast.classes[1]}"
    span = f"AUROC {contrast.auroc.text(2)}"
    if bounds.low <= 0.5:
        yield _reason(
            "FAIL", "contrast", f"{where}, where the source does not help, it does no better than chance: {span}."
        )
    elif macro_auroc is not None and bounds.high < macro_auroc - CONTRAST_GAP:
        yield _reason(
            "WARN", "contrast", f"{where}, where the source does not help: {span}, against {macro_auroc:.2f} overall."
        )


def _level(low: float, *, fail: float, warn: float) -> Level | None:
    return "FAIL" if low > fail else "WARN" if low > warn else None


def _percent(figure: Figure) -> str:
    bounds = figure.defined
    return f"{bounds.value:.0%} ({bounds.low:.0%} to {bounds.high:.0%})"


def _reason(level: Level, rule: str, text: str) -> Reason:
    return Reason(level=level, rule=rule, text=text)
