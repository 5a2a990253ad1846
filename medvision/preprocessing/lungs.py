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
from medvision.preprocessing.lung_air import MAX_LUNG_SHARE, MIN_LUNG_ML, Air, find_air
from medvision.preprocessing.shapes import close, enclosed, erode, squared_distance
from medvision.volumes import LungMask

COARSE_MM = 2.5
"""Spacing of the mask's grid, as near as whole strides come."""

CLOSING_MM = 12.0
"""Dents of the outline up to this radius are closed: a nodule on the pleura stays in."""

WALL_CLOSING_MM = 40.0
"""So are larger ones on the ribs' side: a tumour at the wall stays in. On the other side lies the heart."""

NEAR_SEED_MM = 25.0
"""Further from the middle of either lung, a voxel's side is that of the midline."""

MIN_APART_MM = 40.0
"""The middles of two lungs lie further apart from side to side; a small child's some 60."""

Mask = NDArray[np.bool_]
Vector = NDArray[np.float64]


def find_lungs(volume: hd.Volume) -> LungMask:
    """Find both lungs.

    Args:
        volume: HU, slice, row, column order, any orientation.

    Returns:
        The mask on a grid of about `COARSE_MM`; with `found=False` it covers the whole body instead, and says
        why.
    """
    hu, affine = _coarse(volume)
    spacing = np.array(spacing_mm(affine))
    air = find_air(hu, spacing)
    absent, doubt = _doubt(air)
    if doubt:
        return LungMask(air.body.astype(np.uint8), affine, found=False, doubt=doubt, absent=absent)
    labels = np.zeros(hu.shape, dtype=np.uint8)
    box = _box(air.lungs)
    x_mm = _x_mm(affine, hu.shape)
    sides = _sides(air.lungs[box], x_mm[box], spacing, float(x_mm[air.body].mean()))
    labels[box] = _close(sides, x_mm[box], spacing)
    labels[~air.body] = 0
    return LungMask(labels, affine, found=True)


def _doubt(air: Air) -> tuple[bool, str]:
    """Whether nothing like a lung is there, and why what is there may be none."""
    if air.lungs.any():
        too_much = f"air fills {air.share:.0%} of the body, more than lungs do: the whole body was searched"
        return False, too_much if air.share > MAX_LUNG_SHARE else ""
    if air.gas_ml >= MIN_LUNG_ML:
        return False, f"{air.gas_ml:.0f} ml of air hold no vessels: the whole body was searched"
    return True, "nothing like a lung is there: nothing was searched"


def _coarse(volume: hd.Volume) -> tuple[NDArray[np.int16], Affine]:
    """Every n-th voxel along each axis."""
    strides = [max(1, round(COARSE_MM / spacing)) for spacing in spacing_mm(volume.affine)]
    picked = volume.array[tuple(slice(None, None, stride) for stride in strides)]
    affine = np.array(volume.affine, dtype=np.float64)
    affine[:3, :3] *= strides
    return np.ascontiguousarray(picked), affine


def _box(mask: Mask) -> tuple[slice, ...]:
    (box,) = ndimage.find_objects(mask.astype(np.uint8))
    return tuple(box)


def _sides(lungs: Mask, x_mm: Vector, spacing: Vector, middle_mm: float) -> NDArray[np.uint8]:
    """Right (1) and left (2): erode until two large pieces remain, then give each voxel to the nearer.

    Pieces one above the other are of one lung; where there is no second one, the body's middle decides.
    """
    core = lungs
    for _ in range(6):
        labels, count = ndimage.label(core)
        sizes = np.bincount(labels.ravel())[1:] if count else np.zeros(0)
        order = np.argsort(sizes)[::-1]
        if count >= 2 and sizes[order[1]] > 0.2 * sizes[order[0]]:
            pair = [labels == order[k] + 1 for k in (0, 1)]
            means = [float(x_mm[piece].mean()) for piece in pair]
            if abs(means[0] - means[1]) >= MIN_APART_MM:
                right, left = pair if means[0] < means[1] else pair[::-1]
                return _nearest_of(right, left, x_mm > np.mean(means), spacing, lungs)
        core = erode(core)
    return np.where(lungs, np.where(x_mm < middle_mm, 1, 2), 0).astype(np.uint8)


def _nearest_of(right: Mask, left: Mask, beyond: Mask, spacing: Vector, lungs: Mask) -> NDArray[np.uint8]:
    """Where neither is near, `beyond` the middle is left."""
    to_right, to_left = (squared_distance(seed, spacing, NEAR_SEED_MM) for seed in (right, left))
    is_left = (to_left < to_right) | ((to_left == to_right) & beyond)
    return np.where(lungs, 1 + is_left, 0).astype(np.uint8)


def _x_mm(affine: Affine, shape: tuple[int, ...]) -> Vector:
    """LPS x of each voxel of a grid whose axes are nearly the patient's."""
    axis = int(np.argmax(np.abs(affine[0, :3])))
    index = np.zeros((shape[axis], 3))
    index[:, axis] = np.arange(shape[axis])
    along = voxel_to_lps(affine, index)[:, 0].reshape([-1 if k == axis else 1 for k in range(3)])
    return np.broadcast_to(along, shape)


def _close(sides: NDArray[np.uint8], x_mm: Vector, spacing: Vector) -> NDArray[np.uint8]:
    """Close each side, the ribs' half of it more than the heart's, then fill its slices' holes."""
    result = sides.copy()
    for side, box in enumerate(ndimage.find_objects(sides), start=1):
        if box is None:
            continue
        kept, at = sides[box] == side, x_mm[box]
        outer = (at < at[kept].mean()) == (side == 1)
        closed = close(kept, spacing, CLOSING_MM) | (close(kept, spacing, WALL_CLOSING_MM) & outer)
        part = result[box]
        part[enclosed(closed) & (part == 0)] = side
    return result
