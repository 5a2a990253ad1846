"""A small isotropic cube around a candidate, aligned with the patient's axes."""

from __future__ import annotations

import itertools
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
PARALLEL = 1e-4
"""Largest sum of the components of a step that are not along one axis of the scan, in voxels."""
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
    to_scan = np.linalg.inv(volume.affine) @ affine
    limit = np.array(volume.shape) - 1
    low, high = _reach(to_scan, limit)
    part = volume.array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].astype(np.float32)
    hu = _resampled(np.clip(part, AIR_HU, BONE_HU), to_scan[:3, :3], to_scan[:3, 3] - low)
    step_mm = side_mm / CUBE_VOX
    smooth = ndimage.gaussian_filter(hu, SMOOTHING_MM / step_mm)
    return Cube(hu, smooth, affine, step_mm, _inside(to_scan, limit))


def _resampled(
    part: NDArray[np.float32], steps: NDArray[np.float64], start: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Linear interpolation; axis by axis where the grids are parallel, which is much faster."""
    along = np.abs(steps).argmax(axis=0)
    if (
        sorted(along.tolist()) != [0, 1, 2]
        or np.abs(steps).sum() - np.abs(steps).max(axis=0).sum() > PARALLEL
    ):
        return np.asarray(
            ndimage.affine_transform(
                part, steps, start, output_shape=(CUBE_VOX,) * 3, order=1, mode="nearest"
            )
        )
    for ours, theirs in enumerate(along):
        places = start[theirs] + steps[theirs, ours] * np.arange(CUBE_VOX)
        part = _along(part, places, int(theirs))
    return np.ascontiguousarray(part.transpose(along))


def _along(values: NDArray[np.float32], places: NDArray[np.float64], axis: int) -> NDArray[np.float32]:
    """Values at places along one axis, the ends going on."""
    places = np.clip(places, 0, values.shape[axis] - 1)
    before = np.minimum(places.astype(int), max(values.shape[axis] - 2, 0))
    after = np.minimum(before + 1, values.shape[axis] - 1)
    share = (places - before).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(3)])
    low = values.take(before, axis)
    return np.asarray(low + share * (values.take(after, axis) - low))


def _reach(to_scan: Affine, limit: NDArray[np.int_]) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """First and last-plus-one index of the scan's voxels that the cube needs."""
    corners = voxel_to_lps(to_scan, np.array(list(itertools.product((0, CUBE_VOX - 1), repeat=3))))
    low = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, limit)
    return low, np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, low + 1, limit + 1)


def _inside(to_scan: Affine, limit: NDArray[np.int_]) -> NDArray[np.bool_]:
    """Where the cube's voxels lie in the scan."""
    inside = np.ones((CUBE_VOX,) * 3, bool)
    z, y, x = np.ogrid[:CUBE_VOX, :CUBE_VOX, :CUBE_VOX]
    for (per_z, per_y, per_x, start), last in zip(to_scan[:3], limit, strict=True):
        index = per_z * z + per_y * y + per_x * x + start
        inside &= (index >= -0.5) & (index <= last + 0.5)
    return inside


def _check_inside(volume: hd.Volume, center_mm: Point) -> None:
    index = lps_to_voxel(volume.affine, center_mm)
    if not ((index >= -0.5) & (index <= np.array(volume.shape) - 0.5)).all():
        place = ", ".join(f"{value:.1f}" for value in center_mm)
        raise DataError(f"candidate at LPS ({place}) mm lies outside the scan; check the frame of reference")
