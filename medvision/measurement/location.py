"""Where a point lies in the lungs, in words and in mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.findings import Lobe, Point, Side
from medvision.geometry import lps_to_voxel, spacing_mm, voxel_to_lps
from medvision.measurement.lobes import lobe_of
from medvision.volumes import LungMask

OUTSIDE_MM = 8.0
"""A nodule on the pleura may be left out of the mask: up to this far from it, a point belongs to the lung."""
SIDES: dict[int, Side] = {1: "right", 2: "left"}
REACH_MM = (20.0, 50.0, 150.0)
"""Half widths of the boxes in which the lung's outline is sought, the small one first."""


@dataclass(frozen=True, slots=True)
class Location:
    """A place in the lungs.

    Attributes:
        words: side and zone; a zone is a third of that lung's height, no lobe.
        distance_to_pleura_mm: to the lung's outline, 0 outside it; None where no lung was found.
        side: of the lung; None outside or where no lung was found.
        lobe: an estimate (see `lobes`); None likewise.
    """

    words: str
    distance_to_pleura_mm: float | None
    side: Side | None = None
    lobe: Lobe | None = None


def locate(center_mm: Point, lungs: LungMask | None) -> Location:
    """Put a point into words.

    Args:
        center_mm: LPS mm.
        lungs: the lungs; None, or one with `found` False, gives "lung not outlined".
    """
    if lungs is None or not lungs.found or not lungs.labels.any():
        return Location("lung not outlined", None)
    distance_mm, side = _to_nearest(center_mm, lungs, lungs.labels > 0)
    if distance_mm > OUTSIDE_MM:
        return Location(f"{distance_mm:.0f} mm outside the {SIDES[side]} lung", 0.0)
    zone = _zone(center_mm, lungs, side)
    pleura_mm, _ = _to_nearest(center_mm, lungs, lungs.labels != side)
    # The outline runs half a voxel before the first one outside.
    pleura_mm = max(0.0, pleura_mm - float(np.mean(spacing_mm(lungs.affine))) / 2)
    lobe = lobe_of(center_mm, lungs, SIDES[side])
    return Location(f"{SIDES[side]} {zone} zone", round(pleura_mm, 1), SIDES[side], lobe)


def _to_nearest(center_mm: Point, lungs: LungMask, wanted: NDArray[np.bool_]) -> tuple[float, int]:
    """Distance in mm to the nearest wanted voxel's centre, and that voxel's label."""
    index = lps_to_voxel(lungs.affine, center_mm)
    spacing = np.array(spacing_mm(lungs.affine))
    best = (float("inf"), 0)
    for reach_mm in REACH_MM:
        low = np.clip(np.floor(index - reach_mm / spacing).astype(int), 0, wanted.shape)
        high = np.clip(np.ceil(index + reach_mm / spacing).astype(int) + 1, 0, wanted.shape)
        places = np.argwhere(wanted[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]) + low
        if len(places):
            distance = np.linalg.norm((places - index) * spacing, axis=1)
            nearest = int(np.argmin(distance))
            best = (float(distance[nearest]), int(lungs.labels[tuple(places[nearest])]))
        if best[0] <= reach_mm:
            break
    return best


def _zone(center_mm: Point, lungs: LungMask, side: int) -> str:
    """Third of the lung's height (extent along the patient's axis)."""
    mask = lungs.labels == side
    ends = [np.flatnonzero(mask.any(axis=other))[[0, -1]] for other in ((1, 2), (0, 2), (0, 1))]
    corners = np.stack(np.meshgrid(*ends), axis=-1).reshape(-1, 3)
    heights = voxel_to_lps(lungs.affine, corners)[:, 2]
    low, high = float(heights.min()), float(heights.max())
    share = (center_mm[2] - low) / max(high - low, 1e-6)
    return "lower" if share < 1 / 3 else "middle" if share < 2 / 3 else "upper"
