"""From a Volume to the network's grid: patient orientation, a box, isotropic voxels, normalised HU."""

from __future__ import annotations

from dataclasses import dataclass

import highdicom as hd
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from medvision.geometry import Affine, lps_to_voxel, spacing_mm, voxel_to_lps
from medvision.preprocessing.window import WINDOW_HU


@dataclass(frozen=True, slots=True)
class Box:
    """Half-open index ranges [start, stop) along slice, row and column."""

    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """To index an array with."""
        a, b, c = (slice(low, high) for low, high in zip(self.start, self.stop, strict=True))
        return a, b, c


@dataclass(frozen=True, slots=True)
class Isotropic:
    """HU on an isotropic grid: slices run to the head, rows to the back, columns to the left.

    Attributes:
        hu: float32 (D, H, W).
        affine: index to LPS mm.
    """

    hu: Tensor
    affine: Affine


def to_patient_orientation(volume: hd.Volume) -> hd.Volume:
    """Flip and permute the axes (never interpolate) so that they run nearest to head, posterior, left."""
    return volume.to_patient_orientation("HPL")


def bounding_box(volume: hd.Volume, mask_affine: Affine, mask: np.ndarray, margin_mm: float) -> Box:
    """The box of a mask on another grid, with a margin, in the volume's voxels."""
    index = np.argwhere(mask)
    ends = np.stack([index.min(axis=0), index.max(axis=0)]) if len(index) else np.zeros((2, 3))
    corners = lps_to_voxel(volume.affine, voxel_to_lps(mask_affine, ends))
    margin = margin_mm / np.array(spacing_mm(volume.affine))
    shape = np.array(volume.spatial_shape)
    low = np.clip(np.floor(corners.min(axis=0) - margin), 0, shape - 1).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0) + margin) + 1, low + 1, shape).astype(int)
    return Box(tuple(low.tolist()), tuple(high.tolist()))


def isotropic(volume: hd.Volume, box: Box, voxel_mm: float) -> Isotropic:
    """Resample a box linearly to isotropic voxels, averaging where the grid gets coarser.

    The outer edges of both grids lie on each other, as far as a whole number of voxels allows.
    """
    spacing = np.array(spacing_mm(volume.affine))
    crop = torch.from_numpy(np.ascontiguousarray(volume.array[box.slices]))
    shape = [max(1, round(n * step / voxel_mm)) for n, step in zip(crop.shape, spacing, strict=True)]
    hu = _resize(crop, shape)
    scale = np.array(crop.shape) / np.array(shape)
    affine = np.array(volume.affine, dtype=np.float64)
    affine[:3, 3] = voxel_to_lps(affine, np.array(box.start) + scale / 2 - 0.5)
    affine[:3, :3] *= scale
    return Isotropic(hu, affine)


def _resize(crop: Tensor, shape: list[int]) -> Tensor:
    """Separable linear interpolation with anti-aliasing: slices first in plane, then across planes."""
    depth, height, width = shape
    planes = torch.stack(
        [
            functional.interpolate(
                plane[None, None].float(), (height, width), mode="bilinear", antialias=True
            )[0, 0]
            for plane in crop
        ]
    )
    if depth == planes.shape[0]:
        return planes
    columns = planes.reshape(1, 1, planes.shape[0], -1)
    return functional.interpolate(
        columns, (depth, columns.shape[-1]), mode="bilinear", antialias=True
    ).reshape(shape)


def normalise(hu: Tensor) -> Tensor:
    """Map `WINDOW_HU` to −1…1 and clip."""
    return normalise_(hu.to(torch.float32, copy=True))


def normalise_(hu: Tensor) -> Tensor:
    """Do so in place, without a copy."""
    low, high = WINDOW_HU
    return hu.sub_(low).mul_(2 / (high - low)).sub_(1).clamp_(-1, 1)
