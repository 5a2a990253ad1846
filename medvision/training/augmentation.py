"""Random changes of a training patch: drawn first, in mm, degrees and HU, and then applied.

Where MONAI has a transform, it applies the change; which one is made never depends on MONAI's own generators,
so that patches can be made in several threads and are the same for the same seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.transforms import Affine, Flip, GaussianSmooth, Rotate90
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.nn import functional

from medvision.config.augmentation import AugmentationConfig
from medvision.simulation.scanners import VENDORS, Kernel
from medvision.simulation.scanning import transfer_function
from medvision.training.proposal_targets import Marks
from medvision.training.voxels import AIR_HU

KERNELS = tuple(kernel for vendor in VENDORS for kernel in vendor.kernels)
AXIAL = (1, 2)
"""Rows and columns among slices, rows and columns."""

Matrix = NDArray[np.float64]
Shape = tuple[int, int, int]
"""Slices, rows, columns."""
Spacing = tuple[float, float, float]
"""Of slices, rows, columns, in mm."""


@dataclass(frozen=True, slots=True)
class PatchChange:
    """What is done to one patch; the defaults change nothing.

    Attributes:
        flipped: whether each axis (slices, rows, columns) is mirrored.
        quarter_turns: in the axial plane.
        rotation_deg: about each axis.
        scale: of all sizes.
        offset_hu: added.
        contrast: factor of HU + 1000.
        noise_hu: standard deviation.
        blur_mm: standard deviation along each axis.
        kernels: of the reconstruction that is undone, and of the one that takes its place.
        kernel_gain: no frequency is raised, or lowered, by more than this factor.
    """

    flipped: tuple[bool, bool, bool] = (False, False, False)
    quarter_turns: int = 0
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0
    offset_hu: float = 0.0
    contrast: float = 1.0
    noise_hu: float = 0.0
    blur_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    kernels: tuple[Kernel, Kernel] | None = None
    kernel_gain: float = 1.0

    @property
    def resamples(self) -> bool:
        """Whether the patch is rotated or scaled."""
        return self.scale != 1 or any(self.rotation_deg)

    def matrix(self, spacing_mm: Spacing) -> Matrix:
        """(3, 3) from voxels of the changed patch to voxels of the patch, both seen from their middles."""
        rotation: Matrix = Rotation.from_euler("xyz", self.rotation_deg, degrees=True).as_matrix()
        spacing = np.array(spacing_mm)
        matrix: Matrix = rotation / self.scale * spacing / spacing[:, None]
        return matrix

    def margin_vox(self, shape: Shape, spacing_mm: Spacing) -> int:
        """How much wider than its shape, on each side, a patch must be cut."""
        if not self.resamples:
            return 0
        half = (np.array(shape) - 1) / 2
        reach = np.abs(self.matrix(spacing_mm)) @ half
        return max(0, int(np.ceil((reach - half).max())) + 1)


def draw_change(
    config: AugmentationConfig, random: np.random.Generator, *, square: bool = True
) -> PatchChange:
    """Draw what is done to a patch; every kind uses as many random numbers whether it is made or not.

    Args:
        config: bounds.
        random: draws.
        square: whether it has as many rows as columns; others are turned by halves only.
    """

    def made() -> bool:
        return bool(random.random() < config.probability)

    def either_way(limit: float) -> float:
        change = float(random.uniform(-limit, limit))
        return change if made() else 0.0

    flips = [made() and config.flips for _ in range(3)]
    turns = int(random.integers(1, 4)) if square else 2 * int(random.integers(1, 4)) % 4
    blur = [float(random.uniform(0.25, 1) * mm) for mm in (config.blur_z_mm, *[config.blur_xy_mm] * 2)]
    noise = float(random.uniform(0, config.noise_hu))
    rotation = [either_way(config.rotation_deg) for _ in range(3)]
    before, after = (KERNELS[int(random.integers(len(KERNELS)))] for _ in range(2))
    return PatchChange(
        flipped=(flips[0], flips[1], flips[2]),
        quarter_turns=turns if made() and config.flips else 0,
        rotation_deg=(rotation[0], rotation[1], rotation[2]),
        scale=1 + either_way(config.scale),
        offset_hu=either_way(config.offset_hu),
        contrast=1 + either_way(config.contrast),
        noise_hu=noise if made() else 0.0,
        blur_mm=(blur[0], blur[1], blur[2]) if made() else (0.0, 0.0, 0.0),
        kernels=(before, after) if made() and config.kernel_gain > 1 else None,
        kernel_gain=config.kernel_gain,
    )


def resample(
    hu: Tensor, marks: list[Marks], change: PatchChange, shape: Shape, spacing_mm: Spacing
) -> tuple[Tensor, list[Marks]]:
    """Rotate and scale what was cut `margin_vox` wider than its shape.

    Args:
        hu: (D, H, W).
        marks: in its voxels.
        change: what is done.
        shape: of the result.
        spacing_mm: of the voxels, before and after.

    Returns:
        HU of the shape, and the marks in its voxels, with their new sizes.
    """
    if not change.resamples:
        return hu, marks
    matrix = np.eye(4)
    matrix[:3, :3] = change.matrix(spacing_mm)
    turned = Affine(affine=matrix, spatial_size=shape, padding_mode="border", image_only=True)(hu[None])[0]
    before, after = (np.array(hu.shape) - 1) / 2, (np.array(shape) - 1) / 2
    back = np.linalg.inv(matrix[:3, :3])
    moved = [
        Marks((some.centers_vox - before) @ back.T + after, some.radii_mm * change.scale) for some in marks
    ]
    return _plain(turned), moved


def mirror(image: Tensor, change: PatchChange) -> Tensor:
    """Flip and turn (C, D, H, W), image or target."""
    axes = [axis for axis, flipped in enumerate(change.flipped) if flipped]
    if axes:
        image = Flip(axes)(image)
    if change.quarter_turns:
        image = Rotate90(change.quarter_turns, AXIAL)(image)
    return _plain(image)


def mirror_marks(marks: Marks, change: PatchChange, shape: Shape) -> Marks:
    """Flip and turn marks as `mirror` does an image of the shape."""
    centers = marks.centers_vox.copy()
    for axis, flipped in enumerate(change.flipped):
        if flipped:
            centers[:, axis] = shape[axis] - 1 - centers[:, axis]
    sizes = list(shape)
    for _ in range(change.quarter_turns):
        _, rows, columns = sizes
        centers = np.stack([centers[:, 0], columns - 1 - centers[:, 2], centers[:, 1]], axis=1)
        sizes[1:] = columns, rows
    return Marks(centers, marks.radii_mm)


def change_hu(hu: Tensor, change: PatchChange, spacing_mm: Spacing, random: np.random.Generator) -> Tensor:
    """Kernel, blur, contrast, offset and noise of (D, H, W) HU; the generator makes the noise."""
    if change.kernels:
        hu = change_kernel(hu, *change.kernels, change.kernel_gain, spacing_mm[2])
    if any(change.blur_mm):
        hu = blur(hu, [mm / spacing for mm, spacing in zip(change.blur_mm, spacing_mm, strict=True)])
    hu = (hu - AIR_HU) * change.contrast + AIR_HU + change.offset_hu
    if change.noise_hu:
        noise = torch.from_numpy(random.standard_normal(hu.shape, dtype=np.float32))
        hu = hu + noise * change.noise_hu
    return hu


def blur(hu: Tensor, sigma_vox: Sequence[float]) -> Tensor:
    """Gaussian blur of (D, H, W); beyond its border the image goes on as it is there."""
    # MONAI sees zeros there, which are water.
    a, b, c = (int(np.ceil(4 * sigma)) for sigma in sigma_vox)
    padded = functional.pad(hu[None, None], (c, c, b, b, a, a), mode="replicate")[0]
    smooth = _plain(GaussianSmooth(list(sigma_vox))(padded))[0]
    return smooth[a : a + hu.shape[0], b : b + hu.shape[1], c : c + hu.shape[2]]


def change_kernel(hu: Tensor, before: Kernel, after: Kernel, most: float, voxel_mm: float) -> Tensor:
    """What slices would look like after another reconstruction.

    Args:
        hu: (D, H, W), axial slices, as many rows as columns.
        before: kernel that made them.
        after: kernel that takes its place.
        most: no frequency is raised, or lowered, by more than this factor; the mean HU stays.
        voxel_mm: of rows and columns.
    """
    edge = hu.shape[-1]
    ratio = transfer_function(after, edge, voxel_mm) / transfer_function(before, edge, voxel_mm)
    gain = torch.from_numpy(np.clip(ratio, 1 / most, most))
    changed: Tensor = torch.fft.irfft2(torch.fft.rfft2(hu) * gain, s=hu.shape[-2:])
    return changed


def _plain(tensor: Tensor) -> Tensor:
    """Without MONAI's metadata."""
    plain: Tensor = getattr(tensor, "as_tensor", lambda: tensor)()
    return plain
