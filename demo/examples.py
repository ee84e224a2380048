"""Example films: drawn ones, since no patient's film may lie in the repository."""

from functools import cache

from cxr_keras3 import images

SEED = 7


@cache
def films() -> tuple[tuple[str, bytes], ...]:
    """Name and PNG of each example; drawn when first asked for, some 20 ms each."""
    from tfds_cxr import phantom  # noqa: PLC0415 -- not before the server answers
    from tfds_cxr.labels import LABELS  # noqa: PLC0415

    return tuple(
        (f"drawn-{label.lower().replace(' ', '_')}.png", images.encode_png(phantom.draw(label, seed=SEED, index=1)[0]))
        for label in LABELS
    )
