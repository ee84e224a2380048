"""Example films: drawn ones, since no patient's film may lie in the repository."""

from functools import cache

from cxr_keras3 import images
from tfds_cxr import phantom
from tfds_cxr.labels import LABELS

SEED = 7


@cache
def films() -> tuple[tuple[str, bytes], ...]:
    """Name and PNG of each example; drawn when first asked for, some 20 ms each."""
    return tuple(
        (f"drawn-{label.lower().replace(' ', '_')}.png", images.encode_png(phantom.draw(label, seed=SEED, index=1)[0]))
        for label in LABELS
    )
