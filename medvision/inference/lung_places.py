"""Where nodules are sought: in the lungs and a little way into their walls, on any grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medvision.geometry import Affine, lps_to_voxel, spacing_mm, voxel_to_lps
from medvision.volumes import LungMask

PLEURA_MM = 5.0
"""A nodule on the pleura may have its centre this far outside of the mask."""


def near_lungs(lungs: LungMask, affine: Affine, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Whether each voxel of a grid lies in the mask or within `PLEURA_MM` of it.

    Args:
        lungs: the mask, on its own grid.
        affine: of the other grid, whose axes are parallel to the mask's.
        shape: of the other grid.

    Returns:
        bool, of that shape.
    """
    mask = _grown(lungs)
    for axis, size in enumerate(shape):
        mask = np.take(mask, _nearest(lungs, affine, axis, size), axis=axis)
    return mask


def in_or_near_lungs(lungs: LungMask, centers_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each of (N, 3) LPS points lies in the mask or within `PLEURA_MM` of it."""
    mask = _grown(lungs)
    index = np.rint(lps_to_voxel(lungs.affine, centers_mm)).astype(int)
    within = ((index >= 0) & (index < mask.shape)).all(axis=-1)
    clipped = np.clip(index, 0, np.array(mask.shape) - 1)
    return np.asarray(within & mask[tuple(clipped.T)])


def _grown(lungs: LungMask) -> NDArray[np.bool_]:
    size = tuple(2 * round(PLEURA_MM / spacing) + 1 for spacing in spacing_mm(lungs.affine))
    grown: NDArray[np.bool_] = ndimage.maximum_filter(lungs.labels > 0, size=size)
    return grown


def _nearest(lungs: LungMask, affine: Affine, axis: int, size: int) -> NDArray[np.int64]:
    """The mask's index nearest to each index of the grid along one axis."""
    index = np.zeros((size, 3))
    index[:, axis] = np.arange(size)
    places = lps_to_voxel(lungs.affine, voxel_to_lps(affine, index))[:, axis]
    return np.clip(np.rint(places), 0, lungs.labels.shape[axis] - 1).astype(np.int64)
