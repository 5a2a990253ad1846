"""Star-shaped bodies of exact volume.

A profile is a table of relative radii over equal steps of polar angle (from +z) and azimuth (from +x). The
radius is constant within a cell, so the volume of the body is an exact sum over the cells' solid angles.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Shape = Literal["round", "lobulated", "spiculated", "irregular"]

POLAR_CELLS, AZIMUTH_CELLS = 96, 192


def profile_radius(profile: NDArray[np.float32], offsets: NDArray[np.floating]) -> NDArray[np.floating]:
    """Relative radius in the direction of each (…, 3) offset from the centre."""
    length = np.linalg.norm(offsets, axis=-1)
    cosine = np.clip(offsets[..., 2] / np.maximum(length, 1e-6), -1, 1)
    polar = np.arccos(cosine) * (POLAR_CELLS / np.pi)
    azimuth = np.arctan2(offsets[..., 1], offsets[..., 0]) * (AZIMUTH_CELLS / (2 * np.pi))
    row = np.minimum(polar.astype(np.intp), POLAR_CELLS - 1)
    column = np.floor(azimuth).astype(np.intp) % AZIMUTH_CELLS
    return np.asarray(profile[row, column])


def _directions() -> NDArray[np.float64]:
    """(96, 192, 3) unit vectors through the middles of the profile's cells."""
    polar = (np.arange(POLAR_CELLS) + 0.5) * (np.pi / POLAR_CELLS)
    azimuth = (np.arange(AZIMUTH_CELLS) + 0.5) * (2 * np.pi / AZIMUTH_CELLS)
    sine, cosine = np.sin(polar)[:, None], np.cos(polar)[:, None]
    return np.stack(
        [
            sine * np.cos(azimuth),
            sine * np.sin(azimuth),
            np.broadcast_to(cosine, (POLAR_CELLS, AZIMUTH_CELLS)),
        ],
        axis=-1,
    )


_DIRECTIONS = _directions()
_EDGES = np.cos(np.arange(POLAR_CELLS + 1) * (np.pi / POLAR_CELLS))
_SOLID_ANGLES = ((_EDGES[:-1] - _EDGES[1:]) * (2 * np.pi / AZIMUTH_CELLS))[:, None]


def _bumps(
    rng: np.random.Generator, count: int, height: tuple[float, float], sharpness: float
) -> NDArray[np.float64]:
    """Sum of bumps on the unit sphere, `sharpness` being the inverse square of their width in radians."""
    axes = rng.standard_normal((count, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    heights = rng.uniform(*height, count)
    return np.asarray(np.exp(sharpness * (_DIRECTIONS @ axes.T - 1)) @ heights)


def _ellipsoid(rng: np.random.Generator, spread: float) -> NDArray[np.float64]:
    """Radius of an ellipsoid of random orientation, whose axes vary by `spread` (log-normal)."""
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    axes = np.exp(spread * rng.standard_normal(3))
    return np.asarray(1 / np.linalg.norm(_DIRECTIONS @ rotation / axes, axis=-1))


def sample_profile(rng: np.random.Generator, shape: Shape) -> NDArray[np.float32]:
    """Draw relative radii and scale them to the volume of a sphere of diameter 1."""
    if shape == "round":
        radius = _ellipsoid(rng, 0.1)
    elif shape == "lobulated":
        radius = _ellipsoid(rng, 0.15) + _bumps(rng, int(rng.integers(4, 10)), (0.2, 0.6), 9.0)
    elif shape == "irregular":
        radius = _ellipsoid(rng, 0.28) + _bumps(rng, int(rng.integers(10, 24)), (-0.4, 0.5), 16.0)
    else:
        radius = _ellipsoid(rng, 0.18) + _bumps(rng, 8, (-0.3, 0.5), 14.0)
        radius += _bumps(rng, int(rng.integers(12, 30)), (0.3, 1.1), 110.0)
    radius = np.maximum(radius, 0.3)
    volume = float((radius**3 / 3 * _SOLID_ANGLES).sum())
    return np.asarray(radius * np.cbrt(np.pi / 6 / volume), np.float32)
