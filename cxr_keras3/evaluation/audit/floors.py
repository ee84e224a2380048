"""What can be had without looking at the lungs, or without looking closely: the floors a model must clear."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr_keras3.base import progress
from cxr_keras3.evaluation.audit.subgroups import age_bands
from cxr_keras3.lungs.showing import Showing
from cxr_keras3.run.audit import Floor
from cxr_keras3.statistics.bootstrap import Bootstrap
from cxr_keras3.statistics.metrics import accuracy, balanced_accuracy
from cxr_keras3.training.data import Split
from tfds_cxr.reading import read
from tfds_cxr.tfds_cxr_dataset_builder import Builder

FRAME_THUMBNAIL, FRAME_WIDTH, THUMBNAIL = 64, 6, 32
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


@dataclass(frozen=True)
class Clues:
    """What the floors see of a split.

    Attributes:
        labels: int (N,).
        facts: "source", "view", "sex" and "age" (in bands) to (N,); empty where unknown.
        frames: The outer 6 pixels of a 64 x 64 thumbnail, uint8 (N, 1392).
        thumbnails: A 32 x 32 thumbnail, uint8 (N, 1024).
        statistics: Mean, spread, skew, percentiles and entropy of the grey levels, float64 (N, 11).
    """

    labels: np.ndarray
    facts: Mapping[str, np.ndarray]
    frames: np.ndarray
    thumbnails: np.ndarray
    statistics: np.ndarray


FLOORS_BY_FACTS = {
    "source_oracle": ("source",),
    "view": ("view",),
    "view_and_source": ("view", "source"),
    "age_and_sex": ("age", "sex"),
    "age_sex_and_source": ("age", "sex", "source"),
}
"""Floors that know facts about an image and do not see it."""


def clues_of(examples: Split) -> Clues:
    """What the floors see of a split in memory."""
    facts = {
        "source": examples.sources,
        "view": examples.views,
        "sex": examples.sexes,
        "age": age_bands(examples.ages),
    }
    return _clues(examples.images, examples.labels, facts)


def _clues(images: Iterable[np.ndarray], labels: np.ndarray, facts: Mapping[str, np.ndarray]) -> Clues:
    """Takes from each image, uint8 (299, 299, 1), what the floors see."""
    frame = np.ones((FRAME_THUMBNAIL, FRAME_THUMBNAIL), dtype=bool)
    frame[FRAME_WIDTH:-FRAME_WIDTH, FRAME_WIDTH:-FRAME_WIDTH] = False
    rows = [
        (_thumbnail(image, FRAME_THUMBNAIL)[frame], _thumbnail(image, THUMBNAIL), _statistics(image))
        for image in images
    ]
    frames, thumbnails, statistics = (np.stack([row[part].ravel() for row in rows]) for part in range(3))
    return Clues(labels, facts, frames, thumbnails, statistics)


def clues_of_split(builder: Builder, split: str, *, showing: Showing) -> Clues:
    """Reads a split one image at a time, since the train split of the published database is 1.3 GB."""
    labels: list[int] = []
    facts: dict[str, list[str]] = {"source": [], "view": [], "sex": []}
    ages: list[float] = []

    def images() -> Iterable[np.ndarray]:
        with progress.bar() as shown:
            task = shown.add_task(f"clues of the {split} split", total=builder.info.splits[split].num_examples)
            for row, image in showing.shown(read(builder, split, encoded=("mask",))):
                shown.advance(task)
                labels.append(int(row["label"]))
                ages.append(float(row["age"]))
                for name, values in facts.items():
                    values.append(row[name].decode())
                yield image

    found = _clues(images(), np.empty(0), {})
    known = {name: np.array(values) for name, values in facts.items()} | {"age": age_bands(np.array(ages))}
    return replace(found, labels=np.array(labels), facts=known)


def floor_answers(train: Clues, test: Clues) -> dict[str, np.ndarray]:
    """The class that each floor gives to each test image, int (N,), by the floor's name.

    Args:
        train: What the floors are fitted on.
        test: What they predict.
    """
    largest = Counter(train.labels.tolist()).most_common(1)[0][0]
    return {
        "largest_class": np.full(len(test.labels), largest),
        **{
            name: _oracle(train, test, facts, largest)
            for name, facts in FLOORS_BY_FACTS.items()
            if facts == ("source",) or all(len(np.unique(train.facts[fact])) > 1 for fact in facts)
        },
        "border_only": _regression(train.frames, train.labels, test.frames),
        "thumbnail": _regression(train.thumbnails, train.labels, test.thumbnails),
        "image_statistics": _regression(train.statistics, train.labels, test.statistics),
    }


def _oracle(train: Clues, test: Clues, facts: tuple[str, ...], largest: int) -> np.ndarray:
    """The class that most training images of the same facts have; the largest where there is none."""
    counts: Mapping[tuple[str, ...], Counter[int]] = defaultdict(Counter)
    for *known, label in zip(*(train.facts[fact].tolist() for fact in facts), train.labels.tolist(), strict=True):
        counts[tuple(known)][label] += 1
    best = {known: of_class.most_common(1)[0][0] for known, of_class in counts.items()}
    return np.array([best.get(known, largest) for known in zip(*(test.facts[f].tolist() for f in facts), strict=True)])


def floor_figures(
    predicted: Mapping[str, np.ndarray], labels: np.ndarray, *, groups: np.ndarray, class_count: int
) -> dict[str, Floor]:
    """Accuracy and balanced accuracy of each floor."""
    samples = Bootstrap(groups)
    found = {}
    for name, answers in predicted.items():
        certain = np.eye(class_count)[answers]
        plain = samples.figure(accuracy(labels, certain))
        balanced = samples.figure(balanced_accuracy(labels, certain))
        found[name] = Floor(value=plain.value, low=plain.low, high=plain.high, balanced_accuracy=balanced)
    return found


def _regression(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    return np.asarray(model.fit(train.astype(np.float32), labels).predict(test.astype(np.float32)))


def _thumbnail(image: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image[..., 0]).resize((side, side), Image.Resampling.BOX))


def _statistics(image: np.ndarray) -> np.ndarray:
    shares = np.array(Image.fromarray(image[..., 0]).histogram()) / image.size
    levels = np.arange(256)
    mean = shares @ levels
    spread = float(np.sqrt(shares @ (levels - mean) ** 2))
    skew = shares @ (levels - mean) ** 3 / max(spread, 1.0) ** 3
    percentiles = np.searchsorted(shares.cumsum(), np.array(PERCENTILES) / 100)
    return np.array([mean, spread, skew, *percentiles, stats.entropy(shares)])
