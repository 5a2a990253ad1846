"""What a nodule's edge and inside look like beyond its body: strands, cavities, bubbles, uneven haze.

Names as in the Fleischner Society's glossary (Bankier et al., Radiology 2024;310:e232558): spiculation,
cavity, bubbly lucencies. How often and how large each is, is a choice of the simulation, made by looking at
real nodules. None of it belongs to the body: volume, diameter and centre are the body's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.findings import Density
from medvision.simulation.bodies import Shape
from medvision.simulation.tubes import Tubes, join, polyline

MEAN_STRANDS: dict[Shape, float] = {"round": 0.7, "lobulated": 3.0, "irregular": 8.0, "spiculated": 20.0}
"""Spicules, tags to the pleura, vessels that run to a nodule."""
STRAND_RADIUS_MM = (0.4, 1.5)
LONGEST_STRAND_MM = 25.0
STRAND_STEPS = 4
FAINT: tuple[Density, ...] = ("ground_glass", "part_solid")
CAVITY_SHARE, CAVITY_FROM_MM = 0.12, 8.0
BUBBLES_SHARE, BUBBLES_FROM_MM = 0.25, 8.0
WAVES, WAVELENGTHS_MM = 16, (2.0, 10.0)


@dataclass(frozen=True)
class Mottle:
    """Uneven haze: a factor that waves around 1.

    Attributes:
        waves: (n, 3) wave vectors, radians a mm.
        phases: (n,) radians.
        depth: standard deviation of the factor.
    """

    waves: NDArray[np.float32]
    phases: NDArray[np.float32]
    depth: float

    def __call__(self, offsets_mm: NDArray[np.float32]) -> NDArray[np.float32]:
        """(…,) factor, from 0.1 to 1.9, at (…, 3) offsets from the nodule's centre in mm."""
        sums = np.cos(offsets_mm @ self.waves.T + self.phases).sum(axis=-1)
        return np.asarray(
            np.clip(1 + self.depth * np.sqrt(2 / len(self.phases)) * sums, 0.1, 1.9), np.float32
        )


def sample_mottle(rng: np.random.Generator) -> Mottle:
    """Draw haze with grains of 1 to 5 mm."""
    shortest, longest = np.log(WAVELENGTHS_MM)
    lengths = np.exp(rng.uniform(shortest, longest, WAVES))
    waves = _directions(rng, WAVES) * (2 * np.pi / lengths)[:, None]
    phases = rng.uniform(0, 2 * np.pi, WAVES)
    return Mottle(waves.astype(np.float32), phases.astype(np.float32), float(rng.uniform(0, 0.45)))


def sample_strands(rng: np.random.Generator, diameter_mm: float, shape: Shape, density: Density) -> Tubes:
    """Draw thin, bent, tapering strands that leave a body.

    Args:
        rng: source of randomness.
        diameter_mm: of the body; a small one has shorter and thinner strands.
        shape: of the body.
        density: hazy bodies have fewer.

    Returns:
        Places in diameters from the centre, radii in mm.
    """
    faint = 0.4 if density in FAINT else 1.0
    count = int(rng.poisson(MEAN_STRANDS[shape] * faint))
    return join([_strand(rng, diameter_mm, way) for way in _directions(rng, count)])


def _strand(rng: np.random.Generator, diameter_mm: float, way: NDArray[np.float64]) -> Tubes:
    length_mm = min(float(rng.exponential(0.5 * diameter_mm + 3)) + 2, LONGEST_STRAND_MM)
    places = np.linspace(0.3, 0.5 + length_mm / diameter_mm, STRAND_STEPS)
    bend = (
        np.cumsum(rng.normal(0, 0.12, (STRAND_STEPS, 3)), axis=0) * np.linspace(0, 1, STRAND_STEPS)[:, None]
    )
    points = places[:, None] * (way + bend)
    thick = min(float(rng.uniform(*STRAND_RADIUS_MM)), diameter_mm / 8)
    return polyline(points, np.linspace(thick, thick * float(rng.uniform(0.25, 1.0)), STRAND_STEPS))


def sample_holes(rng: np.random.Generator, diameter_mm: float, density: Density) -> Tubes:
    """Draw a cavity of a solid body, or bubbles of a hazy one; mostly neither.

    Returns:
        Round holes: places and radii in diameters, from the centre.
    """
    if density == "solid" and diameter_mm >= CAVITY_FROM_MM and rng.random() < CAVITY_SHARE:
        radius = float(rng.uniform(0.12, 0.4))
        return _balls(_directions(rng, 1) * (0.45 - radius) * rng.uniform(0, 0.8), np.array([radius]))
    if density in FAINT and diameter_mm >= BUBBLES_FROM_MM and rng.random() < BUBBLES_SHARE:
        count = int(rng.integers(1, 6))
        places = _directions(rng, count) * rng.uniform(0, 0.35, (count, 1))
        return _balls(places, rng.uniform(0.7, 1.8, count) / diameter_mm)
    return join([])


def _balls(places: NDArray[np.float64], radii: NDArray[np.float64]) -> Tubes:
    return Tubes(places, places, radii, radii)


def _directions(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """(count, 3) unit vectors."""
    ways = rng.standard_normal((count, 3))
    return np.asarray(ways / np.linalg.norm(ways, axis=1, keepdims=True))
