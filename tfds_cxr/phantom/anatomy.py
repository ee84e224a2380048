"""A drawn frontal chest: what `tfds_cxr.phantom` radiographs.

The chest is a map of attenuation along the beam, put together from the thickness of soft tissue,
the air of the lungs, bones and vessels. Proportions are set by eye after adult radiographs and vary
from one chest to the next; nothing is copied from an image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from tfds_cxr.phantom.canvas import SIDES, FloatImage, Layer, X, Y, edge, smooth_noise

Points = Sequence[tuple[float, float]]

_ADULT_HALF_WIDTH = 0.66  # the build that these outlines of the patient's left side are drawn for
_NECK_AND_SHOULDER = [(0.2, -1.3), (0.22, -1), (0.36, -0.9), (0.7, -0.83), (0.96, -0.76), (1.1, -0.5)]
_ARMPIT = [(0.82, -0.15), (0.6, 0), (0, 0), (0, -1.3)]
_BLADE = [(0.52, -0.58), (0.57, -0.3), (0.66, 0), (0.72, 0), (0.8, -0.3), (0.86, -0.48), (0.72, -0.58)]
_BLADE_INSIDE = [(0.54, -0.56), (0.59, -0.3), (0.67, -0.03), (0.7, -0.05), (0.77, -0.3), (0.8, -0.46)]


@dataclass(frozen=True)
class Chest:
    """One chest before it is radiographed.

    Attributes:
        attenuation: (360, 360) attenuation along the beam; 0 in air, about 0.4 in lung, 1 in the heart.
        lungs: (360, 360) 1 where lung is seen, 0 elsewhere (heart, mediastinum, below the diaphragm).
        half_width: (360, 1) half the inner width of the rib cage at each row, in units.
        apex: y of the top of the lungs.
        base: y of the costophrenic angles.
    """

    attenuation: FloatImage
    lungs: FloatImage
    half_width: FloatImage
    apex: float
    base: float


@dataclass(frozen=True)
class _Build:
    half_width: float
    apex: float
    base: float
    dome_height: float
    heart: float
    arms: float
    wall: float
    blades: float  # how far the shoulder blades lie over the lungs

    @property
    def scale(self) -> float:
        return self.half_width / _ADULT_HALF_WIDTH

    def cage(self, y: FloatImage) -> FloatImage:
        """Half the inner width of the rib cage at height y."""
        rise = np.clip((0.40 - y) / (0.40 - self.apex), 0, 1)
        half: FloatImage = (self.half_width * (1 - 0.3 * rise**2) * np.sqrt(1 - rise**14)).astype(np.float32)
        return half


def draw_chest(rng: np.random.Generator, *, view: str = "PA") -> Chest:
    """Draws a chest without any finding; build, inspiration, heart size and vessels vary.

    Args:
        rng: Decides all of it.
        view: "PA", standing; or "AP", in bed: the heart is enlarged, as it lies further from the film, the patient
            breathes in less, and the shoulder blades lie over the lungs.
    """
    build = _Build(
        half_width=rng.uniform(0.60, 0.70),
        apex=rng.uniform(-0.78, -0.70),
        base=rng.uniform(0.46, 0.68) - (0.12 if view == "AP" else 0.0),
        dome_height=rng.uniform(0.20, 0.32),
        heart=rng.uniform(0.85, 1.15) * (1.25 if view == "AP" else 1.0),
        arms=rng.uniform(-0.04, 0.22),
        wall=rng.uniform(0.10, 0.24),
        blades=0.2 if view == "AP" else 0.0,
    )
    cage = build.cage(Y)
    medial_fall = 4 * np.clip(0.28 * build.scale - np.abs(X), 0, None) ** 2  # the apices are domes
    inside_cage = np.minimum(edge(cage - np.abs(X)), edge(Y - build.apex - medial_fall))
    above_diaphragm = edge(_diaphragm(build, rng) - Y)
    heart, air_beside_heart = _mediastinum(build, rng)
    outward = np.abs(X) / np.maximum(cage, np.float32(0.01))
    depth = inside_cage * np.sqrt(np.clip(1 - outward * outward * outward, 0, 1))
    air = depth * (0.08 + 0.92 * above_diaphragm) * (1 - heart * (1 - air_beside_heart))
    lungs = inside_cage * above_diaphragm * (1 - heart)

    attenuation = _soft_tissue(build, rng) - rng.uniform(0.54, 0.64) * air
    attenuation += _bones(build, rng) + _gas(build, rng)
    attenuation += _vessels(build, rng) * depth * above_diaphragm * (0.15 + 0.85 * lungs)
    return Chest(np.maximum(attenuation, 0), lungs, cage, build.apex, build.base)


def _diaphragm(build: _Build, rng: np.random.Generator) -> FloatImage:
    """Height of the diaphragm in each column: two domes, the patient's right one usually higher."""
    curve = np.zeros_like(X)
    for side in SIDES:
        height = build.dome_height - (0.0 if side < 0 else rng.uniform(-0.01, 0.07))
        position = (side * X - 0.46 * build.half_width) / (0.57 * build.half_width)
        lateral = (1 - np.clip(position, 0, 1) ** 2) ** 0.75
        medial = 1 - rng.uniform(0.1, 0.4) * np.clip(-position, 0, 1) ** 2
        curve = np.where(side * X >= 0, build.base - height * lateral * medial, curve)
    return curve.astype(np.float32)


def _mediastinum(build: _Build, rng: np.random.Generator) -> tuple[FloatImage, FloatImage]:
    """The shadow of heart and great vessels (0 to 1), and the share of air beside them along the beam."""
    # Borders by height, as a share of the way from the apex to the left dome: on the patient's right
    # great veins and right atrium, on the left aortic arch, pulmonary trunk and left ventricle.
    share = (Y[:, 0] - build.apex) / (build.base - 0.85 * build.dome_height - build.apex)
    veins, atrium = rng.uniform(0.09, 0.135), rng.uniform(0.17, 0.22) * build.heart
    heights = [-0.1, 0.05, 0.25, 0.5, 0.66, 0.8, 0.95, 1.1, 1.3]
    chamber = atrium * np.array([0.9, 1.0, 0.95, 0.75, 0.6])
    right = np.interp(share, heights, [0.2, 0.15, veins, veins, *chamber])
    arch, trunk = rng.uniform(0.15, 0.20), rng.uniform(0.15, 0.20)
    heights = [-0.1, 0.05, 0.24, 0.35, 0.44, 0.54, 0.64, 0.76, 0.88, 0.97, 1.1, 1.3]
    chamber = rng.uniform(0.38, 0.44) * build.heart * np.array([0.55, 0.8, 0.97, 1.0, 0.9, 0.5])
    left = np.interp(share, heights, [0.2, 0.14, 0.105, arch, 0.8 * arch, trunk, *chamber])
    shift = rng.uniform(-0.02, 0.02)
    left = ndimage.gaussian_filter1d(left, 5)[:, None].astype(np.float32) * build.scale + shift
    right = ndimage.gaussian_filter1d(right, 5)[:, None].astype(np.float32) * build.scale - shift
    inside = np.minimum(left - X, right + X)
    low = np.clip((share[:, None] - 0.45) / 0.2, 0, 1)
    beside = 0.3 * low * np.exp(-np.clip(inside, 0, None) / 0.12)
    return edge(inside), beside.astype(np.float32)


def _soft_tissue(build: _Build, rng: np.random.Generator) -> FloatImage:
    """Thickness of the body: an elliptical trunk, neck, shoulders, arms and, in half of all, breasts."""
    flank = 0.66 + build.wall
    half_width = np.interp(Y[:, 0], [-0.95, -0.6, -0.3, 0.1], [0.22, 0.7, 0.78, flank])
    half_width = ndimage.gaussian_filter1d(half_width, 12)[:, None].astype(np.float32)
    depth = np.interp(Y, [-0.9, -0.5, 0.1, 0.5, 1.1], [0.75, 0.85, 0.97, 1.08, 1.12])
    across = np.abs(X) / (half_width * np.float32(build.scale))
    taper = np.interp(Y, [-0.6, 0.1], [1.1, 0.5]).astype(np.float32)
    trunk = depth.astype(np.float32) * np.clip(1 - across**2.4, 0, 1) ** taper
    outer, inner = (1.12 + build.arms, 1.3), (0.86 + build.arms, 0.1)
    layer = Layer()
    for side in SIDES:
        outline = [*_NECK_AND_SHOULDER, (outer[0], 0.3), outer, (inner[0], 1.3), inner, *_ARMPIT]
        layer.polygon(np.array(outline) * (side * build.scale, 1), 255)
    body = trunk + 0.64 * layer.image(softness=10) * (1 - np.clip(trunk, 0, 1))
    if rng.random() < 0.5:
        weight, low = rng.uniform(0.05, 0.16), rng.uniform(0.28, 0.45)
        height = np.where(low > Y, 0.4, 0.22).astype(np.float32)
        for side in SIDES:
            squared = ((X - side * 0.42) / 0.3) ** 2 + ((Y - low) / height) ** 2
            body += weight * np.sqrt(np.clip(1 - squared, 0, 1))
    tissue: FloatImage = body.astype(np.float32, copy=False)
    return tissue


def _bones(build: _Build, rng: np.random.Generator) -> FloatImage:
    back, front, girdle = Layer(), Layer(), Layer()
    spacing = (0.62 - build.apex) / rng.uniform(9.0, 10.0)
    width, drop = rng.uniform(0.040, 0.052), rng.uniform(0.34, 0.46)
    for number in range(-5, 16):
        head = build.apex - 0.02 + number * spacing
        _draw_vertebra(back, head, spacing)
        if 0 <= number < 12:
            _draw_rib_pair(back, front, build, head=head, width=width, drop=drop + 0.012 * number)
    for side in SIDES:
        _draw_shoulder(girdle, build, side=side, lift=rng.uniform(-0.05, 0.06))
    rim = 1 + 0.6 * np.clip(np.abs(X) / build.half_width, 0, 1) ** 4
    ribs = rim * (0.12 * back.image() + 0.07 * front.image())
    column = 0.09 * np.clip(1 - (np.abs(X) / 0.12) ** 4, 0, 1)
    density = rng.uniform(0.8, 1.15)
    return np.float32(density) * (ribs + column + 0.17 * girdle.image()).astype(np.float32, copy=False)


def _draw_rib_pair(back: Layer, front: Layer, build: _Build, *, head: float, width: float, drop: float) -> None:
    """A rib is a tilted hoop on the cage: it falls by `drop` from the spine to its front end."""
    angles = np.linspace(0.12, 2.4, 30)
    y = head + drop * (1 - np.cos(angles)) / 2 - 0.02 * np.sin(2 * angles)
    reach = np.maximum(build.cage((y - 0.03).astype(np.float32)), 0.2) + 0.008
    for side in SIDES:
        path = np.stack([side * reach * np.sin(angles) ** 0.9, y], axis=1)
        back.bone(path[:20], width)
        front.bone(path[18:], 1.2 * width)


def _draw_vertebra(layer: Layer, top: float, height: float) -> None:
    bottom, middle = top + 0.8 * height, top + 0.4 * height
    layer.polygon([(-0.085, top), (0.085, top), (0.085, bottom), (-0.085, bottom)], 95)
    for end in (top, bottom):
        layer.line([(-0.085, end), (0.085, end)], 0.012, 160)
    for side in SIDES:
        layer.ellipse(side * 0.055, middle, 0.016, 0.024, 190)
    layer.ellipse(0, middle + 0.3 * height, 0.012, 0.03, 190)


def _draw_shoulder(layer: Layer, build: _Build, *, side: int, lift: float) -> None:
    def place(points: Points) -> npt.NDArray[np.float64]:
        return np.array(points) * (side * build.scale, 1)

    inward = (build.blades, 0)
    layer.polygon(place(np.subtract(_BLADE, inward).tolist()), 95)
    layer.polygon(place(np.subtract(_BLADE_INSIDE, inward).tolist()), 55)
    layer.line(place([(0.55, -0.52), (0.72, -0.62), (0.93, -0.7)]), 0.04, 100)
    layer.ellipse(side * 0.93 * build.scale, -0.7, 0.06, 0.03, 120)
    layer.ellipse(side * 0.97 * build.scale, -0.58, 0.1, 0.105, 170)
    arm = build.arms
    layer.bone(place([(0.98, -0.55), (1.0 + arm / 3, -0.1), (1.01 + arm, 0.4), (1.02 + arm, 1.2)]), 0.1)
    shaft = np.linspace(0, 1, 16)
    bend = -0.5 - 0.22 * shaft**0.8 + lift * np.sin(2.6 * shaft) + 0.02 * np.sin(6.3 * shaft)
    layer.bone(np.stack([side * build.scale * (0.07 + 0.83 * shaft), bend], axis=1), 0.045)


def _gas(build: _Build, rng: np.random.Generator) -> FloatImage:
    """Negative attenuation of the trachea, the main bronchi and, in most, gas in the stomach."""
    layer = Layer()
    carina = (0.012, -0.24)
    layer.line([(0, -1.25), (0.0, -0.7), carina], 0.075, 140)
    layer.line([carina, (-0.13, -0.11)], 0.05, 110)
    layer.line([carina, (0.16, -0.12)], 0.045, 110)
    if rng.random() < 0.6:
        x, y = rng.uniform(0.25, 0.42), build.base - build.dome_height + rng.uniform(0.15, 0.22)
        layer.ellipse(x, y, rng.uniform(0.05, 0.14), rng.uniform(0.03, 0.07), int(rng.integers(80, 256)))
    return np.float32(-0.3) * layer.image(softness=4)


def _vessels(build: _Build, rng: np.random.Generator) -> FloatImage:
    """Pulmonary vessels: trees that leave the hila and fork, thinner and fainter each time."""
    layer = Layer()
    side = np.repeat(SIDES, 8)
    direction = np.tile(np.linspace(-1.3, 1.4, 8), 2) + rng.normal(0, 0.12, 16)
    hilum = rng.uniform((0.14, -0.12), (0.18, -0.04)) * (build.scale, 1)
    tips = np.stack([side * hilum[0], hilum[1] - 0.03 * (side > 0) + 0.11 * direction], axis=1)
    for x, y in tips[[4, 12]].tolist():
        layer.ellipse(x, y, 0.04, rng.uniform(0.06, 0.1), 110)
    width = rng.uniform(0.014, 0.028, 16)
    while width.size:
        length = rng.uniform(0.03, 0.1, width.size)
        path = [tips]
        for _ in range(3):
            direction = direction + rng.normal(0, 0.15, width.size)
            step = np.stack([side * np.cos(direction), np.sin(direction)], axis=1)
            path.append(path[-1] + step * length[:, None] / 2)
        layer.lines(np.stack(path, axis=1), width, np.clip(40 + 6500 * width, 0, 255).astype(int))
        grows = np.repeat((width > 0.006) & (np.abs(path[-1][:, 0]) < build.half_width), 2)
        tips, side, direction = (np.repeat(a, 2, axis=0)[grows] for a in (path[-1], side, direction))
        turn = rng.uniform(0.1, 0.5, grows.size) * np.tile([1, -1], grows.size // 2)
        direction = direction + turn[grows]
        width = (np.repeat(width, 2) * rng.uniform(0.6, 0.85, grows.size))[grows]
    texture = smooth_noise(rng, 0.02) * np.float32(0.012)
    return np.float32(rng.uniform(0.18, 0.26)) * layer.image() + texture
