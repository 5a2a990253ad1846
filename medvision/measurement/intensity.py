"""What the HU inside a nodule say: statistics, density type, pattern of calcium."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medvision.findings import Calcification, Density
from medvision.measurement.crop import Cube
from medvision.measurement.morphology import Mask, around
from medvision.measurement.segmentation import Segmentation

CALCIFIED_HU, CALCIFIED_SHARE = 300.0, 0.2
SOLID_HU, GROUND_GLASS_HU = -200.0, -300.0
"""HU of calcium, and the share of the inside that it must fill; HU above which tissue is solid, and below
which the densest part of a nodule is still ground glass."""
PART_SOLID_AT_MOST = 0.8
"""Share of solid tissue above which a halo does not make a nodule part-solid."""
CALCIUM_HU = 200.0
"""Lowest HU of calcium in nodules (Khan et al., Insights Imaging 2010, doi:10.1007/s13244-010-0004-5)."""
SPECK_MM3 = 1.5
"""Less calcium than this is noise."""
PUNCTATE_SHARE, DIFFUSE_SHARE = 0.1, 0.7
"""Shares of the inside below which calcium is specks and above which it is everywhere."""
CENTRAL_OFFSET = 0.3
"""Largest distance of the calcium's centre from the nodule's, in effective radii, for a central pattern."""
BENIGN_CALCIUM: tuple[Calcification, ...] = ("diffuse", "central", "laminated", "popcorn")
"""Patterns that make a nodule a calcified one, however little of it they fill."""
INNER_RADIUS = 0.4
"""Part of the depth that is looked at for calcium in the middle."""


def hu_statistics(hu: NDArray[np.float32], mask: Mask) -> dict[str, float]:
    """Mean, median, 10th and 90th percentile, and standard deviation of the HU inside, by field name."""
    inside = hu[mask]
    p10, median, p90 = np.percentile(inside, (10, 50, 90))
    values = {"mean_hu": inside.mean(), "median_hu": median, "p10_hu": p10, "p90_hu": p90}
    values["std_hu"] = inside.std()
    return {name: round(float(value), 1) for name, value in values.items()}


def density_of(cube: Cube, found: Segmentation, calcification: Calcification) -> Density:
    """Density type from the HU inside, without the border where enough is left, and the calcium."""
    hu = cube.smooth[inner_part(cube, found.mask)]
    if (hu > CALCIFIED_HU).mean() >= CALCIFIED_SHARE or calcification in BENIGN_CALCIUM:
        return "calcified"
    if np.percentile(hu, 95) < GROUND_GLASS_HU:
        return "ground_glass"
    solid_share = float((hu > SOLID_HU).mean())
    with_halo = found.layered and found.core_hu < GROUND_GLASS_HU
    return "part_solid" if with_halo and solid_share < PART_SOLID_AT_MOST else "solid"


def inner_part(cube: Cube, mask: Mask) -> Mask:
    """A mask without its outermost millimetre, where enough of it is left."""
    inner = ndimage.binary_erosion(mask, iterations=max(1, round(1.0 / cube.step_mm)))
    return inner if inner.sum() >= 27 else mask


def calcification_of(cube: Cube, mask: Mask) -> Calcification:
    """Pattern of the calcium, in the words of chest radiology.

    Diffuse, central, laminated and popcorn are called benign, eccentric and punctate are not (Khan et al.,
    Insights Imaging 2010). The rules are ours: by share, number of pieces, offset of the centre, and whether
    the middle is free.
    """
    box = around(mask, 1)
    inside = mask[box]
    calcium = inside & (cube.smooth[box] > CALCIUM_HU)
    labels, count = ndimage.label(calcium)
    sizes_mm3 = np.bincount(labels.ravel(), minlength=count + 1)[1:] * cube.step_mm**3
    if not (sizes_mm3 >= SPECK_MM3).any():
        return "none"
    calcium = np.isin(labels, 1 + np.flatnonzero(sizes_mm3 >= SPECK_MM3))
    return _pattern(calcium, inside, int((sizes_mm3 >= SPECK_MM3).sum()))


def _pattern(calcium: Mask, inside: Mask, pieces: int) -> Calcification:
    share = calcium.sum() / inside.sum()
    depth = ndimage.distance_transform_edt(inside)
    middle = depth >= (1 - INNER_RADIUS) * depth.max()
    if share >= DIFFUSE_SHARE:
        return "diffuse"
    if pieces >= 3 and share >= PUNCTATE_SHARE:
        return "popcorn"
    radius_vox = np.cbrt(3 * inside.sum() / (4 * np.pi))
    centers = ndimage.center_of_mass(calcium), ndimage.center_of_mass(inside)
    is_central = bool(np.linalg.norm(np.subtract(*centers)) <= CENTRAL_OFFSET * radius_vox)
    if is_central and calcium[middle].mean() >= 0.5:
        return "central"
    if is_central and share >= PUNCTATE_SHARE:
        return "laminated"
    return "punctate" if share < PUNCTATE_SHARE else "eccentric"
