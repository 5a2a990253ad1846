"""Random affine changes of a batch at once: drawn apart from being applied."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from medvision.config.finetuning import AugmentationConfig


def draw_affine(batch: int, axes: int, settings: AugmentationConfig, generator: torch.Generator) -> Tensor:
    """Draw an affine map for each picture.

    Args:
        batch: pictures.
        axes: 2 for pictures, 3 for volumes, which are turned, sheared and shifted in the axial plane.
        settings: how much of each.
        generator: of the random numbers.

    Returns:
        (batch, axes, axes + 1), from output to input, in −1..1 along each axis, x first, as torch's
        `affine_grid` takes it.
    """

    def symmetric(limit: float) -> Tensor:
        return (torch.rand(batch, generator=generator) * 2 - 1) * limit

    angle = symmetric(math.radians(settings.rotation_degrees))
    shear, zoom = symmetric(settings.shear), 1 + symmetric(settings.zoom)
    cosine, sine = angle.cos(), angle.sin()
    affine = torch.eye(axes, axes + 1).repeat(batch, 1, 1)
    affine[:, 0, 0], affine[:, 0, 1] = cosine, shear * cosine - sine
    affine[:, 1, 0], affine[:, 1, 1] = sine, shear * sine + cosine
    affine[:, :, :axes] *= zoom[:, None, None]
    affine[:, 0, axes], affine[:, 1, axes] = symmetric(2 * settings.shift), symmetric(2 * settings.shift)
    if settings.flip:
        flipped = range(1 if axes == 2 else axes)  # pictures left to right only, volumes along any axis
        for axis in flipped:
            sign = 1 - 2 * (torch.rand(batch, generator=generator) < 0.5).float()
            affine[:, :, axis] *= sign[:, None]
    return affine


def apply_affine(images: Tensor, affine: Tensor) -> Tensor:
    """(N, C, …) → the same shape, linearly interpolated, the border repeated outwards."""
    grid = functional.affine_grid(affine.to(images), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
