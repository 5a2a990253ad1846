"""How a nodule's border runs: spikes that stand out, lobes, and what it touches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from medvision.findings import Attachment
from medvision.measurement.crop import Cube
from medvision.measurement.morphology import Mask, around
from medvision.measurement.segmentation import Segmentation

REACH_MM = 5.0
"""How far from the body spikes are followed."""
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

    What stands out of the body and ends within 5 mm is a spike; what goes on is a vessel or the wall.

    Args:
        cube: HU around the nodule.
        found: the segmentation: the body, and other tissue above the same threshold.
    """
    reach_vox = int(np.ceil(REACH_MM / cube.step_mm)) + 1
    box = around(found.mask, reach_vox)
    body, other = found.mask[box], found.other[box]
    away_mm = ndimage.distance_transform_edt(~body) * cube.step_mm
    surface = (away_mm > 0) & (away_mm <= CONTACT_MM)
    labels, count = ndimage.label(other & (away_mm <= REACH_MM))
    if count == 0:
        return Margin(0.0, _unfilled(body), "none")
    furthest = np.asarray(ndimage.maximum(away_mm, labels, np.arange(count + 1)))
    goes_on = furthest > REACH_MM - cube.step_mm
    spike = (furthest >= SPIKE_MM) & ~goes_on
    goes_on[0] = spike[0] = False
    touching = surface & goes_on[labels]
    wall = found.wall[box]
    share = surface.sum()
    pleural, vascular = (touching & wall).sum() / share, (touching & ~wall).sum() / share
    attachment: Attachment = "none"
    if pleural >= PLEURAL_SHARE:
        attachment = "pleural"
    elif vascular >= VASCULAR_SHARE:
        attachment = "vascular"
    return Margin(float((surface & spike[labels]).sum() / share), _unfilled(body), attachment)


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
