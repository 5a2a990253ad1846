"""Signed distances of simple bodies in mm (negative inside), on arrays that broadcast together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating]
Coordinates = tuple[Field, Field, Field]
"""x, y, z in LPS mm; shapes broadcast (an open grid or three equal arrays)."""

EXPONENT = 2.5
"""Of the super-ellipses that chest sections resemble: rounder than a box, squarer than an ellipse."""


def columns(points: NDArray[np.float64]) -> Coordinates:
    """(n, 3) points as x, y, z."""
    return points[:, 0], points[:, 1], points[:, 2]


def power(values: Field) -> Field:
    """|v| to the power of 2.5, without a slow general power."""
    return np.asarray(values * values * np.sqrt(np.abs(values)))


def ellipsoid(at: Coordinates, center: Sequence[float], radii: Sequence[float]) -> Field:
    """Approximate distance to an axis-aligned ellipsoid."""
    squared = sum(((axis - c) / r) ** 2 for axis, c, r in zip(at, center, radii, strict=True))
    return np.asarray((np.sqrt(squared) - 1) * min(radii))


def capsule(at: Coordinates, start: Sequence[float], end: Sequence[float], radius: float) -> Field:
    """Distance to a straight tube with round ends."""
    way = np.subtract(end, start)
    offset = [axis - s for axis, s in zip(at, start, strict=True)]
    along = sum(o * (w / float(way @ way)) for o, w in zip(offset, way.tolist(), strict=True))
    along = np.clip(along, 0, 1)
    squared = sum((o - along * w) ** 2 for o, w in zip(offset, way.tolist(), strict=True))
    return np.asarray(np.sqrt(squared) - radius)


def smooth_union(first: Field, second: Field, blend_mm: float) -> Field:
    """Union of two bodies whose crease is filled over about `blend_mm`."""
    overlap = np.maximum(blend_mm - np.abs(first - second), 0)
    return np.asarray(np.minimum(first, second) - overlap * overlap / (4 * blend_mm))


def smooth_cut(first: Field, second: Field, blend_mm: float) -> Field:
    """First body without the second; the edge is rounded over about `blend_mm`."""
    return -smooth_union(-first, second, blend_mm)


@dataclass(frozen=True)
class Wobble:
    """A smooth random function of position with standard deviation 1, which can be evaluated anywhere.

    Attributes:
        waves: (terms, 3) radians a mm.
        phases: (terms, 3) radians.
    """

    waves: NDArray[np.float64]
    phases: NDArray[np.float64]

    def __call__(self, at: Coordinates) -> Field:
        """Evaluate at x, y, z (three equal arrays, or an open grid in z, y, x order)."""
        waves = [np.sin(np.multiply.outer(axis, k) + p) for axis, k, p in self._terms(at)]
        if at[0].ndim == 1:
            return np.asarray((waves[0] * waves[1] * waves[2]).sum(axis=1) * self._height)
        x, y, z = (wave.reshape(-1, wave.shape[-1]) for wave in waves)
        plane = (y[:, None] * x[None]).reshape(-1, x.shape[1])
        return np.asarray((z @ plane.T).reshape(len(z), len(y), len(x)) * self._height)

    @property
    def _height(self) -> float:
        """Factor that makes the standard deviation 1: that of a product of three sines is 8 to the −½."""
        return float(np.sqrt(8 / len(self.waves)))

    def _terms(self, at: Coordinates) -> list[tuple[Field, Field, Field]]:
        """Coordinate, waves and phases of each axis."""
        return [
            (at[k], self.waves[:, k].astype(at[k].dtype), self.phases[:, k].astype(at[k].dtype))
            for k in range(3)
        ]


def sample_wobble(rng: np.random.Generator, wavelength_mm: float, terms: int = 4) -> Wobble:
    """Draw a wobble with wavelengths around `wavelength_mm`."""
    scale = rng.uniform(0.6, 1.4, (terms, 3))
    return Wobble(2 * np.pi / (wavelength_mm * scale), rng.uniform(0, 2 * np.pi, (terms, 3)))
