"""From a Volume to the grid that MONAI's networks see: right, anterior, superior, any spacing.

The first voxels of both grids have the same centre, and values are interpolated linearly without averaging:
what MONAI's `Spacing` does, so that a network trained behind it sees what it knows.
"""

from __future__ import annotations

from dataclasses import dataclass

import highdicom as hd
import numpy as np
import torch
from torch import Tensor

from medvision.geometry import Affine, spacing_mm
from medvision.preprocessing.resample import Box

SAME_SPACING = 1e-4
"""Relative difference in spacing below which an axis is left as it is."""


@dataclass(frozen=True, slots=True)
class RasGrid:
    """HU on a grid whose axes run to the patient's right, front and head.

    Attributes:
        hu: float32 (X, Y, Z).
        affine: index to LPS mm.
    """

    hu: Tensor
    affine: Affine


def to_ras(volume: hd.Volume) -> hd.Volume:
    """Flip and permute the axes (never interpolate) so that they run nearest to right, anterior, head."""
    return volume.to_patient_orientation("RAH")


def ras_grid(oriented: hd.Volume, wanted_mm: tuple[float, float, float], box: Box | None = None) -> RasGrid:
    """Resample a volume, or a box of it.

    Args:
        oriented: as `to_ras` makes it.
        wanted_mm: spacing along x, y, z.
        box: in the volume's voxels.
    """
    array, affine = oriented.array, np.array(oriented.affine, dtype=np.float64)
    if box is not None:
        array = array[box.slices]
        affine[:3, 3] += affine[:3, :3] @ np.array(box.start, dtype=np.float64)
    hu = torch.from_numpy(np.ascontiguousarray(array))
    for axis, (old, new) in enumerate(zip(spacing_mm(affine), wanted_mm, strict=True)):
        if abs(new / old - 1) > SAME_SPACING:
            hu = _along(hu, axis, new / old)
            affine[:3, axis] *= new / old
    return RasGrid(hu.float(), affine)


def _along(hu: Tensor, axis: int, step: float) -> Tensor:
    """Linear interpolation along one axis at every `step` voxels."""
    size = hu.shape[axis]
    places = torch.arange(max(1, round((size - 1) / step + 1)), dtype=torch.float64) * step
    places = places.clamp(max=size - 1)
    before = places.floor().long()
    share = (places - before).float().reshape([-1 if n == axis else 1 for n in range(3)])
    after = (before + 1).clamp(max=size - 1)
    return torch.lerp(hu.index_select(axis, before).float(), hu.index_select(axis, after).float(), share)


def window(hu: Tensor, bounds_hu: tuple[float, float]) -> Tensor:
    """Map the bounds to 0 and 1 and clip."""
    low, high = bounds_hu
    return hu.float().sub(low).div_(high - low).clamp_(0, 1)
