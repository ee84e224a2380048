"""Words about figures, written once: for the HTML report, the model card and the demo."""

from dataclasses import dataclass

from cxr_keras3.run.metrics import FlagFigures, Metrics
from cxr_keras3.statistics.figures import Figure

THE_MODEL = "the model"

HEADLINES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "F1, mean of the classes",
    "macro_auroc": "AUROC, mean of the classes",
    "macro_average_precision": "average precision, mean of the classes",
    "expected_calibration_error": "calibration error",
    "brier": "Brier score (0 to 2)",
    "log_loss": "log loss (nats)",
}
"""What each headline figure is."""

FLOORS = {
    "largest_class": "always the most frequent class",
    "source_oracle": "knows the collection an image comes from, and nothing else",
    "view": "knows the view (AP or PA), and nothing else",
    "view_and_source": "knows the view and the collection, and nothing else",
    "age_and_sex": "knows age and sex, and nothing else",
    "age_sex_and_source": "knows age, sex and collection, and nothing else",
    "border_only": "logistic regression on the outer 6 pixels of a 64 x 64 thumbnail: no lung in sight",
    "thumbnail": "logistic regression on a 32 x 32 thumbnail",
    "image_statistics": "logistic regression on mean, spread, skew, percentiles and entropy of the grey levels",
}
"""What each floor sees."""

CUES = {
    "marker": "the corners of the picture, where side markers stand",
    "border": "the outer frame of the picture",
    "exposure": "the overall exposure",
    "sharpness": "the sharpness of the picture: resolution, blur, noise, compression",
}
"""What each swapped cue of the audit is."""

VERDICTS = {
    "PASS": "No rule of the audit was broken: it beats every floor and depends on no cue that was tried.",
    "WARN": "The audit cannot clear it: what is listed here may explain a part of its figures without any disease.",
    "FAIL": "By what is listed here its figures do not show that it sees disease; its answers must not be trusted.",
}
"""What each verdict of the audit means to a reader."""


@dataclass(frozen=True)
class Bar:
    """A predictor and its accuracy."""

    name: str
    words: str
    accuracy: Figure


def accuracy_bars(metrics: Metrics) -> list[Bar]:
    """The model, then the floors, the best first."""
    floors = [Bar(name, FLOORS.get(name, name), floor) for name, floor in metrics.floors.items()]
    floors.sort(key=lambda bar: -(bar.accuracy.value or 0.0))
    return [Bar(THE_MODEL, THE_MODEL, metrics.accuracy), *floors]


def operating_point(metrics: Metrics | None) -> str:
    """What a flag is worth, in words, from a run's own figures on its test split."""
    if metrics is None:
        return "How many abnormal films it flags is not known: the run was never evaluated."
    sensitivity, specificity = metrics.triage.sensitivity.value, metrics.triage.specificity.value
    if sensitivity is None or specificity is None:
        return "What a flag is worth is not known: the run was evaluated on films of one kind only."
    return (
        f"Flags {100 * sensitivity:.0f} of 100 abnormal films; {_one_in(1 - specificity)} flagged too "
        f"({metrics.images} films of the {metrics.split} split)."
    )


def flagged_elsewhere(name: str, films: int, flag: FlagFigures) -> str:
    """What a flag is worth on films from elsewhere, in words; for example "99 of 100 abnormal, 42 of 100 normal films".

    Args:
        name: What the films are called.
        films: Their number.
        flag: What was measured on them.
    """
    shares = {"abnormal": flag.sensitivity.value, "normal": None}
    if flag.specificity.value is not None:
        shares["normal"] = 1 - flag.specificity.value
    said = ", ".join(f"{100 * share:.0f} of 100 {kind}" for kind, share in shares.items() if share is not None)
    return f"{name} ({films} films): {said}"


def _one_in(share: float) -> str:
    """A share of normal films in plain words, for example "1 in 5 normal films is"."""
    if share < 0.005:
        return "fewer than 1 in 200 normal films is"
    if share > 0.4:
        return f"{100 * share:.0f} of 100 normal films are"
    return f"1 in {1 / share:.0f} normal films is"
