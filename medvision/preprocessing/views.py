"""2.5D views: the axial, coronal and sagittal plane through a point, cut from the original voxels."""

from __future__ import annotations

import highdicom as hd
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from medvision.errors import DataError
from medvision.geometry import lps_to_voxel
from medvision.preprocessing.window import WINDOW_HU

PLANES = ("axial", "coronal", "sagittal")
_PLANE_AXES_LPS = np.array(
    # (downwards, rightwards) in the picture, as it is hung: patient's left at the right, feet below.
    [[[0, 1, 0], [1, 0, 0]], [[0, 0, -1], [1, 0, 0]], [[0, 0, -1], [0, 1, 0]]],
    dtype=np.float64,
)


def extract_views(
    volume: hd.Volume, centers_lps_mm: ArrayLike, *, size_mm: float, size_px: int
) -> NDArray[np.float16]:
    """Cut three planes through each centre, whatever the volume's orientation and spacing.

    Trilinear interpolation of the original voxels; outside of the volume is air.

    Args:
        volume: HU in slice, row, column order.
        centers_lps_mm: (N, 3) x, y, z in LPS millimetres.
        size_mm: side of the square.
        size_px: its side in pixels; the centre lies in the middle between the central pixels.

    Returns:
        (N, 3, size_px, size_px) in −1..1 of WINDOW_HU: axial, coronal, sagittal.

    Raises:
        DataError: centres of another shape or not finite.
    """
    centers = _check_centers(centers_lps_mm)
    offsets_mm = plane_offsets_mm(size_mm, size_px)
    views = np.empty((len(centers), *offsets_mm.shape[:-1]), np.float16)
    for view, center in zip(views, centers, strict=True):
        points_vox = lps_to_voxel(volume.affine, offsets_mm + center)
        hu = ndimage.map_coordinates(
            volume.array,
            np.moveaxis(points_vox, -1, 0),
            output=np.float32,
            order=1,
            mode="grid-constant",
            cval=WINDOW_HU[0],
        )
        view[...] = scale_window(hu)
    return views


def plane_offsets_mm(size_mm: float, size_px: int) -> NDArray[np.float64]:
    """Where each pixel lies from the centre: (3 planes, size_px, size_px, xyz) in LPS millimetres."""
    steps = (np.arange(size_px) - (size_px - 1) / 2) * size_mm / size_px
    down, right = _PLANE_AXES_LPS[:, 0], _PLANE_AXES_LPS[:, 1]
    return np.asarray(
        steps[None, :, None, None] * down[:, None, None] + steps[None, None, :, None] * right[:, None, None]
    )


def scale_window(hu: NDArray[np.float32]) -> NDArray[np.float32]:
    """HU → −1..1 over WINDOW_HU, clipped."""
    low, high = WINDOW_HU
    return np.asarray(np.clip((hu - low) * np.float32(2 / (high - low)) - 1, -1, 1), np.float32)


def _check_centers(centers_lps_mm: ArrayLike) -> NDArray[np.float64]:
    centers = np.asarray(centers_lps_mm, np.float64)
    if centers.size == 0:
        return centers.reshape(0, 3)
    if centers.ndim != 2 or centers.shape[1] != 3:
        raise DataError(f"centres have shape {centers.shape}; give (N, 3) LPS millimetres")
    bad = np.flatnonzero(~np.isfinite(centers).all(axis=1))
    if bad.size:
        raise DataError(f"centre {bad[0]} is {centers[bad[0]].tolist()}; give finite LPS millimetres")
    return centers
