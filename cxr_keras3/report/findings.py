"""What the evaluation of a run found: functions of its evidence, each with the files that it rests on."""

from cxr_keras3.report import texts
from cxr_keras3.report.evidence import Evidence, GapError, Source, Statement, in_manifest, in_metrics, listed, said
from cxr_keras3.run.collections import COLLECTIONS
from cxr_keras3.run.folder import CALIBRATION, EVALUATION, METRICS, PREDICTIONS


def users(evidence: Evidence) -> Statement:
    """Whom it is meant for, and on whom it was learnt."""
    rows = evidence.metrics.audit.sources.by_age_group
    words = "; ".join(f"{name} {row.images}" for name, row in rows.items()) or "age groups are not known"
    films = "drawn images" if evidence.manifest.is_synthetic else "published collections"
    text = f"Meant for researchers. Learnt on {films}; in the {evidence.metrics.split} split: {words}."
    return said(f"{text} No group of patients is served.", in_metrics("audit.sources.by_age_group"))


def provenance(evidence: Evidence) -> Statement:
    """From which collections the measured images are."""
    sources = evidence.metrics.audit.sources
    words = "; ".join(f"{name.replace('_', ' ')} {row.images}" for name, row in sources.by_source.items())
    if not words:
        raise GapError("the sources of its images are not known")
    alone = listed(sources.exclusive_classes)
    only = f" Of {alone}, no source has normal films as well." if alone else ""
    return said(f"Images of the {evidence.metrics.split} split by source: {words}.{only}", in_metrics("audit.sources"))


def sample(evidence: Evidence) -> Statement:
    """How many images and groups were measured on."""
    found = evidence.metrics
    text = f"{found.images} images of {found.groups} groups, those there are: no sample size was aimed at."
    return said(f"{text} {found.left_out} were left out, as seen in training.", in_metrics("images, groups, left_out"))


def missing_data(evidence: Evidence) -> Statement:
    """What is not known of some images."""
    audit = evidence.metrics.audit
    without = evidence.metrics.images - audit.lungs.drawn - audit.lungs.found
    text = f"Lungs drawn by people on {audit.lungs.drawn} images, found by a model on {audit.lungs.found}, else unknown"
    text += f" ({without})."
    return said(f"{text} Nothing was imputed.", in_metrics("audit.lungs"))


def resources(evidence: Evidence) -> Statement:
    """What computing the evaluation took."""
    timing = evidence.metrics.timing
    text = f"Evaluation: {timing.total_seconds:.0f} s, of which {timing.model_seconds:.0f} s in the model."
    return said(
        f"{text} Backend of training: {evidence.manifest.backend}.", in_metrics("timing"), in_manifest("backend")
    )


def performance(evidence: Evidence) -> Statement:
    """The headline figures."""
    found = evidence.metrics
    names = ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc")
    words = ", ".join(f"{name.replace('_', ' ')} {getattr(found, name).text()}" for name in names)
    text = f"On {found.images} images of the {found.split} split: {words}."
    return said(text, in_metrics(", ".join(names)), Source(f"{EVALUATION}/{PREDICTIONS}"))


def diagnostic_figures(evidence: Evidence) -> Statement:
    """What the flag is worth."""
    found = evidence.metrics.triage
    text = f"Flag: sensitivity {found.sensitivity.text()}, specificity {found.specificity.text()},"
    text += f" AUROC {found.auroc.text()}."
    share, at = next(iter(found.by_prevalence.items()))
    predictive = f"PPV {at.positive_predictive_value.text()}, NPV {at.negative_predictive_value.text()}"
    return said(f"{text} Where {float(share):.0%} are abnormal: {predictive}.", in_metrics("triage"))


def by_class(evidence: Evidence) -> Statement:
    """Recall of each class."""
    words = "; ".join(
        f"{name} {row.images} images, recall {row.recall.text()}" for name, row in evidence.metrics.by_class.items()
    )
    return said(f"{words}.", in_metrics("by_class, confusion_matrix"))


def uncertainty(evidence: Evidence) -> Statement:
    """How intervals are made."""
    text = f"95 % intervals from a bootstrap over {evidence.metrics.groups} groups, not images."
    return said(text, in_metrics("groups"), Source("cxr_keras3/statistics/bootstrap.py"))


def calibration_error(evidence: Evidence) -> Statement:
    """How far probabilities can be believed."""
    found = evidence.metrics.calibration
    before, after = (each.expected_calibration_error.text() for each in (found.before, found.after))
    return said(
        f"Expected calibration error {before} before, {after} after the temperature.",
        in_metrics("calibration"),
        Source(CALIBRATION),
    )


def robustness(evidence: Evidence) -> Statement:
    """What the shortcut audit found."""
    audit = evidence.metrics.audit
    cues = ", ".join(f"{name} {figure.text()}" for name, figure in audit.cues.items())
    cues = f" Accuracy lost where a cue is of another class: {cues}." if cues else ""
    floor = texts.FLOORS[audit.margin.floor]
    text = f"Shortcut audit: {audit.verdict}. Accuracy above its best floor ({floor}) by {audit.margin.text()}."
    return said(text + cues, in_metrics("audit, floors"))


def explainability(evidence: Evidence) -> Statement:
    """Whether the map is where the lungs are."""
    found = evidence.metrics.audit.activation
    if not found.images:
        raise GapError("no lungs are known, so the maps were not measured")
    text = f"Exact class activation maps; share of the evidence in the lungs {found.share.text()}, whose share of the"
    text += f" film is {found.area.text()}."
    return said(text, in_metrics("audit.activation"))


def subgroups(evidence: Evidence) -> Statement:
    """Accuracy by what is known of the person and the film."""
    rows = evidence.metrics.audit.subgroups.by_attribute
    words = "; ".join(
        f"{attribute} {value}: {row.accuracy.text()} of {row.images}"
        for attribute, of in rows.items()
        for value, row in of.items()
    )
    if not words:
        raise GapError("view, sex and age of its images are not known")
    return said(f"Accuracy by {words}.", in_metrics("audit.subgroups"))


def fairness(evidence: Evidence) -> Statement:
    """The widest gaps between subgroups."""
    gaps = evidence.metrics.audit.subgroups.gaps
    if not gaps:
        raise GapError("too little is known of the persons to compare groups")
    words = "; ".join(f"{gap.attribute} {gap.text()}" for gap in gaps)
    return said(
        f"Largest differences in recall within a class, by {words}. Origin of persons is not known.",
        in_metrics("audit.subgroups.gaps"),
    )


def failures(evidence: Evidence) -> Statement:
    """Which answers were wrong."""
    found = evidence.metrics.errors
    copies = len(found.copies_answered_differently)
    text = f"Listed: the {len(found.most_confident)} most confident mistakes, {copies} groups of near-duplicates with"
    return said(f"{text} different answers.", in_metrics("errors"), Source(f"{EVALUATION}/{PREDICTIONS}"))


def limitations(evidence: Evidence) -> Statement:
    """What the audit says against it."""
    reasons = "\n".join(f"{reason.level}: {reason.text}" for reason in evidence.metrics.audit.reasons)
    return said(
        reasons or "No rule of the audit was broken, which proves nothing for another hospital.",
        in_metrics("audit.reasons"),
    )


def withheld(evidence: Evidence) -> Statement:
    """How often no class is named, and how right it is where one is."""
    found = evidence.metrics.answers
    text = (
        f"Right label {found.accuracy.text()}; class withheld from {found.withheld.text()} of films not called Normal;"
    )
    return said(f"{text} right where it is named {found.accuracy_where_named.text()}.", in_metrics("answers"))


def internal_evaluation(evidence: Evidence) -> Statement:
    """That held-out images of the same collections were measured."""
    found = evidence.metrics
    return said(
        f"On the {found.split} split of version {found.dataset_version}, of the same collections.",
        in_metrics("split, dataset_version"),
    )


def external_evaluation(evidence: Evidence) -> Statement:
    """What was found on whole collections that it did not learn from."""
    lines = []
    for each in evidence.collections.collections:
        figures = {"AUROC": each.flag.auroc, "sensitivity": each.flag.sensitivity, "specificity": each.flag.specificity}
        words = ", ".join(f"{name} {figure.text()}" for name, figure in figures.items() if figure.value is not None)
        lines.append(f"{each.title}: {each.films} films. Abnormal against normal: {words}.")
    return said("\n".join(lines), Source(f"{COLLECTIONS}/{METRICS}", "collections"))
