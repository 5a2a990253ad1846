"""A nodule's outline in a picture, as a path of SVG."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medvision.measurement.nodule import NoduleMask
from medvision.reporting.keyimages import Planes, resample_planes

EVERY = 2
"""Of the points where an outline crosses the grid so many are kept: others lie within half a pixel."""


def outlines(mask: NoduleMask, planes: Planes, shown_px: float) -> tuple[str, ...]:
    """One path a plane, in pixels of a picture that is `shown_px` wide; empty where the nodule is not cut.

    Args:
        mask: the nodule's voxels.
        planes: where the pictures lie.
        shown_px: width of the picture in the page's units.
    """
    if not mask.mask.any():
        return ("",) * planes.count
    shares = resample_planes(mask.mask, mask.affine, planes, beyond=0.0)
    scale = shown_px / planes.size_px
    return tuple(_path(share, scale) if share.max() > 0.5 else "" for share in shares)


def _path(share: NDArray[np.float32], scale: float) -> str:
    from skimage.measure import find_contours

    lines = find_contours(np.pad(share, 1), 0.5)
    return "".join(_closed((line[::EVERY] - 0.5) * scale) for line in lines)


def _closed(line: NDArray[np.float64]) -> str:
    """Rows and columns of the padded picture's pixel centres are half a pixel beyond its edge."""
    points = "L".join(f"{column:.1f} {row:.1f}" for row, column in line)
    return f"M{points}Z"
