"""Makes training films harder without changing where the lungs are: opacities, devices, noise, other contrast.

The masks at hand are nearly all of children's clear or patchy lungs. What they lack is painted: a lung that is white
all over, an effusion, tubes and electrodes, an inverted or noisy film. Everything is decided by the seed.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

from cxr_keras3.lungs.sides import joined

Film = npt.NDArray[np.float32]
"""Grey, (H, W), 0..255."""

_REACH = 2.0, 8.0  # pixels that a painted opacity reaches over the lung's edge

Lungs = npt.NDArray[np.bool_]
"""(H, W, 2), see `sides.LUNGS`."""


def consolidation(film: Film, lungs: Lungs, generator: np.random.Generator) -> Film:
    """Patches of soft-tissue grey with uneven edges in one or both lungs."""
    inside = lungs[..., int(generator.integers(2))] if generator.random() < 0.6 else joined(lungs)
    cloud = _cloud(film.shape, generator, scale=generator.uniform(0.03, 0.12))
    dense = np.clip((cloud - generator.uniform(-0.3, 0.8)) * generator.uniform(1, 3), 0, 1)
    return _whitened(film, inside, dense * generator.uniform(0.4, 1.0), generator)


def white_lung(film: Film, lungs: Lungs, generator: np.random.Generator) -> Film:
    """One lung white from top to bottom, or from the base up to some height, as with a large effusion."""
    inside = lungs[..., int(generator.integers(2))]
    rows = np.flatnonzero(inside.any(axis=1))
    if not len(rows):
        return film
    level = rows[0] + (rows[-1] - rows[0]) * generator.uniform(-0.3, 0.8)
    columns = np.arange(film.shape[1])
    surface = level + 0.1 * film.shape[0] * generator.uniform(-1, 1) * np.sin(columns / film.shape[1] * np.pi)
    below = np.arange(film.shape[0])[:, None] > surface[None, :]
    dense = ndimage.gaussian_filter(below.astype(np.float32), generator.uniform(2, 8))
    return _whitened(film, inside, dense * generator.uniform(0.8, 1.0), generator)


def half_white(film: Film, lungs: Lungs) -> Film:
    """The lower half of the larger lung white: what the trial of robustness paints, always the same."""
    side = int(lungs[..., 1].sum() > lungs[..., 0].sum())
    inside = lungs[..., side]
    rows = np.flatnonzero(inside.any(axis=1))
    below = np.arange(film.shape[0])[:, None] > rows.mean()
    dense = ndimage.gaussian_filter(np.broadcast_to(below, film.shape).astype(np.float32), 3)
    return _whitened(film, inside, dense, np.random.default_rng(0), reach=_REACH[1])


def devices(film: Film, lungs: Lungs, generator: np.random.Generator) -> Film:  # noqa: ARG001 -- like the others
    """Tubes, wires, electrodes and a pacemaker's box, bright, anywhere."""
    height, width = film.shape
    drawn = Image.fromarray(film)
    pen = ImageDraw.Draw(drawn)
    grey = float(np.percentile(film, 99)) * generator.uniform(0.9, 1.1)
    for _ in range(int(generator.integers(1, 5))):
        points = generator.uniform(0, 1, (4, 2)) * (width, height)
        kind = generator.integers(3)
        if kind == 0:
            way = ndimage.zoom(points, (8, 1), order=3, mode="nearest")
            pen.line([tuple(map(float, point)) for point in way], fill=grey, width=int(generator.integers(1, 4)))
        else:
            (x, y), radius = points[0], generator.uniform(0.01, 0.05) * width
            shape = pen.ellipse if kind == 1 else pen.rectangle
            shape((x - radius, y - radius, x + radius, y + radius), fill=grey)
    return np.asarray(drawn, dtype=np.float32)


def inverted(film: Film, lungs: Lungs, generator: np.random.Generator) -> Film:  # noqa: ARG001 -- like the others
    """Black for white."""
    return np.asarray(255.0 - film, dtype=np.float32)


def toned(film: Film, lungs: Lungs, generator: np.random.Generator) -> Film:  # noqa: ARG001 -- like the others
    """Another tone curve, contrast and brightness, down to a film that is nearly flat."""
    levels = np.clip(film / 255.0, 0, 1) ** np.exp(generator.normal(0, 0.4))
    contrast, offset = generator.uniform(0.25, 1.2), generator.uniform(-0.3, 0.3)
    return np.asarray(255.0 * np.clip((levels - 0.5) * contrast + 0.5 + offset, 0, 1), dtype=np.float32)


def blurred_or_noisy(film: Film, lungs: Lungs, generator: np.random.Generator) -> Film:  # noqa: ARG001 -- like the others
    """Out of focus, or grainy."""
    if generator.random() < 0.5:
        return np.asarray(ndimage.gaussian_filter(film, generator.uniform(0.3, 2.5)), dtype=np.float32)
    return np.asarray(film + generator.normal(0, generator.uniform(3, 25), film.shape), dtype=np.float32)


CHANGES: tuple[tuple[Callable[[Film, Lungs, np.random.Generator], Film], float], ...] = (
    (consolidation, 0.3),
    (white_lung, 0.12),
    (devices, 0.25),
    (toned, 0.6),
    (blurred_or_noisy, 0.35),
    (inverted, 0.05),
)
"""Each change and the share of films that it is made to, in this order."""


def painted(film: npt.NDArray[np.uint8], lungs: Lungs, *, seed: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """A film with some of `CHANGES` made.

    Args:
        film: uint8 (H, W).
        lungs: bool (H, W, 2); they stay where they are.
        seed: Decides which changes, and how.
    """
    generator = np.random.default_rng(seed)
    changed = film.astype(np.float32)
    for change, share in CHANGES:
        if generator.random() < share:
            changed = change(changed, lungs, generator)
    return np.clip(np.round(changed), 0, 255).astype(np.uint8)


def no_chest(film: npt.NDArray[np.uint8], generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A picture without lungs, of a film (H, W): its tiles shuffled, a strip of its edge enlarged, or bones drawn."""
    kind = generator.integers(3)
    if kind == 0:
        return _shuffled(film, generator)
    if kind == 1:
        return _strip(film, generator)
    return _limb(film.shape, generator)


def _shuffled(film: npt.NDArray[np.uint8], generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    side = min(film.shape) // int(generator.integers(4, 8))
    rows, columns = (size // side for size in film.shape)
    tiles = [film[y * side : (y + 1) * side, x * side : (x + 1) * side] for y in range(rows) for x in range(columns)]
    order = generator.permutation(len(tiles))
    whole = np.block([[np.rot90(tiles[order[y * columns + x]], x + y) for x in range(columns)] for y in range(rows)])
    return np.asarray(Image.fromarray(whole).resize(film.shape[::-1], Image.Resampling.BILINEAR))


def _strip(film: npt.NDArray[np.uint8], generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    """The lowest eighth of a film, where no lung reaches, or its outermost tenth at a side, enlarged."""
    height, width = film.shape
    parts = (film[-height // 8 :], film[:, : width // 12], film[:, -width // 12 :])
    part = np.ascontiguousarray(np.rot90(parts[int(generator.integers(3))], int(generator.integers(4))))
    return np.asarray(Image.fromarray(part).resize((width, height), Image.Resampling.BICUBIC))


def _limb(shape: tuple[int, ...], generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Soft tissue with a few long or round bones in it, on black."""
    height, width = shape
    drawn = Image.new("L", (width, height))
    pen = ImageDraw.Draw(drawn)
    middle, broad = generator.uniform(0.35, 0.65) * width, generator.uniform(0.15, 0.5) * width
    tissue = int(generator.integers(60, 140))
    pen.polygon(
        [(middle - broad, 0), (middle + broad, 0), (middle + 0.8 * broad, height), (middle - 0.8 * broad, height)],
        tissue,
    )
    for _ in range(int(generator.integers(1, 6))):
        grey = int(generator.integers(tissue + 20, 250))
        start, end = generator.uniform(0, 1, (2, 2)) * (width, height)
        thick = int(generator.uniform(0.03, 0.2) * width)
        pen.line([tuple(start), tuple(end)], fill=grey, width=thick)
        for x, y in (start, end):
            radius = thick * generator.uniform(0.5, 1.1)
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=grey)
    turned = drawn.rotate(float(generator.uniform(0, 360)))
    grain = ndimage.gaussian_filter(np.asarray(turned, dtype=np.float32), generator.uniform(0.5, 4))
    return np.clip(grain + generator.normal(0, generator.uniform(1, 12), shape), 0, 255).astype(np.uint8)


def _cloud(shape: tuple[int, ...], generator: np.random.Generator, *, scale: float) -> Film:
    """Smooth noise of mean 0 and spread 1."""
    noise = ndimage.gaussian_filter(generator.normal(0, 1, shape), scale * shape[0])
    return np.asarray((noise - noise.mean()) / max(float(noise.std()), 1e-9), dtype=np.float32)


def _whitened(
    film: Film,
    inside: npt.NDArray[np.bool_],
    dense: npt.NDArray[np.floating],
    generator: np.random.Generator,
    *,
    reach: float | None = None,
) -> Film:
    """Brings the film inside to the grey of dense tissue, by shares 0..1; ribs and grain stay faintly visible.

    It reaches over the lung's edge, by `reach` pixels where given: an edge that shows would give the lung away.
    """
    reach = generator.uniform(*_REACH) if reach is None else reach
    tissue = float(np.percentile(film, 85)) * generator.uniform(0.9, 1.05)
    wide = ndimage.binary_dilation(inside, iterations=max(1, round(reach)))
    share = 0.95 * dense * ndimage.gaussian_filter(wide.astype(np.float32), reach / 2)
    return np.asarray(film * (1 - share) + share * tissue, dtype=np.float32)
