"""Chest wall, mediastinum and diaphragm beside a nodule, and where they run beneath it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medvision.measurement.morphology import Mask, around

RING_MM = (1.5, 8.0)
"""Distances from the nodule at which the wall's surface is seen as it is."""
POINTS_AT_LEAST, CONTACT_AT_LEAST = 40, 5
"""Voxels of surface that a fit needs, and of contact that make one worthwhile."""
DEPTH_MM = 4.0
"""A nodule's base is no deeper below the ball's surface than this."""


def beyond_wall(tissue: Mask, radius_vox: float) -> NDArray[np.float32]:
    """Distance of every voxel from tissue that is thick and goes on beyond the cube: below 0 inside.

    What a ball of that radius can reach from inside is chest wall, mediastinum or diaphragm, however they are
    curved; a nodule on them is too small for it (the rolling ball of Armato et al., RadioGraphics 1999, from
    the other side). Taken at half the resolution.

    Args:
        tissue: cube with an even number of voxels along each axis.
        radius_vox: of the ball, in voxels.

    Returns:
        Distance in voxels, the same shape; infinite where there is no such tissue.
    """
    coarse = np.pad(tissue[::2, ::2, ::2], 1 + int(np.ceil(radius_vox / 2)), mode="edge")
    core = ndimage.distance_transform_edt(coarse) * 2 > radius_vox
    if not core.any():
        return np.full(tissue.shape, np.inf, np.float32)
    margin = 1 + int(np.ceil(radius_vox / 2))
    away = ndimage.distance_transform_edt(~core)[(slice(margin, -margin),) * 3] * 2 - radius_vox
    for axis in range(3):
        away = _doubled(away, axis)
    return np.asarray(away, np.float32)


def _doubled(values: NDArray[np.floating], axis: int) -> NDArray[np.floating]:
    """Twice the samples along an axis; those between are means of their neighbours."""
    following = np.concatenate(
        [values.take(range(1, values.shape[axis]), axis), values.take([-1], axis)], axis
    )
    pairs = np.stack([values, (values + following) / 2], axis + 1)
    shape = list(values.shape)
    shape[axis] *= 2
    return pairs.reshape(shape)


def with_base(nodule: Mask, wall: Mask, tissue: Mask, step_mm: float) -> Mask:
    """The nodule with the part of it that the ball has taken for wall.

    A quadratic surface is fitted to the wall around the nodule; what is above it and beside the nodule is its
    base.

    Args:
        nodule: what stands on the wall.
        wall: what a ball can reach.
        tissue: all that is no lung.
        step_mm: isotropic spacing.
    """
    box = around(nodule, int(np.ceil(RING_MM[1] / step_mm)) + 1)
    part, behind = nodule[box], wall[box]
    contact = behind & ndimage.binary_dilation(part)
    if contact.sum() < CONTACT_AT_LEAST:
        return nodule
    away_mm = ndimage.distance_transform_edt(~part) * step_mm
    surface = behind & ndimage.binary_dilation(~tissue[box])
    ring = np.argwhere(surface & (away_mm >= RING_MM[0]) & (away_mm <= RING_MM[1]))
    near = np.argwhere(behind & (away_mm <= DEPTH_MM))
    base = near[_above_surface(near, ring, np.argwhere(contact), np.argwhere(part).mean(axis=0))]
    result = nodule.copy()
    result[box][tuple(base.T)] = True
    return result


def _above_surface(
    places: NDArray[np.int_],
    ring: NDArray[np.int_],
    contact: NDArray[np.int_],
    nodule_center: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Which places beneath the contact lie on the nodule's side of the wall's own surface."""
    nothing = np.zeros(len(places), bool)
    if len(ring) < POINTS_AT_LEAST:
        return nothing
    center = contact.mean(axis=0)
    frame = np.linalg.svd(ring - ring.mean(axis=0), full_matrices=False)[2]
    if (nodule_center - center) @ frame[2] < 0:
        frame[2] *= -1
    u, v, height = ((ring - center) @ frame.T).T
    if len({(a, b) for a, b in zip((u > 0).tolist(), (v > 0).tolist(), strict=True)}) < 4:
        return nothing
    weights = np.linalg.lstsq(_terms(u, v), height, rcond=None)[0]
    pu, pv, p_height = ((places - center) @ frame.T).T
    reach = np.linalg.norm((contact - center) @ frame[:2].T, axis=1).max() + 1
    return np.asarray((p_height > _terms(pu, pv) @ weights + 0.5) & (np.hypot(pu, pv) <= reach))


def _terms(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([np.ones_like(u), u, v, u * u, u * v, v * v])
