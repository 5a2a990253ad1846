"""Heart, great vessels, trachea and oesophagus, in the reference chest's LPS mm (origin at the carina)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from medvision.simulation.shapes import (
    Coordinates,
    Field,
    Wobble,
    capsule,
    columns,
    ellipsoid,
    sample_wobble,
    smooth_union,
)
from medvision.simulation.tubes import Tubes, join, polyline

DRIFT_MM = 3.0
BLEND_MM = 7.0
"""Fat fills the creases between vessels over about this width."""

Row = tuple[float, float, float, float]
Path = tuple[Row, ...]
"""x, y, z and radius along a vessel, mm."""

AORTA: Path = (
    (0, -22, -58, 16), (-12, -30, -30, 17), (-14, -28, -2, 16), (-8, -20, 20, 15), (4, -2, 32, 14),
    (17, 22, 27, 13), (23, 40, 8, 12.5), (23, 50, -25, 12), (20, 57, -90, 11.5), (8, 58, -160, 11),
    (3, 56, -260, 10),
)  # fmt: skip
ARTERIES: tuple[Path, ...] = (
    ((20, -42, -48, 14), (19, -32, -22, 14), (20, -12, -6, 12.5), (34, 10, 0, 10), (44, 24, -6, 8)),
    ((18, -28, -16, 12), (-4, -8, -16, 11), (-28, 6, -19, 10), (-42, 14, -26, 8)),
)
SUPRA_AORTIC: tuple[Path, ...] = (
    ((-6, -12, 30, 7), (-16, -6, 60, 6.5), (-24, 6, 110, 6), (-30, 8, 160, 5)),
    ((4, -4, 34, 5), (12, 4, 70, 4), (17, 8, 160, 4)),
    ((14, 14, 32, 6), (22, 20, 70, 5), (32, 20, 112, 5), (60, 10, 125, 5)),
)
VEINS: tuple[Path, ...] = (
    ((-26, -6, -48, 10), (-27, -10, -10, 10.5), (-26, -12, 40, 9), (-24, -12, 56, 8), (-32, -6, 110, 8)),
    ((-24, -14, 52, 7.5), (0, -24, 62, 7), (26, -16, 80, 7), (36, -4, 112, 7.5)),
    ((-24, 10, -70, 12), (-25, 14, -110, 13), (-22, 24, -260, 12)),
    ((-9, 46, -200, 4), (-9, 46, -10, 4.5), (-16, 34, 10, 5), (-24, 4, 14, 5), (-27, -8, 8, 5)),
)
OESOPHAGUS: Path = (
    (3, 24, 160, 7), (5, 36, 60, 7), (3, 38, 0, 7), (5, 40, -60, 8), (14, 30, -110, 8), (24, 8, -135, 9),
)  # fmt: skip
TRACHEA: Path = ((0, 2, 170, 8.5), (0, 14, 80, 8.5), (2, 24, 8, 8.5))
MAIN_BRONCHI: tuple[Path, ...] = (
    ((2, 24, 8, 8), (-12, 25, -6, 7), (-26, 24, -18, 6.2), (-38, 24, -28, 5.2)),
    ((2, 24, 8, 7.5), (16, 26, -8, 6.2), (33, 26, -20, 5.5), (46, 25, -26, 4.8)),
)
ATRIUM = ((5.0, 16.0, -46.0), (36.0, 19.0, 24.0))
PULMONARY_VEINS: tuple[Path, ...] = (
    ((-22, 16, -44, 8), (-38, 4, -30, 6)),
    ((-22, 20, -54, 8), (-40, 22, -58, 6.5)),
    ((28, 12, -36, 8), (42, 0, -22, 6)),
    ((28, 22, -50, 8), (42, 28, -54, 6.5)),
)
CORE = (
    ((-5.0, 8.0, 78.0), (-3.0, 12.0, -45.0), 17.0),
    ((9.0, 4.0, 24.0), (10.0, 10.0, -25.0), 17.0),
    ((8.0, 44.0, 30.0), (8.0, 46.0, -90.0), 11.0),
    ((2.0, 18.0, -50.0), (4.0, 20.0, -160.0), 16.0),
    ((3.0, 42.0, -50.0), (6.0, 42.0, -160.0), 10.0),
)
"""Fat between the vessels keeps the lungs apart and leaves no pocket of lung: start, end, radius."""
ALL_PATHS: tuple[Path, ...] = (
    *(AORTA, OESOPHAGUS, TRACHEA),
    *(*ARTERIES, *VEINS, *SUPRA_AORTIC, *PULMONARY_VEINS, *MAIN_BRONCHI),
)


@dataclass(frozen=True)
class Mediastinum:
    """This patient's heart and vessels, reference mm.

    Attributes:
        girth: factor on all radii of vessels.
        heart: centre and radii of the ventricles.
        right_atrium: centre and radii.
        fat_mm: fat between the vessels and the pleura.
        nodes: (n, 4) lymph nodes: x, y, z, radius.
        drift: how the vessels' courses differ from the reference, along x, y, z.
    """

    girth: float
    heart: tuple[tuple[float, float, float], tuple[float, float, float]]
    right_atrium: tuple[tuple[float, float, float], tuple[float, float, float]]
    fat_mm: float
    nodes: NDArray[np.float64]
    drift: tuple[Wobble, Wobble, Wobble]

    def moved(self, path: Path) -> NDArray[np.float64]:
        """(n, 4) x, y, z and radius of this patient's vessel."""
        rows = np.asarray(path, np.float64)
        shift = np.stack([wobble(columns(rows)) for wobble in self.drift], axis=1)
        return np.column_stack([rows[:, :3] + DRIFT_MM * shift, rows[:, 3] * self.girth])

    def tubes(self, *paths: Path) -> Tubes:
        """Tubes of some vessels."""
        return join([polyline(row[:, :3], row[:, 3]) for row in map(self.moved, paths)])

    def pieces(self) -> Iterator[tuple[list[float], list[float], float]]:
        """Start, end and radius of every piece of every vessel and airway."""
        for path in ALL_PATHS:
            for first, second in pairwise(self.moved(path).tolist()):
                yield first[:3], second[:3], (first[3] + second[3]) / 2

    def distance(self, at: Coordinates) -> Field:
        """Distance of (n,) points to the surface of the mediastinum, which the lungs lie against."""
        pieces = list(self.pieces())
        start = np.array([first for first, _, _ in pieces])
        way = np.array([second for _, second, _ in pieces]) - start
        offset = np.stack(at, axis=1)[:, None] - start
        along = np.clip((offset * way).sum(axis=2) / (way**2).sum(axis=1), 0, 1)
        tubes = np.linalg.norm(offset - along[..., None] * way, axis=2) - [radius for _, _, radius in pieces]
        united = self._bulk(at)
        for tube in tubes.T:
            united = smooth_union(united, tube, BLEND_MM)
        return united - self.fat_mm

    def distance_on_grid(self, x: Field, y: Field, z: Field) -> Field:
        """The same on a grid given by its three axes, right only within some mm of the surface, and fast.

        Returns:
            (len(z), len(y), len(x)).
        """
        at = (x[None, None, :], y[None, :, None], z[:, None, None])
        united = self._bulk(at)
        for first, second, radius in self.pieces():
            reach = radius + 2 * BLEND_MM + self.fat_mm
            low, high = np.minimum(first, second) - reach, np.maximum(first, second) + reach
            sx, sy, sz = (
                slice(*np.searchsorted(axis, (low[k], high[k]))) for k, axis in enumerate((x, y, z))
            )
            near = (at[0][:, :, sx], at[1][:, sy], at[2][sz])
            tube = capsule(near, first, second, radius)
            united[sz, sy, sx] = smooth_union(united[sz, sy, sx], tube, BLEND_MM)
        return united - self.fat_mm

    def _bulk(self, at: Coordinates) -> Field:
        """Heart, atria, and the fat in front."""
        heart = smooth_union(ellipsoid(at, *self.heart), ellipsoid(at, *self.right_atrium), 14)
        for start, end, radius in CORE:
            heart = smooth_union(heart, capsule(at, start, end, radius), 10)
        return smooth_union(smooth_union(heart, ellipsoid(at, *ATRIUM), 10), self._front(at), 12)

    def _front(self, at: Coordinates) -> Field:
        """Fat and thymus behind the breastbone, and the neck's soft tissue above."""
        x, y, z = at
        sheet = np.sqrt((x / 1.0) ** 2 + (np.maximum(np.abs(y + 45) - 50, 0)) ** 2) - 3
        sheet = np.maximum(sheet, y - 5)
        neck = np.sqrt((x / 32) ** 2 + ((y - 14) / 44) ** 2) - 1
        return smooth_union(sheet, neck * 30 + np.maximum(62 - z, 0), 12)


def sample_mediastinum(rng: np.random.Generator) -> Mediastinum:
    """Draw a mediastinum."""
    size = rng.uniform(0.88, 1.12)
    nodes = np.column_stack(
        [rng.normal(0, 14, 14), rng.normal(6, 16, 14), rng.uniform(-40, 70, 14), rng.uniform(1.5, 5, 14)]
    )
    return Mediastinum(
        girth=float(rng.uniform(0.9, 1.12)),
        heart=(
            (24 + rng.normal(0, 4), -30 + rng.normal(0, 3), -74 + rng.normal(0, 4)),
            (60 * size, 44 * size, 46 * size),
        ),
        right_atrium=((-24, -16, -62), (24 * size, 28 * size, 36 * size)),
        fat_mm=float(rng.uniform(2, 6)),
        nodes=nodes,
        drift=(sample_wobble(rng, 200), sample_wobble(rng, 200), sample_wobble(rng, 200)),
    )
