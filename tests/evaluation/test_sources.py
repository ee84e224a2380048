"""Floors and figures by source: an oracle of the source is found out, and what cannot be told is not claimed."""

from dataclasses import replace

import numpy as np
import pytest

from cxr_keras3.evaluation import mistakes
from cxr_keras3.evaluation.audit import floors, sources
from cxr_keras3.run.source_tests import LeftOut
from tests import splits
from tfds_cxr.labels import LABELS

COUNT = 60  # of each class


def world(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and sources as in the database: COVID from its own, children in kermany, the rest in rsna."""
    labels = np.repeat(np.arange(4), COUNT)
    names = np.array(["bimcv", "rsna", "rsna", "kermany"], dtype="<U8")[labels]
    names[labels == 0] = np.array(["bimcv", "hannover", "unknown"])[np.arange(COUNT) % 3]
    names[np.flatnonzero(labels == 2)[:20]] = "kermany"
    return labels, names


def test_classes_without_a_shared_source_are_named() -> None:
    labels, names = world()
    assert sources.exclusive_classes(labels, names, class_names=LABELS) == ("COVID",)
    unknown = np.full(len(labels), "unknown")
    assert sources.exclusive_classes(labels, unknown, class_names=LABELS) == ()


def test_fair_contrasts_are_those_within_a_source() -> None:
    labels, names = world()
    probabilities = np.full((len(labels), 4), 0.1) + 0.6 * np.eye(4)[labels]
    rows = sources.fair_contrasts(labels, probabilities, names, groups=np.arange(len(labels)), class_names=LABELS)
    assert [(row.source, row.classes, row.images) for row in rows] == [
        ("kermany", ("Normal", "Viral Pneumonia"), COUNT + 20),
        ("rsna", ("Lung_Opacity", "Normal"), COUNT + 40),
    ]
    assert all(row.auroc.value == row.balanced_accuracy.value == 1.0 for row in rows)


def test_a_model_that_knows_only_the_source_is_at_chance_in_fair_contrasts() -> None:
    labels, names = world()
    by_source = {source: np.bincount(labels[names == source], minlength=4) + 1.0 for source in np.unique(names)}
    probabilities = np.stack([by_source[source] / by_source[source].sum() for source in names])
    rows = sources.fair_contrasts(labels, probabilities, names, groups=np.arange(len(labels)), class_names=LABELS)
    assert [row.auroc.value for row in rows] == [0.5, 0.5]


def features(labels: np.ndarray, names: np.ndarray, *, seed: int, of_source: float) -> np.ndarray:
    """Features that tell the class, and the source as strongly as asked."""
    kinds = {name: index for index, name in enumerate(["bimcv", "hannover", "kermany", "rsna", "unknown"])}
    noise = np.random.default_rng(seed).normal(size=(len(labels), 10))
    noise[:, :4] += 3 * np.eye(4)[labels]
    noise[:, 5:] += of_source * np.eye(5)[[kinds[name] for name in names]]
    return noise


@pytest.mark.parametrize(("of_source", "low", "high"), [(0.0, 0.2, 0.8), (6.0, 0.95, 1.0)])
def test_the_probe_finds_the_source_where_features_hold_it(of_source: float, low: float, high: float) -> None:
    labels, names = world()
    fit, test = ((features(labels, names, seed=seed, of_source=of_source), labels, names) for seed in (0, 1))
    found = sources.source_probe(fit, test, groups=np.arange(len(labels)), class_names=LABELS)
    assert set(found) == {"COVID", "Normal"}
    assert found["Normal"].sources == ("kermany", "rsna")
    assert all(low <= row.value <= high for row in found.values())


def test_a_class_known_by_its_source_falls_on_a_source_left_out() -> None:
    labels, names = world()

    def rows(class_strength: float, source_strength: float) -> tuple[LeftOut, ...]:
        fit, test = ((features(labels, names, seed=seed, of_source=source_strength), labels, names) for seed in (0, 1))
        for part, _, _ in (fit, test):
            part[labels == 0, 0] -= 3 - class_strength
        return sources.leave_one_source_out(fit, test, groups=np.arange(len(labels)), class_names=LABELS)

    honest, dishonest = rows(6.0, 0.0), rows(0.0, 6.0)
    assert [row.source for row in honest] == ["bimcv", "hannover"]
    assert all(row.class_name == "COVID" and row.drop.value < 0.1 for row in honest)
    assert all(row.drop.value > 0.4 for row in dishonest)


def test_nothing_is_said_of_sources_that_are_not_known() -> None:
    labels = np.repeat(np.arange(4), COUNT)
    unknown = np.full(len(labels), "unknown")
    part = (np.random.default_rng(0).normal(size=(len(labels), 5)), labels, unknown)
    names = {"groups": np.arange(len(labels)), "class_names": LABELS}
    assert sources.source_probe(part, part, **names) == {}
    assert sources.leave_one_source_out(part, part, **names) == ()
    assert sources.by_age_group(labels, labels, unknown, **names) == {}
    assert sources.fair_contrasts(labels, np.eye(4)[labels], unknown, **names) == ()
    assert sources.by_source(labels, labels, unknown, **names)["unknown"].accuracy.value == 1.0


def test_children_are_told_by_their_collection() -> None:
    labels, names = world()
    found = sources.by_age_group(labels, labels, names, groups=np.arange(len(labels)), class_names=LABELS)
    assert found["children"].classes == {"Normal": 20, "Viral Pneumonia": COUNT}
    assert found["adults"].images == len(labels) - COUNT - 20 - COUNT // 3


def test_floors_see_what_they_are_meant_to_see() -> None:
    """Classes that differ in the frame, in a 4-pixel pattern, or in overall brightness alone."""
    generator = np.random.default_rng(0)
    labels, names = world()
    views = np.where(labels == 1, "AP", "PA")  # Lung_Opacity alone is known by its view

    def clues(paint) -> floors.Clues:
        images = generator.normal(120, 10, (len(labels), 299, 299, 1))
        for image, label in zip(images, labels, strict=True):
            paint(image, label)
        made = splits.split(images.clip(0, 255).astype(np.uint8), labels)
        return floors.clues_of(replace(made, sources=names, views=views))

    def frame(image: np.ndarray, label: int) -> None:
        image[:10] = 60 * label

    def brightness(image: np.ndarray, label: int) -> None:
        image += 20 * label

    def middle(image: np.ndarray, label: int) -> None:
        image[100 + 25 * label : 125 + 25 * label, 140:160] += 80

    def accuracy(paint) -> dict[str, float]:
        found = floors.floor_answers(clues(paint), clues(paint))
        return {name: float((answer == labels).mean()) for name, answer in found.items()}

    in_frame, in_brightness, in_middle = accuracy(frame), accuracy(brightness), accuracy(middle)
    assert in_frame["border_only"] > 0.95
    assert in_brightness["image_statistics"] > 0.95
    assert in_middle["thumbnail"] > 0.95
    assert in_middle["border_only"] < 0.4
    assert in_middle["largest_class"] == 0.25
    assert in_middle["view"] == 0.5
    assert in_middle["view_and_source"] == pytest.approx(1 - 20 / len(labels))  # all but kermany's Normal
    assert not in_middle.keys() & {"age_and_sex", "age_sex_and_source"}  # nothing is known of them
    # COVID and Viral Pneumonia are known by source; kermany's other 20 are Normal, rsna's larger class Lung_Opacity.
    assert in_middle["source_oracle"] == pytest.approx((COUNT + COUNT + COUNT) / len(labels))


def test_planted_label_errors_are_found_first() -> None:
    generator = np.random.default_rng(0)
    truth = np.repeat(np.arange(4), 50)
    evidence = generator.normal(size=(200, 8)) + 4 * np.eye(4, 8)[truth]
    labels, flipped = truth.copy(), [3, 60, 110, 170]
    labels[flipped] = (truth[flipped] + 1) % 4
    ids = np.array([f"image-{index}" for index in range(200)])
    found = mistakes.likely_label_errors(evidence, labels, np.arange(200) // 2, image_ids=ids, class_names=LABELS)
    assert {row.image_id for row in found[:4]} == {f"image-{index}" for index in flipped}
    assert {row.guess for row in found[:4]} == {LABELS[truth[index]] for index in flipped}
    few = mistakes.likely_label_errors(evidence[:8], labels[:8], np.arange(8), image_ids=ids[:8], class_names=LABELS)
    assert few == ()


def test_copies_answered_differently_and_confident_mistakes() -> None:
    labels = np.array([0, 0, 1, 1, 2])
    probabilities = np.eye(4)[[0, 1, 1, 1, 3]] * 0.7 + 0.075
    probabilities[4] = [0.0, 0.0, 0.05, 0.95]
    assert mistakes.most_confident(labels, probabilities) == [4, 1]
    found = mistakes.copies_answered_differently(
        labels,
        probabilities.argmax(axis=1),
        np.array(["a", "a", "b", "b", "c"]),
        image_ids=np.array(list("vwxyz")),
        class_names=LABELS,
    )
    assert [[image.image_id for image in group] for group in found] == [["v", "w"]]
