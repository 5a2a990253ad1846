"""Voxel indices, LPS and RAS millimetres. Everything that converts between them is here, and only here.

Arrays are in slice, row, column order (`highdicom.Volume`). A 4 × 4 affine maps the homogeneous index
(slice, row, column, 1) to LPS millimetres (DICOM PS3.3 C.7.6.2.1.1). NIfTI wants (column, row, slice), RAS.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvision.errors import GeometryError

Affine = NDArray[np.float64]
Points = NDArray[np.float64]

ORTHOGONALITY_TOLERANCE = 1e-3
"""Largest cosine between two axes of a grid that still counts as orthogonal (0.06°)."""

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_REVERSE_INDEX = np.array([[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=np.float64)


def voxel_to_lps(affine: ArrayLike, index_vox: ArrayLike) -> Points:
    """Map (…, 3) fractional indices (slice, row, column) to (…, 3) LPS millimetres (x, y, z)."""
    matrix, index = np.asarray(affine, np.float64), np.asarray(index_vox, np.float64)
    return np.asarray(index @ matrix[:3, :3].T + matrix[:3, 3])


def lps_to_voxel(affine: ArrayLike, points_mm: ArrayLike) -> Points:
    """Map (…, 3) LPS millimetres (x, y, z) to (…, 3) fractional indices (slice, row, column).

    Raises:
        GeometryError: the affine cannot be inverted.
    """
    matrix, points = np.asarray(affine, np.float64), np.asarray(points_mm, np.float64)
    try:
        inverse = np.linalg.inv(matrix[:3, :3])
    except np.linalg.LinAlgError as error:
        raise GeometryError(f"affine {matrix[:3, :3].tolist()} has no inverse") from error
    return np.asarray((points - matrix[:3, 3]) @ inverse.T)


def spacing_mm(affine: ArrayLike) -> tuple[float, float, float]:
    """Distance in mm between neighbours along slice, row and column axis."""
    lengths = np.linalg.norm(np.asarray(affine, np.float64)[:3, :3], axis=0)
    return float(lengths[0]), float(lengths[1]), float(lengths[2])


def check_regular(affine: ArrayLike) -> None:
    """Refuse a grid whose axes are not orthogonal or have no length.

    Raises:
        GeometryError: naming the axes and their cosine.
    """
    matrix = np.asarray(affine, np.float64)[:3, :3]
    lengths = np.linalg.norm(matrix, axis=0)
    if not np.isfinite(matrix).all() or (lengths <= 0).any():
        raise GeometryError(f"spacing {lengths.tolist()} mm is not positive and finite")
    cosines = np.abs((matrix / lengths).T @ (matrix / lengths) - np.eye(3))
    if cosines.max() > ORTHOGONALITY_TOLERANCE:
        raise GeometryError(f"axes are not orthogonal: largest cosine {cosines.max():.4f}")


def swap_nifti(affine: ArrayLike) -> Affine:
    """Turn (slice, row, column) → LPS into NIfTI's (column, row, slice) → RAS, or back; its own inverse.

    The array must be transposed with it.
    """
    return np.asarray(_LPS_TO_RAS @ np.asarray(affine, np.float64) @ _REVERSE_INDEX)
