"""A small isotropic cube around a candidate, aligned with the patient's axes."""

from __future__ import annotations

from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medvision.errors import DataError
from medvision.findings import Point
from medvision.geometry import Affine, lps_to_voxel, voxel_to_lps

CUBE_VOX = 64
"""Edge of every cube in voxels, so that a finding costs the same whatever its size."""
SMOOTHING_MM = 0.6
"""Standard deviation of the blur before thresholds are applied."""
AIR_HU, BONE_HU = -1024.0, 1500.0
"""HU are clipped to these: padding (−2048, −3024) is no step below air, and metal no peak."""


@dataclass(frozen=True, slots=True)
class Cube:
    """HU on an isotropic grid along the patient's z, y and x axes.

    Attributes:
        hu: float32, shape (64, 64, 64), order z, y, x.
        affine: index (z, y, x) to LPS mm.
        smooth: the same, blurred a little: thresholds are applied to it.
        step_mm: distance between neighbours.
        inside: False where the scan has no data.
    """

    hu: NDArray[np.float32]
    smooth: NDArray[np.float32]
    affine: Affine
    step_mm: float
    inside: NDArray[np.bool_]


def cube_affine(center_mm: Point, side_mm: float, size_vox: int = CUBE_VOX) -> Affine:
    """Affine of an isotropic cube centred at a point, index (z, y, x) to LPS mm."""
    step = side_mm / size_vox
    affine = np.zeros((4, 4))
    affine[2, 0] = affine[1, 1] = affine[0, 2] = step
    affine[:3, 3] = np.asarray(center_mm) - step * (size_vox - 1) / 2
    affine[3, 3] = 1
    return affine


def sample_cube(volume: hd.Volume, center_mm: Point, side_mm: float) -> Cube:
    """Resample the volume around a point by linear interpolation.

    Args:
        volume: HU in slice, row, column order.
        center_mm: centre of the cube, LPS mm.
        side_mm: edge length of the cube.

    Raises:
        DataError: the point lies outside the volume.
    """
    _check_inside(volume, center_mm)
    affine = cube_affine(center_mm, side_mm)
    points = voxel_to_lps(affine, np.moveaxis(np.indices((CUBE_VOX,) * 3, dtype=np.float64), 0, -1))
    index = np.moveaxis(lps_to_voxel(volume.affine, points), -1, 0)
    limit = np.array(volume.shape)[:, None, None, None] - 1
    inside = np.all((index >= -0.5) & (index <= limit + 0.5), axis=0)
    low = np.clip(np.floor(index.min(axis=(1, 2, 3))).astype(int), 0, limit.ravel())
    high = np.clip(np.ceil(index.max(axis=(1, 2, 3))).astype(int) + 1, 1, limit.ravel() + 1)
    part = volume.array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].astype(np.float32)
    hu = ndimage.map_coordinates(
        np.clip(part, AIR_HU, BONE_HU), index - low[:, None, None, None], order=1, mode="nearest"
    )
    step_mm = side_mm / CUBE_VOX
    return Cube(hu, ndimage.gaussian_filter(hu, SMOOTHING_MM / step_mm), affine, step_mm, inside)


def _check_inside(volume: hd.Volume, center_mm: Point) -> None:
    index = lps_to_voxel(volume.affine, center_mm)
    if not ((index >= -0.5) & (index <= np.array(volume.shape) - 0.5)).all():
        place = ", ".join(f"{value:.1f}" for value in center_mm)
        raise DataError(f"candidate at LPS ({place}) mm lies outside the scan; check the frame of reference")
