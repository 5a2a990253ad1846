"""Pulmonary arteries, veins and airways that fill the lobes. Patient's LPS mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.simulation.mediastinum import MAIN_BRONCHI
from medvision.simulation.shapes import columns
from medvision.simulation.thorax import LOBES, Thorax, cavity_distance, lobe_index, lung_distance
from medvision.simulation.tubes import Tubes, join, polyline
from medvision.simulation.vessels import Territory, fill_tree

Points = NDArray[np.float64]

PLEURAL_GAP_MM = 3.0
"""Vessels end about this far from the pleura."""
ARTERY_END_MM, VEIN_END_MM = 0.4, 0.42
AIRWAY_SMALLEST_MM = 0.75
HILUM_MM = 22.0
"""Around the roots of the lobes, airways may run outside the lung."""

# Where the lobar branches leave the hilum, reference mm, in the order of LOBES.
_ARTERY_ROOTS = np.array([[-36.0, 8, -8], [-44, -2, -36], [-42, 18, -38], [48, 2, 0], [46, 30, -24]])
_AIRWAY_ROOTS = np.array([[-32.0, 24, -8], [-41, 4, -44], [-42, 24, -42], [50, 4, -12], [46, 24, -36]])
_VEIN_ROOTS = np.array([[-38.0, 0, -28], [-38, 0, -38], [-40, 22, -58], [42, 0, -22], [42, 28, -54]])
_LOBE_AWAY = np.array(
    [[-0.7, -0.1, 1.0], [-0.8, -1.0, -0.5], [-0.5, 0.3, -1.0], [0.7, -0.4, 0.8], [0.5, 0.3, -1.0]]
)
_ROOT_LIMIT_MM = 5.5
_STEM_NODES = ((0, 1), (0, 3), (0, 3), (1, 3), (1, 3))
"""Main bronchus and the node of its course where each lobe's bronchus leaves."""


@dataclass(frozen=True)
class Trees:
    """What runs through the lungs.

    Attributes:
        arteries: with radii of the blood.
        veins: likewise.
        airways: with radii of the lumen.
    """

    arteries: Tubes
    veins: Tubes
    airways: Tubes

    @property
    def vessels(self) -> Tubes:
        """Arteries and veins."""
        return join([self.arteries, self.veins])


def sample_lung_points(rng: np.random.Generator, thorax: Thorax, count: int, depth_mm: float) -> Points:
    """Draw (count, 3) points evenly over both lungs, at least `depth_mm` inside the pleura."""
    low, high = thorax.place(np.array([[-140.0, -105, -190], [140, 105, 112]]))
    found: list[Points] = []
    total = 0
    while total < count:
        points = rng.uniform(low, high, (4 * count, 3))
        points = points[cavity_distance(thorax, columns(points)) < -depth_mm]  # quick, and most fail it
        found.append(points[lung_distance(thorax, columns(points)) < -depth_mm])
        total += len(found[-1])
    return np.concatenate(found)[:count]


def grow_trees(rng: np.random.Generator, thorax: Thorax, ends: int) -> Trees:
    """Grow all trees of a patient.

    Args:
        rng: source of randomness.
        thorax: the chest.
        ends: number of smallest arteries in both lungs.
    """
    points = sample_lung_points(rng, thorax, 2 * ends, PLEURAL_GAP_MM)
    lobes = lobe_index(thorax, columns(points))
    parts: dict[str, list[Tubes]] = {"arteries": [], "veins": [], "airways": []}
    for lobe in range(len(LOBES)):
        mine = points[lobes == lobe]
        half = len(mine) // 2
        away = _LOBE_AWAY[lobe]
        artery = Territory(thorax.place(_ARTERY_ROOTS[lobe]), away, mine[:half])
        vein = Territory(thorax.place(_VEIN_ROOTS[lobe]), away + np.array([0.0, -0.3, -0.2]), mine[half:])
        arteries = _limit(fill_tree(rng, artery, ARTERY_END_MM))
        parts["arteries"].append(arteries)
        parts["veins"].append(_limit(fill_tree(rng, vein, VEIN_END_MM)))
        airways = _beside(arteries, thorax.place(_AIRWAY_ROOTS[lobe] - _ARTERY_ROOTS[lobe]))
        parts["airways"].append(_stem(thorax, lobe, airways))
        parts["airways"].append(airways.take(_in_lung_or_hilum(thorax, airways, artery.root_mm)))
    return Trees(**{name: join(tubes) for name, tubes in parts.items()})


def _limit(tubes: Tubes) -> Tubes:
    return Tubes(
        tubes.start_mm,
        tubes.end_mm,
        np.minimum(tubes.start_radius_mm, _ROOT_LIMIT_MM),
        np.minimum(tubes.end_radius_mm, _ROOT_LIMIT_MM),
    )


def _stem(thorax: Thorax, lobe: int, airways: Tubes) -> Tubes:
    """Lobar bronchus: from the main bronchus to where the lobe's airways begin."""
    side, node = _STEM_NODES[lobe]
    main = thorax.mediastinum.moved(MAIN_BRONCHI[side])[node]
    ends = np.stack([thorax.place(main[:3]), airways.start_mm[0]])
    return polyline(ends, np.array([main[3], airways.start_radius_mm[0]]))


def _in_lung_or_hilum(thorax: Thorax, airways: Tubes, root_mm: Points) -> NDArray[np.bool_]:
    """Airways that do not cut through the heart."""
    middle = (airways.start_mm + airways.end_mm) / 2
    depth = -lung_distance(thorax, columns(middle))
    return np.asarray((depth > 1) | (np.linalg.norm(middle - root_mm, axis=1) < HILUM_MM))


def _beside(arteries: Tubes, offset_at_root: Points) -> Tubes:
    """Airways beside the larger arteries: lumens as wide as the artery at the hilum, narrower outwards."""
    large = arteries.take(arteries.end_radius_mm > AIRWAY_SMALLEST_MM)
    side = offset_at_root / np.linalg.norm(offset_at_root)
    return Tubes(
        large.start_mm + (2.1 * large.start_radius_mm + 0.8)[:, None] * side,
        large.end_mm + (2.1 * large.end_radius_mm + 0.8)[:, None] * side,
        large.start_radius_mm * 0.8,
        large.end_radius_mm * 0.8,
    )
