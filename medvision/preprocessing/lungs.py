"""Where the lungs are: thresholds and connected components on a coarse grid.

The outline is closed and filled, so that nodules on the pleura, vessels and the hilum count as lung. The mask
decides where a detector looks and which side a finding is on; it is no lung volumetry.
"""

from __future__ import annotations

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medvision.geometry import Affine, spacing_mm, voxel_to_lps
from medvision.volumes import LungMask

COARSE_MM = 2.5
"""Spacing of the mask's grid, as near as whole strides come."""

AIR_HU = -400
"""Below it is lung or air (half-way between parenchyma and soft tissue)."""

MIN_LUNG_ML = 150.0
"""Less air inside the body is no lung (an adult's lungs hold litres, a head's sinuses some 50 ml)."""

MIN_PART_ML = 20.0
"""Smaller pieces of air (bowel gas, sinuses) are left out."""

GAS_HU = -970.0
"""A piece whose median lies below holds gas without parenchyma: stomach, bowel, a large airway."""

CLOSING_MM = 12.0
"""Dents of the outline up to this radius are closed: a nodule on the pleura stays in."""

Mask = NDArray[np.bool_]


def find_lungs(volume: hd.Volume) -> LungMask:
    """Find both lungs.

    Args:
        volume: HU, slice, row, column order, any orientation.

    Returns:
        The mask on a grid of about `COARSE_MM`; with `found=False` it covers the whole body instead.
    """
    hu, affine = _coarse(volume)
    spacing = np.array(spacing_mm(affine))
    body = _body(hu)
    lungs = _lung_parts(hu, body & (hu < AIR_HU), float(np.prod(spacing)) / 1000)
    if lungs.sum() * float(np.prod(spacing)) / 1000 < MIN_LUNG_ML:
        return LungMask(body.astype(np.uint8), affine, found=False)
    labels = np.zeros(hu.shape, dtype=np.uint8)
    (box,) = ndimage.find_objects(lungs.astype(np.uint8))
    labels[box] = _close(_sides(lungs[box], affine), spacing)
    labels[~body] = 0
    return LungMask(labels, affine, found=True)


def _coarse(volume: hd.Volume) -> tuple[NDArray[np.int16], Affine]:
    """Every n-th voxel along each axis."""
    strides = [max(1, round(COARSE_MM / spacing)) for spacing in spacing_mm(volume.affine)]
    picked = volume.array[tuple(slice(None, None, stride) for stride in strides)]
    affine = np.array(volume.affine, dtype=np.float64)
    affine[:3, :3] *= strides
    return np.ascontiguousarray(picked), affine


def _body(hu: NDArray[np.int16]) -> Mask:
    """The largest piece of tissue, with everything it encloses in its slice."""
    tissue = ndimage.binary_opening(hu > AIR_HU, iterations=1)
    labels, count = ndimage.label(tissue)
    if count == 0:
        return np.ones(hu.shape, dtype=np.bool_)
    largest = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    return np.stack([ndimage.binary_fill_holes(plane) for plane in largest])


def _lung_parts(hu: NDArray[np.int16], air: Mask, voxel_ml: float) -> Mask:
    """Keep the pieces of air that are large enough and hold parenchyma."""
    labels, count = ndimage.label(ndimage.binary_opening(air, iterations=1))
    if count == 0:
        return np.zeros_like(air)
    index = np.arange(1, count + 1)
    large = np.bincount(labels.ravel())[1:] * voxel_ml >= MIN_PART_ML
    keep = [i for i in index[large] if np.median(hu[labels == i]) > GAS_HU]
    return np.isin(labels, keep)


def _sides(lungs: Mask, affine: Affine) -> NDArray[np.uint8]:
    """Right (1) and left (2): erode until two large pieces remain, then give each voxel to the nearer."""
    core = lungs
    for _ in range(6):
        labels, count = ndimage.label(core)
        sizes = np.bincount(labels.ravel())[1:] if count else np.zeros(0)
        order = np.argsort(sizes)[::-1]
        if count >= 2 and sizes[order[1]] > 0.2 * sizes[order[0]]:
            return _nearest_of(labels, (order[0] + 1, order[1] + 1), affine, lungs)
        core = ndimage.binary_erosion(core)
    return _by_midline(lungs, affine)


def _nearest_of(
    labels: NDArray[np.int32], pair: tuple[int, int], affine: Affine, lungs: Mask
) -> NDArray[np.uint8]:
    """Right lung = smaller LPS x."""
    seeds = np.zeros(labels.shape, dtype=np.uint8)
    x = [voxel_to_lps(affine, np.mean(np.nonzero(labels == label), axis=1))[0] for label in pair]
    right, left = pair if x[0] < x[1] else pair[::-1]
    seeds[labels == right], seeds[labels == left] = 1, 2
    nearest = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    return np.where(lungs, seeds[tuple(nearest)], 0).astype(np.uint8)


def _by_midline(lungs: Mask, affine: Affine) -> NDArray[np.uint8]:
    """Split at the middle of the mask's extent along LPS x."""
    index = np.argwhere(lungs)
    x = voxel_to_lps(affine, index)[:, 0]
    result = np.zeros(lungs.shape, dtype=np.uint8)
    result[tuple(index.T)] = np.where(x < (x.min() + x.max()) / 2, 1, 2)
    return result


def _close(sides: NDArray[np.uint8], spacing: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Close each side with a ball of `CLOSING_MM` by two distance transforms, then fill its slices' holes."""
    result = sides.copy()
    margin = tuple((n, n) for n in np.ceil(CLOSING_MM / spacing).astype(int) + 1)
    inner = tuple(slice(low, -high) for low, high in margin)
    for side, box in enumerate(ndimage.find_objects(sides), start=1):
        part, kept = result[box], sides[box] == side
        grown = ndimage.distance_transform_edt(~np.pad(kept, margin), sampling=spacing) <= CLOSING_MM
        closed = ndimage.distance_transform_edt(grown, sampling=spacing)[inner] > CLOSING_MM
        filled = np.stack([ndimage.binary_fill_holes(plane) for plane in closed | kept])
        part[filled & (part == 0)] = side
    return result
