"""What a network sees of a cubic patch: orthogonal slices or a cube around a centre, at a size of its own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from medvision.errors import DataError

LEEWAY = 0.5
"""How far beyond 0..1 values may lie: interpolation overshoots a little."""


def crop_patches(patches: Tensor, size_vox: int, shift_vox: Tensor | None = None) -> Tensor:
    """Cut a cube around the middle of each patch; where it reaches beyond the patch, the border is repeated.

    Args:
        patches: (N, D, H, W).
        size_vox: side of the cube.
        shift_vox: (N, 3) integer, how far each cube's centre lies from the middle, along z, y and x.

    Returns:
        (N, size_vox, size_vox, size_vox).
    """
    offsets = torch.zeros(patches.shape[0], 3, dtype=torch.long) if shift_vox is None else shift_vox
    steps = torch.arange(size_vox)
    indices = []
    for axis in range(3):
        length = patches.shape[axis + 1]
        start = (length - size_vox) // 2 + offsets[:, axis : axis + 1]
        indices.append((start + steps).clamp(0, length - 1))
    z, y, x = indices
    number = torch.arange(patches.shape[0])[:, None, None, None]
    return patches[number, z[:, :, None, None], y[:, None, :, None], x[:, None, None, :]]


def orthogonal_views(cubes: Tensor, size_px: int) -> Tensor:
    """The axial, coronal and sagittal slice through the middle of each cube.

    Args:
        cubes: (N, S, S, S).
        size_px: side of the views.

    Returns:
        (N, 3, size_px, size_px) float32.
    """
    middle = cubes.shape[1] // 2
    views = torch.stack([cubes[:, middle], cubes[:, :, middle], cubes[:, :, :, middle]], dim=1).float()
    return functional.interpolate(views, (size_px, size_px), mode="bilinear", align_corners=False)


def resized_cubes(cubes: Tensor, size_px: int) -> Tensor:
    """(N, S, S, S) → (N, 1, size_px, size_px, size_px) float32."""
    return functional.interpolate(
        cubes[:, None].float(), (size_px,) * 3, mode="trilinear", align_corners=False
    )


def check_patches(source: Path, patches: Iterable[Tensor]) -> None:
    """Refuse what no network can learn from.

    Raises:
        DataError: all patches are the same everywhere, or values lie far from 0..1.
    """
    extremes = [(float(patch.min()), float(patch.max())) for patch in patches]
    if all(low == high for low, high in extremes):
        raise DataError(
            f"{source}: all {len(extremes)} patches are the same everywhere: nothing to learn from"
        )
    lowest, highest = min(low for low, _ in extremes), max(high for _, high in extremes)
    if lowest < -LEEWAY or highest > 1 + LEEWAY:
        raise DataError(
            f"{source}: patches hold values from {lowest:g} to {highest:g}; scale them to 0..1, "
            "such as HU from -1000 to 400"
        )
