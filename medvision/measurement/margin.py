"""How a nodule's border runs: spikes that stand out, lobes, and what it touches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from medvision.findings import Attachment
from medvision.measurement.crop import Cube
from medvision.measurement.morphology import Mask, around
from medvision.measurement.segmentation import Segmentation

SPIKE_MM = 1.2
"""A spike is at least so long."""
CONTACT_MM = 1.0
"""Tissue that is nearer than this touches."""
PLEURAL_SHARE, VASCULAR_SHARE = 0.05, 0.01
"""Shares of the surface that must touch."""


@dataclass(frozen=True, slots=True)
class Margin:
    """Shape of the border.

    Attributes:
        spiculation: share of the body's surface from which thin tissue stands out that ends nearby.
        lobulation: share of the body's convex hull that the body does not fill.
        attachment: what touches it.
    """

    spiculation: float
    lobulation: float
    attachment: Attachment


def margin_of(cube: Cube, found: Segmentation) -> Margin:
    """Describe the border.

    Args:
        cube: HU around the nodule.
        found: its segmentation.
    """
    body = found.mask & ~found.spikes
    box = around(found.mask, int(np.ceil(2 * CONTACT_MM / cube.step_mm)) + 1)
    away_mm = ndimage.distance_transform_edt(~body[box]) * cube.step_mm
    surface = (away_mm > 0) & (away_mm <= CONTACT_MM)
    long_enough = _long(found.spikes[box], away_mm)
    spiculation = float((surface & long_enough).sum() / surface.sum())
    reached = ndimage.distance_transform_edt(~found.mask[box]) * cube.step_mm
    touching = (reached > 0) & (reached <= CONTACT_MM) & found.other[box]
    wall = found.wall[box]
    share = max(1, int(((reached > 0) & (reached <= CONTACT_MM)).sum()))
    pleural, vascular = (touching & wall).sum() / share, (touching & ~wall).sum() / share
    attachment: Attachment = "none"
    if pleural >= PLEURAL_SHARE:
        attachment = "pleural"
    elif vascular >= VASCULAR_SHARE:
        attachment = "vascular"
    return Margin(spiculation, _unfilled(body), attachment)


def _long(spikes: Mask, away_mm: NDArray[np.float64]) -> Mask:
    """Those spikes that reach far enough from the body."""
    labels, count = ndimage.label(spikes)
    if count == 0:
        return np.zeros_like(spikes)
    furthest = np.asarray(ndimage.maximum(away_mm, labels, np.arange(1, count + 1)))
    return np.asarray(np.isin(labels, 1 + np.flatnonzero(furthest >= SPIKE_MM)))


def _unfilled(body: Mask) -> float:
    """Share of the convex hull of a body's voxels that they do not fill."""
    places = np.argwhere(body & ~ndimage.binary_erosion(body))
    corners = (places[:, None] + np.array([[-0.5, 0, 0], [0.5, 0, 0], [0, -0.5, 0], [0, 0.5, 0]])).reshape(
        -1, 3
    )
    try:
        hull = ConvexHull(corners)
    except QhullError:
        return 0.0
    return float(np.clip(1 - body.sum() / hull.volume, 0, 1))
