"""Pictures of any kind (grey, colour, palette, transparent, 16-bit) as 8-bit RGB.

Pillow's own conversion clips 16-bit grey at 255 and keeps whatever colour lies under transparent pixels; here
16-bit grey is scaled, and transparency becomes black.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medvision.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

GREY_DEPTHS = (8, 10, 12, 14, 16)
"""Bits that grey levels of medical pictures use; the fewest that hold a picture's brightest pixel count."""

_DEEP_MODES = ("I", "F")
"""Pillow's names of 16-bit ("I;16", …), 32-bit and float grey begin with one of these."""


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read a picture.

    Returns:
        (rows, columns, 3) RGB, upright as its Exif orientation says; of several frames the first.

    Raises:
        DataError: it is no picture, or damaged.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return np.array(_to_rgb(ImageOps.exif_transpose(image)))
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: it is no picture that can be read") from error
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: {' '.join(str(error).split())[:200] or type(error).__name__}") from error


def _to_rgb(image: Image) -> Image:
    from PIL import Image

    if image.mode.startswith(_DEEP_MODES):
        return Image.fromarray(_to_8_bits(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "black"), seen).convert("RGB")
    return image.convert("RGB")


def _to_8_bits(grey: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale by the bits in use; fractions and negative values from the smallest to the largest instead."""
    values = grey.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it holds values that are not finite")
    low, high = float(values.min()), float(values.max())
    depth = next((bits for bits in GREY_DEPTHS if high < 2**bits), None)
    if low >= 0 and depth is not None and grey.dtype.kind != "f":
        low, high = 0.0, float(2**depth - 1)
    scaled: NDArray[np.float64] = np.rint((values - low) / max(high - low, 1e-12) * 255)
    return scaled.astype(np.uint8)
