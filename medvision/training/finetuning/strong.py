"""Weak and strong random changes of patches' views or cubes, for learning without labels."""

from __future__ import annotations

import torch
from torch import Tensor

from medvision.config.finetuning import AugmentationConfig
from medvision.training.finetuning.affine import apply_affine, draw_affine

WEAK = AugmentationConfig(rotation_degrees=0, shift=0.02, shear=0, zoom=0, flip=True)
STRONG = AugmentationConfig(rotation_degrees=90, shift=0.06, shear=0.1, zoom=0.05, flip=True)
"""Little zoom: size is a sign."""
OFFSET, CONTRAST, NOISE = 0.05, 0.2, 0.05
"""Largest shift and relative contrast of values in 0..1, and largest standard deviation of noise."""
HOLE = 0.3
"""Side of the square or cube that is blanked out, as a part of the picture's."""


def weakly_changed(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirrored and moved a little; (N, V, C, H, W) views or (N, 1, D, H, W) volumes, or several of each."""
    return _moved(images, WEAK, generator)


def strongly_changed(images: Tensor, generator: torch.Generator) -> Tensor:
    """Turned, sheared, brighter or darker, noisy, with a part blanked out."""
    return _with_hole(_other_scanner(_moved(images, STRONG, generator), generator), generator)


def _moved(images: Tensor, settings: AugmentationConfig, generator: torch.Generator) -> Tensor:
    """Views are pictures of their own: each is moved for itself; one-channel volumes as a whole."""
    is_views = images.shape[2] <= 3
    pictures = images.flatten(0, 1) if is_views else images
    axes = pictures.ndim - 2
    return apply_affine(pictures, draw_affine(len(pictures), axes, settings, generator)).view_as(images)


def _other_scanner(images: Tensor, generator: torch.Generator) -> Tensor:
    one_each = (len(images), *[1] * (images.ndim - 1))

    def drawn(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(one_each, generator=generator)).to(images)

    noise = torch.randn(images.shape, generator=generator).to(images) * drawn(0, NOISE)
    middle = images.flatten(1).mean(dim=1).view(one_each)
    contrasted = middle + (images - middle) * drawn(1 - CONTRAST, 1 + CONTRAST)
    return (contrasted + drawn(-OFFSET, OFFSET) + noise).clamp(0, 1)


def _with_hole(images: Tensor, generator: torch.Generator) -> Tensor:
    height, width = images.shape[-2:]
    tall, wide = int(height * HOLE), int(width * HOLE)
    top = torch.randint(0, height - tall + 1, (len(images),), generator=generator)
    left = torch.randint(0, width - wide + 1, (len(images),), generator=generator)
    rows = (torch.arange(height)[None] >= top[:, None]) & (torch.arange(height)[None] < top[:, None] + tall)
    columns = (torch.arange(width)[None] >= left[:, None]) & (
        torch.arange(width)[None] < left[:, None] + wide
    )
    hole = rows[:, :, None] & columns[:, None, :]
    shape = (len(images), *[1] * (images.ndim - 3), height, width)
    return images.masked_fill(hole.view(shape).to(images.device), 0.0)
