"""Volume by partial-volume shares, and the outline that encloses it.

A border at half maximum is too small for small things: blur pulls it inwards where it is curved. The sum of
every voxel's share of the nodule's contrast is not moved by blur, so it gives the volume, and the outline is
then taken at the level that encloses this volume.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medvision.measurement.crop import Cube
from medvision.measurement.morphology import Mask, around
from medvision.measurement.segmentation import Segmentation

MIN_EDGE_MM, EDGE_OF_THICKNESS = 1.2, 0.6
"""How far blur spreads a border: at least this, or this share of the largest spacing."""
MAX_SHARE = 1.5
"""One noisy voxel counts at most this much."""
LEVELS = (0.25, 0.5)
"""Bounds of the outline's level; half maximum is right for large things."""


@dataclass(frozen=True, slots=True)
class Border:
    """A nodule's extent.

    Attributes:
        volume_mm3: sum of all shares.
        share: float32 cube, smooth share of the contrast inside the nodule's own region, 0 elsewhere.
        level: of `share`, where the outline runs.
    """

    volume_mm3: float
    share: NDArray[np.float32]
    level: float

    @property
    def mask(self) -> Mask:
        """What the outline encloses."""
        return np.asarray(self.share > self.level)


def fit_border(cube: Cube, found: Segmentation, thickness_mm: float) -> Border:
    """Sum the shares, then place the outline.

    Args:
        cube: HU around the nodule.
        found: its segmentation at half maximum.
        thickness_mm: the scan's largest spacing.
    """
    width_vox = max(MIN_EDGE_MM, EDGE_OF_THICKNESS * thickness_mm) / cube.step_mm
    box = around(found.mask, int(np.ceil(width_vox)) + 1)
    depth_vox = ndimage.distance_transform_edt(found.mask[box])
    region = _own_region(found.mask[box], found.other[box], width_vox)
    contrast_hu = found.core_hu - found.lung_hu
    exact = (cube.hu[box] - found.lung_hu) / contrast_hu
    total = (depth_vox > width_vox).sum() + _summed(exact[region & (depth_vox <= width_vox)], found)
    share = np.zeros(cube.hu.shape, np.float32)
    share[box] = np.where(region, np.clip((cube.smooth[box] - found.lung_hu) / contrast_hu, 0, 1), 0)
    return Border(float(total) * cube.step_mm**3, share, _level(share[box][region], round(float(total))))


def _own_region(mask: Mask, other: Mask, width_vox: float) -> Mask:
    """The nodule and the edge around it that no other tissue is nearer to."""
    outside_vox = ndimage.distance_transform_edt(~mask)
    region = outside_vox <= width_vox
    if other.any():
        region &= outside_vox < ndimage.distance_transform_edt(~other)
    return np.asarray(region)


def _summed(shares: NDArray[np.float32], found: Segmentation) -> float:
    """Sum of the edge's shares; a core denser than the layer that they are measured by counts once."""
    limit = 1.0 if found.layered else MAX_SHARE
    return float(np.minimum(shares, limit).sum())


def _level(shares: NDArray[np.float32], count: int) -> float:
    """The level above which as many voxels lie as the volume has."""
    if count >= shares.size:
        return LEVELS[0]
    return float(np.clip(np.partition(shares, -max(1, count))[-max(1, count)], *LEVELS))
