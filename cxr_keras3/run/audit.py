"""What the shortcut audit found: the part `audit` of `metrics.json`, and the floors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cxr_keras3.run.source_tests import SourceTests
from cxr_keras3.run.subgroup_tests import SubgroupTests
from cxr_keras3.statistics.figures import UNDEFINED, Figure

Verdict = Literal["PASS", "WARN", "FAIL"]
Level = Literal["WARN", "FAIL"]


@dataclass(frozen=True, kw_only=True)
class Floor(Figure):
    """Accuracy of a predictor that sees no lung, or none closely.

    Attributes:
        balanced_accuracy: Its balanced accuracy.
    """

    balanced_accuracy: Figure


@dataclass(frozen=True, kw_only=True)
class Margin(Figure):
    """The model's accuracy less that of the best floor.

    Attributes:
        floor: Which one.
    """

    floor: str


@dataclass(frozen=True, kw_only=True)
class LungMasks:
    """Where the lungs of the split's images are known from.

    Attributes:
        drawn: Number of images whose lungs a person drew.
        found: Number of the others on which the segmenter found lungs.
        agreement: Dice of lungs found with lungs drawn, on the former; undefined where there are none.
    """

    drawn: int
    found: int
    agreement: Figure


@dataclass(frozen=True, kw_only=True)
class RegionTests:
    """Balanced accuracy with parts of the image taken away, on images whose lungs are known.

    Attributes:
        images: Number of images used; 0 where fewer than two classes have enough of them, and no figure then.
        without_mask: Number of images whose lungs are not known, which are left out.
        classes: Numbers of the classes that count.
        chance: Balanced accuracy of a constant answer.
        balanced_accuracy: Change ("unchanged", "lungs_only", …) to the figure.
        drop: Change to what it costs.
        background_share: Share of what the model has above chance that is left without the lungs.
    """

    images: int
    without_mask: int
    classes: tuple[int, ...]
    chance: float | None = None
    balanced_accuracy: Mapping[str, Figure] = field(default_factory=dict)
    drop: Mapping[str, Figure] = field(default_factory=dict)
    background_share: Figure = UNDEFINED


@dataclass(frozen=True, kw_only=True)
class Activation:
    """Where the class activation lies.

    Attributes:
        images: Number of images whose lungs are known.
        map_cells: Height and width of a map.
        share: Share of the positive activation of the predicted class that lies in the lungs.
        area: Share of the picture that the lungs are.
        excess: The former less the latter.
    """

    images: int
    map_cells: tuple[int, int]
    share: Figure
    area: Figure
    excess: Figure


@dataclass(frozen=True, kw_only=True)
class AuditFigures:
    """What the shortcut audit measured.

    Attributes:
        images: Number of images that the model was asked about.
        margin: The model against the best floor.
        cues: Cue to the share of answers lost where it comes from another class, see ADR 12.
        lungs: Where the lungs are known from.
        regions: Parts of the image taken away.
        regions_drawn: The same where people drew the lungs, and nowhere else.
        activation: Where the class activation lies.
        sources: Figures within and across sources.
        subgroups: Figures by view, sex and age.
        degraded: "all" and classes to the accuracy lost where all images go through 224 pixels and JPEG of quality 75.
    """

    images: int
    margin: Margin
    cues: Mapping[str, Figure]
    lungs: LungMasks
    regions: RegionTests
    regions_drawn: RegionTests
    activation: Activation
    sources: SourceTests
    subgroups: SubgroupTests
    degraded: Mapping[str, Figure]


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a verdict is not PASS.

    Attributes:
        level: How bad it is.
        rule: Which rule of ADR 11 or 33.
        text: In words, with the figures.
    """

    level: Level
    rule: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Audit(AuditFigures):
    """The shortcut audit.

    Attributes:
        verdict: By the rules of ADR 11 and 33.
        reasons: The worst first.
        shortcut: The cue that right answers depend on most; None where they depend on none.
    """

    verdict: Verdict
    reasons: tuple[Reason, ...]
    shortcut: str | None
