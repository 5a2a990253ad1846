"""The shape of a chest: body surface, muscle, thoracic cavity, diaphragm, lungs, fissures.

All shapes are signed distances (negative inside) in the patient's LPS mm. The carina is the origin; the scale
turns a reference chest (of about the proportions in Gray's Anatomy) into this patient's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.simulation.mediastinum import Mediastinum, sample_mediastinum
from medvision.simulation.shapes import (
    EXPONENT,
    Coordinates,
    Field,
    Wobble,
    ellipsoid,
    power,
    sample_wobble,
    smooth_cut,
    smooth_union,
)

APEX_MM = 112.0
RIB_PITCH_MM = 23.0
RIB_DROP_MM = 72.0

_LEVELS = np.array([-230.0, -150.0, -90.0, -40.0, 0.0, 40.0, 80.0, 112.0])
_HALF_WIDTH = np.array([118.0, 130.0, 133.0, 130.0, 122.0, 110.0, 94.0, 78.0])
_HALF_DEPTH = np.array([84.0, 92.0, 95.0, 92.0, 86.0, 77.0, 64.0, 54.0])
_CENTER_Y = np.array([-4.0, -4.0, 0.0, 4.0, 9.0, 16.0, 26.0, 32.0])
_WALL_SIDE = np.array([18.0, 17.0, 17.0, 21.0, 33.0, 52.0, 74.0, 92.0])
_WALL_FRONT = np.array([15.0, 15.0, 15.0, 17.0, 21.0, 25.0, 26.0, 26.0])


@dataclass(frozen=True)
class Thorax:
    """Everything that decides the chest's shape.

    Attributes:
        female: breasts, and smaller scales.
        scale: size along x, y, z relative to the reference.
        fat_mm: thickness of the subcutaneous fat.
        dome_mm: height of the top of the right and left diaphragm, z in reference mm.
        dome_radius_mm: radii of both domes along x, y, z.
        mediastinum: heart and great vessels.
        wobble: irregularity of all surfaces.
        roughness: finer irregularity of the pleura.
        fissure: irregularity of the fissures.
    """

    female: bool
    scale: tuple[float, float, float]
    fat_mm: float
    dome_mm: tuple[float, float]
    dome_radius_mm: tuple[float, float, float]
    mediastinum: Mediastinum
    wobble: Wobble
    roughness: Wobble
    fissure: Wobble

    @property
    def size(self) -> float:
        """Mean scale."""
        return float(np.mean(self.scale))

    def reference(self, at: Coordinates) -> Coordinates:
        """This patient's LPS mm in the reference chest's."""
        return at[0] / self.scale[0], at[1] / self.scale[1], at[2] / self.scale[2]

    def place(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """The reference chest's (…, 3) points in this patient's LPS mm."""
        return np.asarray(points * np.asarray(self.scale))


def sample_thorax(rng: np.random.Generator, *, female: bool, breath: float) -> Thorax:
    """Draw a chest.

    Args:
        rng: source of randomness.
        female: sex.
        breath: 1 for full inspiration, 0 for expiration.
    """
    height = (0.92 if female else 1.02) * rng.normal(1, 0.04)
    width = (0.9 if female else 1.0) * rng.normal(1, 0.05)
    right = -88 - 14 * (breath - 0.7) / 0.3 + rng.normal(0, 6)
    return Thorax(
        female=female,
        scale=(width, width * rng.normal(1, 0.05), height),
        fat_mm=float(np.clip(rng.gamma(4, 3.2) + (4 if female else 0), 4, 36)),
        dome_mm=(right, right - rng.uniform(2, 22)),
        dome_radius_mm=(rng.uniform(70, 78), rng.uniform(88, 100), rng.uniform(62, 82)),
        mediastinum=sample_mediastinum(rng),
        wobble=sample_wobble(rng, 110),
        roughness=sample_wobble(rng, 34),
        fissure=sample_wobble(rng, 110),
    )


def half_axes(z: Field) -> tuple[Field, Field, Field]:
    """Half width, half depth and centre y of the cavity at reference heights."""
    return _level(z, _HALF_WIDTH), _level(z, _HALF_DEPTH), _level(z, _CENTER_Y)


def _level(z: Field, values: NDArray[np.float64]) -> Field:
    return np.interp(z, _LEVELS, values).astype(z.dtype)


def cavity_distance(thorax: Thorax, at: Coordinates) -> Field:
    """Distance to the inner wall of the thoracic cavity: two rounded apices, open below."""
    x, y, z = thorax.reference(at)
    width, depth, middle = half_axes(z)
    rise = np.clip((z - 30) / (APEX_MM - 30), 0, 1)
    shrink = np.sqrt(np.maximum(1 - rise**4, 1e-3))
    center = 44 * rise
    across = power((np.abs(x) - center) / ((width - center) * shrink))
    across = np.where(np.abs(x) < center, across * 0.6, across)
    front = power((y - middle) / (depth * shrink))
    section = (across + front) ** (1 / EXPONENT) - 1
    ribs = np.cos((z + RIB_DROP_MM * (middle + depth - y) / (2 * depth)) * (2 * np.pi / RIB_PITCH_MM))
    distance = section * np.minimum(width - center, depth) * shrink
    dents = np.where(y > middle, 11 * np.exp(-((x / 46) ** 2)), 6 * np.exp(-((x / 34) ** 2)))
    return np.asarray(np.maximum(distance + dents, z - APEX_MM) - 0.5 * ribs + 1.6 * thorax.wobble(at))


def muscle_distance(thorax: Thorax, at: Coordinates) -> Field:
    """Distance to the outer surface of the chest wall's muscles."""
    x, y, z = thorax.reference(at)
    width, depth, middle = half_axes(z)
    width = width + _level(z, _WALL_SIDE)
    front = _level(z, _WALL_FRONT)
    half = depth + (front + 32) / 2
    section = power(x / width) + power((y - middle - (32 - front) / 2) / half)
    distance = (section ** (1 / EXPONENT) - 1) * np.minimum(width, half)
    furrow = 9 * np.exp(-((x / 14) ** 2)) * (y > 0)
    return np.asarray(distance + furrow + thorax.wobble(at))


def body_distance(thorax: Thorax, at: Coordinates, muscle: Field) -> Field:
    """Distance to the skin, given the distance to the muscles."""
    x, y, z = thorax.reference(at)
    front = np.clip(0.5 - y / 120, 0, 1)
    belly = 1 + 0.5 * np.clip(-(z + 60) / 100, 0, 1) * front
    distance = muscle - thorax.fat_mm * belly * (0.65 + 0.35 * front)
    if not thorax.female:
        return np.asarray(distance)
    size = 22 + thorax.fat_mm
    breast = ellipsoid((np.abs(x), y, z), (68, -88, -52), (58, size + 14, 52))
    return smooth_union(distance, breast, 25)


def diaphragm_distance(thorax: Thorax, at: Coordinates) -> Field:
    """Distance to the upper surface of both domes (negative below it)."""
    at = thorax.reference(at)
    rx, ry, rz = thorax.dome_radius_mm
    right = ellipsoid(at, (-66, -12, thorax.dome_mm[0] - rz), (rx, ry, rz))
    left = ellipsoid(at, (66, -10, thorax.dome_mm[1] - rz), (rx - 3, ry, rz))
    domes = smooth_union(right, left, 30)
    floor = at[2] - (min(thorax.dome_mm) - 54 - 0.28 * at[1])
    return smooth_union(domes, floor, 8)


def spine_center(z: Field) -> Field:
    """Y of the middle of the vertebral bodies at reference heights: the thoracic kyphosis."""
    _, depth, middle = half_axes(z)
    return np.asarray(middle + depth - 24)


def lung_distance(
    thorax: Thorax, at: Coordinates, mediastinum: Field | None = None, cavity: Field | None = None
) -> Field:
    """Distance to the surface of both lungs.

    Args:
        thorax: the chest.
        at: where.
        mediastinum: distance to the mediastinum there, where it is already known.
        cavity: distance to the cavity's wall there, where it is already known.
    """
    x, y, z = thorax.reference(at)
    if mediastinum is None:
        mediastinum = thorax.mediastinum.distance((x, y, z))
    back = spine_center(z)
    spine = np.sqrt((x / 1.12) ** 2 + (y - back) ** 2) - 19
    behind = np.sqrt((x / 1.5) ** 2 + (y - back - 30) ** 2) - 19
    spine = smooth_union(spine, behind, 14)
    below = diaphragm_distance(thorax, at)
    middle = smooth_union(smooth_union(mediastinum, spine, 8), below, 12)
    if cavity is None:
        cavity = cavity_distance(thorax, at)
    return smooth_cut(cavity, middle, 4) + 0.25 * thorax.roughness(at)


def oblique_fissure(thorax: Thorax, at: Coordinates) -> Field:
    """Signed distance to the oblique fissure: positive in the lower lobe (behind and below)."""
    x, y, z = thorax.reference(at)
    tilt = np.where(x < 0, 1.25, 1.4)
    surface = tilt * (y - 4) - 12 + 3 * ((np.abs(x) - 70) / 40) ** 2 + 2.5 * thorax.fissure(at)
    return np.asarray((surface - z) / np.sqrt(1 + tilt**2) * thorax.size)


def horizontal_fissure(thorax: Thorax, at: Coordinates) -> Field:
    """Signed distance to the horizontal fissure of the right lung: positive above it."""
    x, y, z = thorax.reference(at)
    surface = -34 + 0.12 * (x + 60) + 0.1 * y - 6 * ((x + 70) / 50) ** 2 + 2.5 * thorax.fissure(at)
    return np.asarray((z - surface) * thorax.size)


LOBES = ("right upper", "right middle", "right lower", "left upper", "left lower")


def lobe_index(thorax: Thorax, at: Coordinates) -> NDArray[np.intp]:
    """Index into LOBES of points inside the lungs."""
    lower = oblique_fissure(thorax, at) > 0
    upper = horizontal_fissure(thorax, at) > 0
    right = np.where(lower, 2, np.where(upper, 0, 1))
    return np.asarray(np.where(at[0] < 0, right, np.where(lower, 4, 3)), np.intp)
