"""Random changes of a candidate's views: what a nodule may look like in another scan, at the same size.

Randomness is drawn apart from being applied, for a whole batch at once. Nothing is zoomed: size is a sign.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medvision.preprocessing.views import PLANES
from medvision.preprocessing.window import WINDOW_HU

OFFSET_HU = 30.0
"""Largest shift of all HU of a candidate: calibration and beam hardening."""

CONTRAST = 0.1
"""Largest relative change of contrast."""

NOISE_HU = 25.0
"""Largest standard deviation of added noise."""

_UNITS_PER_HU = 2 / (WINDOW_HU[1] - WINDOW_HU[0])


@dataclass(frozen=True, slots=True)
class ViewChange:
    """What is done to each of B candidates with V views.

    Attributes:
        shift_px: (B, V, 2) first row and column of the crop.
        symmetry: (B, V, 3) whether rows are reversed, columns are reversed, both are swapped.
        offset: (B,) added to the window's units.
        contrast: (B,) factor.
        noise: (B,) standard deviation in the window's units.
    """

    shift_px: Tensor
    symmetry: Tensor
    offset: Tensor
    contrast: Tensor
    noise: Tensor


def draw_change(batch: int, margin_px: int, generator: torch.Generator) -> ViewChange:
    """Draw changes for a batch whose views are `margin_px` wider on each side than the network sees."""

    def symmetric(limit: float) -> Tensor:
        return (torch.rand(batch, generator=generator) * 2 - 1) * limit

    views = len(PLANES)
    return ViewChange(
        shift_px=torch.randint(0, 2 * margin_px + 1, (batch, views, 2), generator=generator),
        symmetry=torch.rand(batch, views, 3, generator=generator) < 0.5,
        offset=symmetric(OFFSET_HU * _UNITS_PER_HU),
        contrast=1 + symmetric(CONTRAST),
        noise=torch.rand(batch, generator=generator) * NOISE_HU * _UNITS_PER_HU,
    )


def apply_change(views: Tensor, change: ViewChange, size_px: int, generator: torch.Generator) -> Tensor:
    """(B, V, S, S) → (B, V, size_px, size_px), all in −1..1; the generator makes the noise."""
    cropped = _mirror(_crop(views, change.shift_px, size_px), change.symmetry)
    noise = torch.randn(cropped.shape, generator=generator) * change.noise[:, None, None, None]
    scaled = cropped * change.contrast[:, None, None, None] + change.offset[:, None, None, None]
    return (scaled + noise).clamp_(-1, 1)


def crop_center(views: Tensor, size_px: int) -> Tensor:
    """(B, V, S, S) → its middle, (B, V, size_px, size_px)."""
    first = (views.shape[-1] - size_px) // 2
    return views[..., first : first + size_px, first : first + size_px]


def _crop(views: Tensor, shift_px: Tensor, size_px: int) -> Tensor:
    windows = views.unfold(2, size_px, 1).unfold(3, size_px, 1)  # (B, V, rows, columns, size, size), no copy
    batch, view = torch.meshgrid(torch.arange(len(views)), torch.arange(views.shape[1]), indexing="ij")
    return windows[batch, view, shift_px[..., 0], shift_px[..., 1]]


def _mirror(views: Tensor, symmetry: Tensor) -> Tensor:
    """One of the eight symmetries of the square for each view."""
    rows, columns, swap = symmetry[..., None, None].unbind(dim=2)
    views = torch.where(rows, views.flip(-2), views)
    views = torch.where(columns, views.flip(-1), views)
    return torch.where(swap, views.transpose(-2, -1), views)
