"""Long and short axis on the axial slice, as readers measure them (Fleischner Society, 2017).

Source: Bankier et al., Radiology 2017, doi:10.1148/radiol.2017162894.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist, squareform
from skimage.measure import find_contours

CHORDS = 64
"""Places along the long axis where the perpendicular diameter is tried."""


def axial_axes(share: NDArray[np.float32], level: float, step_mm: float) -> tuple[float, float]:
    """Longest axial diameter, and the longest one perpendicular to it, on the slice of the largest area.

    Args:
        share: how much of each voxel is nodule, order z, y, x.
        level: where the border runs.
        step_mm: isotropic spacing.

    Returns:
        Long axis and short axis in mm; zeros where nothing reaches the level.
    """
    slice_vox = int(np.argmax((share > level).sum(axis=(1, 2))))
    contours = find_contours(np.pad(share[slice_vox], 1), level)
    if not contours:
        return 0.0, 0.0
    outline = max(contours, key=lambda c: float(np.ptp(c, axis=0).prod()))
    long_vox, short_vox = _axes(outline)
    return long_vox * step_mm, short_vox * step_mm


def _axes(outline: NDArray[np.float64]) -> tuple[float, float]:
    corners = _corners(outline)
    distances = squareform(pdist(corners))
    a, b = np.unravel_index(int(np.argmax(distances)), distances.shape)
    length = float(distances[a, b])
    along = (corners[b] - corners[a]) / length
    turned = (outline - corners[a]) @ np.array([[along[0], -along[1]], [along[1], along[0]]])
    return length, _longest_chord(turned, length)


def _corners(outline: NDArray[np.float64]) -> NDArray[np.float64]:
    try:
        return np.asarray(outline[ConvexHull(outline).vertices])
    except QhullError:
        return outline


def _longest_chord(outline: NDArray[np.float64], length: float) -> float:
    """Longest extent across the first axis of a closed outline."""
    start, end = outline[:-1], outline[1:]
    places = np.linspace(0, length, CHORDS + 2)[1:-1, None]
    crosses = (start[:, 0] <= places) != (end[:, 0] <= places)
    run = np.where(crosses, end[:, 0] - start[:, 0], 1.0)
    height = start[:, 1] + (places - start[:, 0]) / run * (end[:, 1] - start[:, 1])
    top = np.where(crosses, height, -np.inf).max(axis=1)
    bottom = np.where(crosses, height, np.inf).min(axis=1)
    return float(max(0.0, (top - bottom).max()))
