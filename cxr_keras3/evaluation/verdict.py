"""PASS, WARN or FAIL by written rules, argued in docs/adr/0011-a-verdict-by-written-rules.md."""

from collections.abc import Iterator
from typing import Any

USED, NOTICED = 0.05, 0.02  # of right answers that are lost where a cue comes from another class
BACKGROUND_FAIL, BACKGROUND_WARN = 0.50, 0.20  # of what the model has above chance, left without the lungs
CONTRAST_GAP = 0.10  # AUROC lost within a source against the whole
PROBE_WARN = 0.50  # of the way from chance to certainty
UNSEEN_FAIL, UNSEEN_WARN = 0.25, 0.10  # recall lost on a source that the head has not seen
LEAST_MAP_CELLS = 5  # a side; coarser maps cannot tell lungs from what lies around them

CUES = {
    "marker": "the corners of the picture, where side markers stand",
    "border": "the outer frame of the picture",
    "exposure": "the overall exposure",
}

Reason = dict[str, str]


def verdict(audit: dict[str, Any], *, macro_auroc: float | None) -> dict[str, Any]:
    """Judges an audit.

    Args:
        audit: Its figures, as `audit.audit` gathers them.
        macro_auroc: The model's, on the whole split.

    Returns:
        `verdict`, the `reasons` with their `level` ("FAIL" or "WARN"), `rule` and `text`, worst first, and `shortcut`:
        the cue that right answers depend on most, or None where they depend on none.
    """
    reasons = [
        *_margin(audit["margin"]),
        *_cues(audit["cues"]),
        *_background(audit["regions"]),
        *_activation(audit["activation"]),
        *_sources(audit["sources"], macro_auroc),
    ]
    reasons.sort(key=lambda reason: reason["level"])  # FAIL before WARN
    used = {name: figure["value"] for name, figure in audit["cues"].items() if figure["low"] > NOTICED}
    return {
        "verdict": reasons[0]["level"] if reasons else "PASS",
        "reasons": reasons,
        "shortcut": max(used, key=lambda name: used[name]) if used else None,
    }


def _margin(margin: dict[str, Any]) -> Iterator[Reason]:
    if margin["low"] <= 0.0:
        yield _reason(
            "FAIL",
            "margin",
            f"It is not shown to be better than the floor '{margin['floor'].replace('_', ' ')}': accuracy "
            f"{margin['value']:+.3f} ({margin['low']:+.3f} to {margin['high']:+.3f}).",
        )


def _cues(cues: dict[str, Any]) -> Iterator[Reason]:
    for name, figure in sorted(cues.items(), key=lambda item: -item[1]["value"]):
        level = "FAIL" if figure["low"] > USED else "WARN" if figure["low"] > NOTICED else None
        if level:
            yield _reason(
                level,
                name,
                f"Right answers depend on {CUES[name]}: taken from an image of another class, and not of the same, it "
                f"costs {figure['value']:.0%} ({figure['low']:.0%} to {figure['high']:.0%}) of all answers.",
            )


def _background(regions: dict[str, Any]) -> Iterator[Reason]:
    if not regions["images"]:
        yield _reason(
            "WARN", "masks", "Too few images have lung masks: what the model sees outside the lungs is not tested."
        )
        return
    share = regions["background_share"]
    if share["value"] is None:
        return  # near chance on the whole images; the margin says so
    level = "FAIL" if share["low"] > BACKGROUND_FAIL else "WARN" if share["low"] > BACKGROUND_WARN else None
    if level:
        accuracy = regions["balanced_accuracy"]["background_only"]["value"]
        yield _reason(
            level,
            "background",
            f"With the lungs filled in it keeps {share['value']:.0%} ({share['low']:.0%} to {share['high']:.0%}) of "
            f"what it has above chance (balanced accuracy {accuracy:.2f} on {regions['images']} images with masks).",
        )


def _activation(activation: dict[str, Any]) -> Iterator[Reason]:
    excess = activation["excess"]
    if excess["value"] is not None and min(activation["map_cells"]) >= LEAST_MAP_CELLS and excess["high"] < 0.0:
        yield _reason(
            "WARN",
            "activation",
            f"Only {activation['share']['value']:.0%} of the class activation lies in the lungs, less than their share "
            f"of the area ({activation['area']['value']:.0%}).",
        )


def _sources(sources: dict[str, Any], macro_auroc: float | None) -> Iterator[Reason]:
    if sources["exclusive_classes"]:
        names = ", ".join(sources["exclusive_classes"])
        yield _reason(
            "WARN",
            "confounded",
            f"{names}: shares no source with any other class, so nothing in this data can show that the model sees "
            "the disease rather than the source.",
        )
    for contrast in sources["fair_contrasts"]:
        auroc = contrast["auroc"]
        where = f"Within {contrast['source']}, {contrast['classes'][0]} against {contrast['classes'][1]}"
        span = f"AUROC {auroc['value']:.2f} ({auroc['low']:.2f} to {auroc['high']:.2f})"
        if auroc["low"] <= 0.5:
            yield _reason(
                "FAIL", "contrast", f"{where}, where the source does not help, it does no better than chance: {span}."
            )
        elif macro_auroc is not None and auroc["high"] < macro_auroc - CONTRAST_GAP:
            yield _reason(
                "WARN",
                "contrast",
                f"{where}, where the source does not help: {span}, against {macro_auroc:.2f} overall.",
            )
    for name, probe in sources["probe"].items():
        if probe["low"] > probe["chance"] + PROBE_WARN * (1 - probe["chance"]):
            yield _reason(
                "WARN",
                "probe",
                f"Its features tell the source of {name} images ({' or '.join(probe['sources'])}): balanced accuracy "
                f"{probe['value']:.2f} ({probe['low']:.2f} to {probe['high']:.2f}).",
            )
    for row in sources["left_out"]:
        drop = row["drop"]
        level = "FAIL" if drop["low"] > UNSEEN_FAIL else "WARN" if drop["low"] > UNSEEN_WARN else None
        if level:
            yield _reason(
                level,
                "unseen source",
                f"Of the {row['class']} images of {row['source']} it finds {row['recall_seen']['value']:.0%} where its "
                f"last layer has learnt from that source, {row['recall_unseen']['value']:.0%} where it has not.",
            )


def _reason(level: str, rule: str, text: str) -> Reason:
    return {"level": level, "rule": rule, "text": text}
