"""Which lobe a point most likely lies in, from the lung's shape alone.

Fissures are seldom visible all the way on thick slices, so none are looked for. The oblique fissure is taken
as a plane of the usual slope that cuts off the usual share of that lung's volume, the horizontal one as a
level plane in front of it. A point near such a plane may lie in the neighbouring lobe.
"""

from __future__ import annotations

import numpy as np

from medvision.findings import Lobe, Point, Side
from medvision.geometry import voxel_to_lps
from medvision.volumes import LungMask

RISE = 1.3
"""Millimetres that the oblique fissure rises for each millimetre towards the back: 52 degrees."""
LOWER_SHARE: dict[Side, float] = {"right": 0.47, "left": 0.5}
"""Share of the lung's volume below and behind the oblique fissure."""
MIDDLE_SHARE = 0.31
"""Share of the right lung's other two lobes that the middle one has."""
COARSE = 2
"""Every so many voxels of the mask are enough."""
LABELS: dict[Side, int] = {"right": 1, "left": 2}


def lobe_of(center_mm: Point, lungs: LungMask, side: Side) -> Lobe:
    """Name the most likely lobe.

    Args:
        center_mm: LPS mm.
        lungs: the lungs.
        side: of the lung that the point belongs to.
    """
    index = np.argwhere(lungs.labels[::COARSE, ::COARSE, ::COARSE] == LABELS[side]) * COARSE
    places = voxel_to_lps(lungs.affine, index)
    behind = RISE * places[:, 1] - places[:, 2]
    cut = float(np.quantile(behind, 1 - LOWER_SHARE[side]))
    if RISE * center_mm[1] - center_mm[2] > cut:
        return "right_lower" if side == "right" else "left_lower"
    if side == "left":
        return "left_upper"
    heights = places[behind <= cut, 2]
    return "right_middle" if center_mm[2] < float(np.quantile(heights, MIDDLE_SHARE)) else "right_upper"
