"""Example films: drawn, since no patient's film may lie in the repository; one of them the model reads wrongly."""

from collections.abc import Iterator
from dataclasses import dataclass

from cxr_keras3 import images
from cxr_keras3.serving import Predictor
from tfds_cxr import phantom
from tfds_cxr.labels import LABELS

SEED = 7
TRIES = 6
"""Films drawn of each class, at most, to find one that is read rightly; some 50 ms each."""


@dataclass(frozen=True, eq=False)
class Example:
    """A drawn film.

    Attributes:
        name: Its file name.
        content: A PNG.
        label: The class that was drawn.
        predicted: The class that the model gives it.
    """

    name: str
    content: bytes
    label: str
    predicted: str

    @property
    def words(self) -> str:
        """What was drawn, and whether the model agrees."""
        drawn = f"Drawn as {self.label.replace('_', ' ')}"
        if self.predicted == self.label:
            return f"{drawn}, and read so"
        return f"{drawn}, and read wrongly as {self.predicted.replace('_', ' ')}"


def choose(predictor: Predictor) -> tuple[Example, ...]:
    """Draws a film of each class that the model reads rightly, where one is found, and one that it reads wrongly."""
    right: list[Example] = []
    wrong: list[Example] = []
    for label in LABELS:
        for example in _read(predictor, label):
            (right if example.predicted == label else wrong).append(example)
            if example.predicted == label:
                break
    return (*right, *wrong[:1])


def _read(predictor: Predictor, label: str) -> Iterator[Example]:
    """Drawn films of a class, as the model reads them; those that it refuses are left out."""
    for index in range(1, TRIES + 1):
        content = images.encode_png(phantom.draw(label, seed=SEED, index=index)[0])
        (prediction,) = predictor.predict([content], batch_size=1)
        if prediction.accepted:
            name = f"drawn-{label.lower().replace(' ', '_')}-{index}.png"
            yield Example(name, content, label, prediction.predicted)
