"""Was it the lungs that were searched? What is said of it, and what is found where there are none."""

from __future__ import annotations

import numpy as np

from medvision.geometry import spacing_mm
from medvision.volumes import HeatMap, LungMask, QualityCheck

NAME, LIMIT = "lung search", "both lungs"

MIN_SIDE_SHARE = 0.08
"""A side with less of the lungs than this was not searched for what a reader would call a lung."""


def lung_search_check(lungs: LungMask) -> QualityCheck:
    """What the detector took for lungs; a warning where that is not both of them."""
    if not lungs.found:
        return QualityCheck(NAME, "warn", "no lungs found", LIMIT, lungs.doubt)
    voxel_ml = float(np.prod(spacing_mm(lungs.affine))) / 1000
    right, left = (int(np.count_nonzero(lungs.labels == side)) * voxel_ml for side in (1, 2))
    message = ""
    if right < MIN_SIDE_SHARE * left:
        message = "only the left lung holds air: the right side was not searched"
    elif left < MIN_SIDE_SHARE * right:
        message = "only the right lung holds air: the left side was not searched"
    value = f"right {right:.0f} ml, left {left:.0f} ml"
    return QualityCheck(NAME, "warn" if message else "ok", value, LIMIT, message)


def nothing_to_see(lungs: LungMask) -> HeatMap:
    """The heat map where nothing was searched."""
    return HeatMap(np.zeros(lungs.labels.shape, np.float32), lungs.affine)
