"""The solid part of a part-solid nodule, which the guidelines' categories depend on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medvision.measurement.axes import axial_axes
from medvision.measurement.crop import Cube
from medvision.measurement.morphology import around, nearest_component
from medvision.measurement.segmentation import Segmentation

SOLID_HU_AT_LEAST = -160.0
"""The core's HU is taken as at least this: a small core is blurred."""


@dataclass(frozen=True, slots=True)
class SolidCore:
    """Extent of the solid part.

    Attributes:
        long_axis_mm: longest axial diameter.
        short_axis_mm: longest one perpendicular to it, same slice.
        volume_mm3: sum of the voxels' shares of the contrast between the solid and the layer around it.
    """

    long_axis_mm: float
    short_axis_mm: float
    volume_mm3: float


def solid_core(cube: Cube, found: Segmentation) -> SolidCore | None:
    """Measure the solid part at half maximum between itself and the ground glass around it.

    Args:
        cube: HU around the nodule.
        found: the segmentation; its `core_hu` is that of the layer around the solid part.

    Returns:
        The largest solid part; None where there is none.
    """
    box = around(found.mask, 1)
    hu = cube.smooth[box]
    solid_hu = max(float(np.percentile(hu[found.mask[box]], 98)), SOLID_HU_AT_LEAST)
    contrast_hu = solid_hu - found.core_hu
    share = np.where(found.mask[box], np.clip((hu - found.core_hu) / contrast_hu, 0, 1), 0)
    share = share.astype(np.float32)
    bright = share > 0.5
    if contrast_hu <= 0 or not bright.any():
        return None
    peak = np.unravel_index(int(np.argmax(share)), share.shape)
    part = nearest_component(bright, tuple(int(i) for i in peak), min_share=0.2)
    long_mm, short_mm = axial_axes(np.where(part | ~bright, share, np.float32(0)), 0.5, cube.step_mm)
    return SolidCore(long_mm, short_mm, float(part.sum()) * cube.step_mm**3)
