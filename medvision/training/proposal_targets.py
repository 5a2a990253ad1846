"""What stage one shall say of a patch: where nodules are, how large, and where it may say anything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.models.heatmap import STRIDE

SIGMA_MM = (1.8, 4.0)
"""Bounds of the target's Gaussian around a centre; in between it is `SIGMA_SHARE` of the radius."""

SIGMA_SHARE = 0.4

HEAT, LOG_RADIUS, IGNORED = range(3)
"""Channels of a target."""

Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Marks:
    """Spheres in a patch: (N, 3) centres in its voxels and (N,) radii in mm."""

    centers_vox: NDArray[np.float64]
    radii_mm: NDArray[np.float64]

    def inside(self, corner: NDArray[np.int64], edge: int) -> Marks:
        """Those in a cube or a little outside of it, seen from its corner."""
        centers = self.centers_vox - corner
        near = ((centers > -edge / 4) & (centers < edge * 1.25)).all(axis=1)
        return Marks(centers[near], self.radii_mm[near])

    def and_also(self, others: Marks) -> Marks:
        """These and others."""
        return Marks(
            np.concatenate([self.centers_vox, others.centers_vox]),
            np.concatenate([self.radii_mm, others.radii_mm]),
        )


NOTHING = Marks(np.zeros((0, 3)), np.zeros(0))


def draw_target(nodules: Marks, edge: int, voxel_mm: float, ignored: Marks = NOTHING) -> Image:
    """Draw the target of a patch.

    Args:
        nodules: in the patch's voxels.
        edge: of the patch, voxels.
        voxel_mm: of the patch.
        ignored: excluded findings; a nodule's centre in one of them still counts.

    Returns:
        (3, E/2, E/2, E/2): heat (1 where a centre is, Gaussian around it); log radius in mm where the heat
        exceeds 0.5; 1 where neither is to be learnt.
    """
    size = edge // STRIDE
    target = np.zeros((3, size, size, size), dtype=np.float32)
    axes = np.meshgrid(*[np.arange(size, dtype=np.float32)] * 3, indexing="ij", sparse=True)
    for center, radius in zip((nodules.centers_vox - 0.5) / STRIDE, nodules.radii_mm, strict=True):
        nearest = np.rint(center).astype(int)
        sigma = np.clip(radius * SIGMA_SHARE, *SIGMA_MM) / (voxel_mm * STRIDE)
        squared = sum((axis - c) ** 2 for axis, c in zip(axes, center, strict=True))
        heat = np.exp(-squared / (2 * sigma**2))
        if ((nearest >= 0) & (nearest < size)).all():
            heat[tuple(nearest)] = 1.0
        target[LOG_RADIUS][(heat > 0.5) & (heat > target[HEAT])] = np.log(radius)
        np.maximum(target[HEAT], heat, out=target[HEAT])
    for center, radius in zip((ignored.centers_vox - 0.5) / STRIDE, ignored.radii_mm, strict=True):
        squared = sum((axis - c) ** 2 for axis, c in zip(axes, center, strict=True))
        target[IGNORED][squared < (radius / (voxel_mm * STRIDE)) ** 2] = 1.0
    return target
