"""The audit finds the shortcut a model uses and names the right one; models here read exactly one thing."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from cxr_keras3.evaluation.audit import cues, interventions, regions
from cxr_keras3.evaluation.audit.auditing import margin
from cxr_keras3.evaluation.audit.verdict import judge
from cxr_keras3.run.audit import Activation, Audit, AuditFigures, LungMasks, Margin, RegionTests
from cxr_keras3.run.source_tests import Contrast, LeftOut, Probe, SourceTests
from cxr_keras3.run.subgroup_tests import Gap, SubgroupTests, ViewTests
from cxr_keras3.statistics.figures import UNDEFINED, Figure
from tfds_cxr import phantom
from tfds_cxr.labels import LABELS

PER_CLASS = 15
SIDE = interventions.SIDE
Films = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def films() -> Callable[[str | None], Films]:
    """Draws phantoms with a planted clue, or none: images, masks and labels; each kind once."""
    drawn: dict[str | None, Films] = {}

    def draw(shortcut: str | None) -> Films:
        if shortcut not in drawn:
            pairs = [
                phantom.draw(label, seed=5, index=index, shortcut=shortcut)
                for label in LABELS
                for index in range(PER_CLASS)
            ]
            images = np.stack([image for image, _ in pairs])[..., np.newaxis]
            sizes = ((SIDE, SIDE), Image.Resampling.NEAREST)
            masks = np.stack([np.asarray(Image.fromarray(mask).resize(*sizes)) > 127 for _, mask in pairs])
            drawn[shortcut] = images, masks, np.repeat(np.arange(4), PER_CLASS)
        return drawn[shortcut]

    return draw


def answers(classes: np.ndarray) -> np.ndarray:
    return np.eye(4)[classes]


def reads_markers(images: np.ndarray, _: str) -> np.ndarray:
    """The class whose corner holds something white; none is Normal (see tfds_cxr.phantom)."""
    corners = [(slice(10, 40), slice(10, 40)), (slice(10, 40), slice(-40, -10)), (slice(-40, -10), slice(10, 40))]
    white = np.stack([(images[:, rows, columns, 0] >= 249).sum(axis=(1, 2)) for rows, columns in corners], axis=1)
    return answers(np.where(white.max(axis=1) < 60, 2, np.array([0, 1, 3])[white.argmax(axis=1)]))


def reads_borders(images: np.ndarray, _: str) -> np.ndarray:
    """Quarters of the range of the width of the black border, each of about the same extent in `shuttered`."""
    middle = images[:, :, 120:180, 0].astype(int).max(axis=2)
    width = (middle < 3).cumprod(axis=1).sum(axis=1)
    return answers(np.digitize(((width + 0.5) / 16) ** (2 / 3), [0.25, 0.5, 0.75]))


def reads_exposure(images: np.ndarray, labels: np.ndarray) -> cues.Predict:
    """The class whose images are on average as bright as this one, outside the frame."""

    def brightness(films: np.ndarray) -> np.ndarray:
        return np.percentile(films[:, 30:-30, 30:-30].reshape(len(films), -1), 75, axis=1)

    centres = np.array([np.median(brightness(images[labels == label])) for label in range(4)])
    return lambda changed, _: answers(np.abs(brightness(changed)[:, np.newaxis] - centres).argmin(axis=1))


def reads_sharpness(images: np.ndarray, labels: np.ndarray) -> cues.Predict:
    """The class whose images have on average as much detail of 3 pixels, beside that of 12, as this one."""

    def detail(films: np.ndarray) -> np.ndarray:
        inner = films[:, 70:-70, 70:-70, 0].astype(float)
        coarser, coarsest = (np.stack([gaussian_filter(film, width) for film in inner]) for width in (1.5, 6.0))
        fine, coarse = np.abs(inner - coarser), np.abs(coarser - coarsest)
        return np.log(fine.mean(axis=(1, 2)) / coarse.mean(axis=(1, 2)))

    centres = np.array([np.median(detail(images[labels == label])) for label in range(4)])
    return lambda changed, _: answers(np.abs(detail(changed)[:, np.newaxis] - centres).argmin(axis=1))


def reads_lungs(images: np.ndarray, masks: np.ndarray, labels: np.ndarray) -> cues.Predict:
    """Knows each film by its lungs alone; a film whose lungs it does not know is Normal."""

    def ranks(film: np.ndarray, mask: np.ndarray) -> np.ndarray:
        values = film[::4, ::4, 0][mask[::4, ::4]].astype(float)
        return (values - values.mean()) / max(values.std(), 1e-9) / np.sqrt(len(values))

    known = [ranks(image, mask) for image, mask in zip(images, masks, strict=True)]

    def predict(changed: np.ndarray, _: str) -> np.ndarray:
        found = []
        for film in changed:
            likeness = [ranks(film, mask) @ lungs for mask, lungs in zip(masks, known, strict=True)]
            found.append(labels[int(np.argmax(likeness))] if max(likeness) > 0.5 else 2)
        return answers(np.array(found))

    return predict


NO_SOURCES = SourceTests(by_source={}, by_age_group={}, exclusive_classes=(), fair_contrasts=(), probe={}, left_out=())

NO_SUBGROUPS = SubgroupTests(by_attribute={}, gaps=(), view=ViewTests(gap=UNDEFINED, shift={}), view_probe={})


def audited(predict: cues.Predict, films: Films, *, seed: int = 0) -> Audit:
    """The parts of the audit that ask the model, and the verdict."""
    images, masks, labels = films
    groups = np.arange(len(labels))
    figures = AuditFigures(
        images=len(labels),
        margin=margin(
            predict(images, "").argmax(axis=1), {"largest_class": np.zeros(len(labels), int)}, labels, groups=groups
        ),
        cues=cues.cue_gaps(predict, images, labels, groups=groups, seed=seed),
        lungs=LungMasks(drawn=len(images), found=0, agreement=UNDEFINED),
        regions=regions.without_regions(predict, images, masks, labels, groups=groups, class_count=4),
        regions_drawn=regions.without_regions(predict, images, masks, labels, groups=groups, class_count=4),
        activation=Activation(images=0, map_cells=(7, 7), share=UNDEFINED, area=UNDEFINED, excess=UNDEFINED),
        sources=NO_SOURCES,
        subgroups=NO_SUBGROUPS,
        degraded={},
    )
    return judge(figures, macro_auroc=1.0)


@pytest.mark.parametrize("shortcut", ["marker", "border", "exposure", "sharpness"])
def test_the_shortcut_a_model_uses_is_named(shortcut: str, films) -> None:
    drawn = films(shortcut)
    models = {
        "marker": reads_markers,
        "border": reads_borders,
        "exposure": reads_exposure(drawn[0], drawn[2]),
        "sharpness": reads_sharpness(drawn[0], drawn[2]),
    }
    found = audited(models[shortcut], drawn)
    assert (found.verdict, found.shortcut) == ("FAIL", shortcut)
    assert found.cues[shortcut].value > 0.5
    others = [figure.value for name, figure in found.cues.items() if name != shortcut]
    assert max(others) < 0.10
    if shortcut != "sharpness":  # is read in the lungs too
        assert found.regions.background_share.value > 0.9
        assert any("lungs filled in" in reason.text for reason in found.reasons)


def test_a_model_that_reads_the_lungs_passes(films) -> None:
    drawn = films(None)
    found = audited(reads_lungs(*drawn), drawn)
    assert found.verdict == "PASS", found.reasons
    assert found.shortcut is None
    accuracy = found.regions.balanced_accuracy
    assert accuracy["unchanged"].value == 1.0
    assert accuracy["lungs_only"].value == 1.0
    assert accuracy["background_only"].value == pytest.approx(0.25)
    assert found.regions.background_share.value == pytest.approx(0.0)


def test_a_disturbed_model_is_not_taken_for_one_that_needs_the_cue() -> None:
    """Answers drawn at random are right as often with a cue of the same class as with one of another."""
    generator = np.random.default_rng(0)
    images = np.full((400, SIDE, SIDE, 1), 128, np.uint8)
    figures = cues.cue_gaps(
        lambda changed, _: answers(generator.integers(0, 4, len(changed))),
        images,
        np.arange(400) % 4,
        groups=np.arange(400),
    )
    for figure in figures.values():
        assert figure.low < 0.0 < figure.high


def test_swaps_change_their_region_and_nothing_else(films) -> None:
    images, _, _ = films(None)
    one, donors = images[:4], images[-4:]
    inner = (
        slice(None),
        slice(interventions.FRAME, -interventions.FRAME),
        slice(interventions.FRAME, -interventions.FRAME),
    )
    np.testing.assert_array_equal(interventions.swap_border(one, donors)[inner], one[inner])
    corners = interventions.swap_corners(one, donors) != one
    assert not corners[:, interventions.CORNER : -interventions.CORNER].any()
    assert not corners[:, :, interventions.CORNER : -interventions.CORNER].any()
    assert corners[:, : interventions.CORNER, : interventions.CORNER].any()
    exposed = interventions.swap_exposure(one, donors)
    for before, after in zip(one[..., 0], exposed[..., 0], strict=True):
        order = np.argsort(before, axis=None, kind="stable")
        assert (np.diff(after.ravel()[order].astype(int)) >= 0).all()
    np.testing.assert_allclose(interventions._soft_tissue(exposed), interventions._soft_tissue(donors), atol=0.03)
    np.testing.assert_array_equal(interventions.swap_exposure(one, one), one)


def test_regions_leave_what_they_should(films) -> None:
    images, masks, _ = (part[:6] for part in films(None))
    inside = masks[..., np.newaxis]
    lungs = interventions.lungs_only(images, masks)
    assert not lungs[~inside].any()
    np.testing.assert_array_equal(lungs[inside], images[inside])
    for changed in (interventions.background_only(images, masks), interventions.lungs_blurred(images, masks)):
        np.testing.assert_array_equal(changed[~inside], images[~inside])
        assert (changed[inside] != images[inside]).mean() > 0.5
    filled = interventions.background_only(images, masks)
    assert all(len(np.unique(film[mask])) == 1 for film, mask in zip(filled, masks, strict=True))
    assert interventions.border_cropped(images).shape == images.shape


def test_images_without_masks_are_counted_and_left_out(films) -> None:
    images, masks, labels = films(None)
    masks = masks.copy()
    masks[labels == 0] = False
    masks[np.flatnonzero(labels == 1)[:-3]] = False
    found = regions.without_regions(reads_borders, images, masks, labels, groups=np.arange(len(labels)), class_count=4)
    assert found.without_mask == 2 * PER_CLASS - 3
    assert found.classes == (2, 3)
    assert found.images == 2 * PER_CLASS
    none = regions.without_regions(
        reads_borders, images, np.zeros_like(masks), labels, groups=np.arange(len(labels)), class_count=4
    )
    assert none.images == 0
    assert none.without_mask == len(labels)


def test_activation_share_is_the_share_of_a_map_inside_the_mask() -> None:
    maps = np.zeros((2, 7, 7, 4), np.float32)
    maps[:, :, :3, 1] = 1.0  # class 1 looks at the left, class 0 nowhere
    masks = np.zeros((2, SIDE, SIDE), bool)
    masks[:, :, :150] = True
    found = regions.activation_in_lungs(maps, masks, np.array([1, 1]), groups=np.arange(2))
    assert found.share.value > 0.99
    assert found.area.value == pytest.approx(150 / SIDE)
    nowhere = regions.activation_in_lungs(maps, masks, np.array([0, 0]), groups=np.arange(2))
    assert nowhere.images == 0
    assert nowhere.share.value is None


def figure(value: float) -> Figure:
    return Figure(value=value, low=value - 0.02, high=value + 0.02)


CLEAN = AuditFigures(
    images=50,
    margin=Margin(floor="thumbnail", **vars(figure(0.2))),
    cues={name: figure(0.0) for name in ("marker", "border", "exposure")},
    lungs=LungMasks(drawn=0, found=50, agreement=UNDEFINED),
    regions_drawn=RegionTests(images=0, without_mask=50, classes=()),
    regions=RegionTests(
        images=50,
        without_mask=0,
        classes=(0, 1, 2, 3),
        background_share=figure(0.1),
        balanced_accuracy={"background_only": figure(0.3)},
    ),
    activation=Activation(images=50, excess=figure(0.1), share=figure(0.5), area=figure(0.4), map_cells=(7, 7)),
    sources=SourceTests(
        by_source={},
        by_age_group={},
        exclusive_classes=(),
        fair_contrasts=(
            Contrast(
                source="rsna",
                classes=("Normal", "Lung_Opacity"),
                images=50,
                auroc=figure(0.95),
                balanced_accuracy=figure(0.9),
            ),
        ),
        probe={"Normal": Probe(sources=("kermany", "rsna"), images=50, chance=0.5, **vars(figure(0.6)))},
        left_out=(
            LeftOut(
                class_name="COVID",
                source="bimcv",
                images=50,
                drop=figure(0.05),
                recall_seen=figure(0.9),
                recall_unseen=figure(0.85),
            ),
        ),
    ),
    subgroups=SubgroupTests(
        by_attribute={},
        gaps=(Gap(attribute="sex", class_name="Normal", best="M", worst="F", **vars(figure(0.03))),),
        view=ViewTests(gap=figure(0.3), shift={"AP": figure(0.5), "PA": figure(0.0)}),
        view_probe={},
    ),
    degraded={"all": figure(0.0), "Normal": figure(0.01)},
)


def with_cues(**changed: float) -> AuditFigures:
    return replace(CLEAN, cues=CLEAN.cues | {name: figure(value) for name, value in changed.items()})


def with_margin(value: float) -> AuditFigures:
    return replace(CLEAN, margin=Margin(floor="thumbnail", **vars(figure(value))))


def with_regions(**changed: object) -> AuditFigures:
    return replace(CLEAN, regions=replace(CLEAN.regions, **changed))


def with_sources(**changed: object) -> AuditFigures:
    return replace(CLEAN, sources=replace(CLEAN.sources, **changed))


def with_contrast(value: float) -> AuditFigures:
    return with_sources(fair_contrasts=(replace(CLEAN.sources.fair_contrasts[0], auroc=figure(value)),))


def with_left_out(value: float) -> AuditFigures:
    return with_sources(left_out=(replace(CLEAN.sources.left_out[0], drop=figure(value)),))


def by_view(gap: float) -> ViewTests:
    return ViewTests(gap=figure(gap), shift={"AP": figure(0.5), "PA": figure(0.5)})


def with_subgroups(**changed: object) -> AuditFigures:
    return replace(CLEAN, subgroups=replace(CLEAN.subgroups, **changed))


RULES = [
    (with_subgroups(view=by_view(0.2)), "FAIL", "view"),
    (with_subgroups(view=by_view(0.06)), "WARN", "view"),
    (with_subgroups(gaps=(replace(CLEAN.subgroups.gaps[0], **vars(figure(0.2))),)), "WARN", "unequal"),
    (replace(CLEAN, degraded={"Normal": figure(0.2)}), "FAIL", "degraded"),
    (replace(CLEAN, degraded={"all": figure(0.06)}), "WARN", "degraded"),
    (with_margin(0.01), "FAIL", "margin"),
    (with_cues(border=0.2), "FAIL", "border"),
    (with_cues(border=0.05), "WARN", "border"),
    (with_regions(background_share=figure(0.6)), "FAIL", "background"),
    (with_regions(background_share=figure(0.3)), "WARN", "background"),
    (with_regions(images=0), "WARN", "masks"),
    (replace(CLEAN, activation=replace(CLEAN.activation, excess=figure(-0.1))), "WARN", "activation"),
    (with_sources(exclusive_classes=("COVID",)), "WARN", "confounded"),
    (with_contrast(0.51), "FAIL", "contrast"),
    (with_contrast(0.80), "WARN", "contrast"),
    (
        with_sources(probe={"Normal": replace(CLEAN.sources.probe["Normal"], **vars(figure(0.9)))}),
        "WARN",
        "probe",
    ),
    (with_left_out(0.3), "FAIL", "unseen source"),
    (with_left_out(0.15), "WARN", "unseen source"),
]


@pytest.mark.parametrize(("changed", "level", "rule"), RULES)
def test_each_rule_of_the_verdict(changed: AuditFigures, level: str, rule: str) -> None:
    assert judge(CLEAN, macro_auroc=0.97).verdict == "PASS"
    found = judge(changed, macro_auroc=0.97)
    assert found.verdict == level
    assert [reason.rule for reason in found.reasons] == [rule]


def test_the_worst_reason_comes_first_and_the_strongest_cue_is_named() -> None:
    changed = replace(with_cues(marker=0.3, exposure=0.5), sources=with_sources(exclusive_classes=("COVID",)).sources)
    found = judge(changed, macro_auroc=0.97)
    assert [reason.rule for reason in found.reasons] == ["exposure", "marker", "confounded"]
    assert found.shortcut == "exposure"
