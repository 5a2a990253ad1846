"""Pictures and small volumes at the size that a network takes."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def resize(images: Tensor, size_px: int) -> Tensor:
    """Uint8 (N, C, H, W) or (N, 1, D, H, W) → the same with every spatial axis `size_px` long."""
    axes = images.ndim - 2
    if images.shape[2:] == (size_px,) * axes:
        return images
    mode = "bilinear" if axes == 2 else "trilinear"
    resized = functional.interpolate(
        images.float(), (size_px,) * axes, mode=mode, align_corners=False, antialias=axes == 2
    )
    return resized.round().clamp(0, 255).byte()
