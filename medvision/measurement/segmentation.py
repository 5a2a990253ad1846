"""Separate one nodule from lung, vessels and chest wall in a small cube.

Half maximum between the local lung and the nodule's own core (the classic choice for CT volumetry, e.g.
Kostis et al., IEEE TMI 2003, doi:10.1109/TMI.2003.817785), the lung's convex hull against the chest wall, a
morphological opening against vessels, and a lower threshold where a ground-glass halo surrounds a solid core.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from medvision.measurement.crop import Cube
from medvision.measurement.morphology import (
    MIN_NODULE_SHARE,
    Index,
    Mask,
    around,
    component,
    in_lung_hull,
    nearest_component,
    open_at,
    squared_distance,
    touches_edge,
)

LUNG_BELOW_HU = -650.0
"""Voxels below this are counted as lung when its local HU is sought."""
LUNG_HU = -850.0
"""HU of the lung where too little of it is in the cube."""
MIN_CONTRAST_HU = 100.0
"""A core less than this above the lung has no border that could be found."""
TISSUE_HU = -400.0
"""Half-way between lung and soft tissue."""
SOFT_TISSUE_HU = 40.0
"""Where soft tissue is first looked for around a calcified core."""
HALO_ABOVE_LUNG_HU = 150.0
"""Half maximum at which a ground-glass halo is first looked for, above the local lung."""
LAYER_FRACTION = 0.25
"""Share of the whole lesion that a layer around a denser core must have to belong to it."""
LAYER_AROUND = 0.6
"""Share of the core's surroundings that a layer must fill: a vessel beside it is none."""
ROUNDS = 3
"""Times at most that the core is measured again in the segmentation that it led to."""
SETTLED_HU = 10.0
"""A core that moves less is final."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A nodule in its cube, at half maximum.

    Attributes:
        mask: the nodule.
        other: tissue above the threshold that is not the nodule (wall, vessels).
        lung_hu: local lung.
        core_hu: what the border is half of: the nodule's core, or the layer around a denser core.
        layered: True where there is such a layer.
    """

    mask: Mask
    other: Mask
    lung_hu: float
    core_hu: float
    layered: bool


@dataclass(frozen=True)
class _Place:
    """Where a nodule is sought."""

    cube: Cube
    lung_hu: float
    seed: Index

    @cached_property
    def lung_hull(self) -> Mask:
        """Tissue inside the hull of the lung beside the seed."""
        smooth = self.cube.smooth
        return in_lung_hull((smooth < TISSUE_HU) & self.cube.inside, smooth > self.lung_hu, self.seed)

    def above(self, core_hu: float) -> Mask:
        """What is above half maximum."""
        return np.asarray(self.cube.smooth > (self.lung_hu + core_hu) / 2)

    def nodule(self, core_hu: float) -> Mask | None:
        """The nodule at half maximum, freed from chest wall and vessels."""
        if core_hu - self.lung_hu < MIN_CONTRAST_HU:
            return None
        mask = component(self.above(core_hu), self.seed)
        if mask is not None and touches_edge(mask):
            mask = nearest_component(mask & self.lung_hull, self.seed, MIN_NODULE_SHARE)
        return open_at(mask, self.seed) if mask is not None and mask.any() else None


def segment(cube: Cube, diameter_mm: float, thickness_mm: float) -> Segmentation | None:
    """Find the nodule nearest to the cube's centre.

    Args:
        cube: HU around the candidate.
        diameter_mm: the detector's rough estimate, which limits how far the seed is searched.
        thickness_mm: the scan's largest spacing: no edge is sharper.

    Returns:
        The segmentation; None where nothing stands out from the lung.
    """
    place = _Place(cube, _local_lung(cube), _seed(cube, diameter_mm))
    found = _grow(place)
    if found is None:
        return None
    layered = False
    for guess_hu in (SOFT_TISSUE_HU, place.lung_hu + 2 * HALO_ABOVE_LUNG_HU):
        whole = _with_layer(place, *found, guess_hu, thickness_mm)
        if whole is not None:
            found, layered = whole, True
    mask, core_hu = found
    return Segmentation(mask, place.above(core_hu) & ~mask, place.lung_hu, core_hu, layered)


def _local_lung(cube: Cube) -> float:
    lung = cube.hu[cube.inside & (cube.hu < LUNG_BELOW_HU) & (cube.hu > -1000)]
    return float(np.median(lung)) if lung.size > 0.02 * cube.hu.size else LUNG_HU


def _seed(cube: Cube, diameter_mm: float) -> Index:
    """The brightest place near the centre, the nearer the better: a detector's centre is a few mm off."""
    reach_mm = float(np.clip(0.35 * diameter_mm, 2.0, 8.0))
    reach_vox = int(np.ceil(reach_mm / cube.step_mm))
    first = cube.hu.shape[0] // 2 - reach_vox
    near = (slice(first, first + 2 * reach_vox),) * 3
    blurred = ndimage.gaussian_filter(cube.smooth[near], np.clip(diameter_mm / 6, 0.5, 2.0) / cube.step_mm)
    distance_mm = np.sqrt(squared_distance(blurred.shape, (reach_vox - 0.5,) * 3)) * cube.step_mm
    score = np.where(distance_mm <= reach_mm, blurred - 150 * (distance_mm / reach_mm) ** 2, -np.inf)
    return tuple(first + int(i) for i in np.unravel_index(int(np.argmax(score)), score.shape))


def _grow(place: _Place) -> tuple[Mask, float] | None:
    """Alternate between the core's HU and the mask at half maximum."""
    core_hu = float(place.cube.smooth[place.seed])
    mask: Mask | None = None
    for _ in range(ROUNDS):
        grown = place.nodule(core_hu)
        if grown is None:
            break
        mask = grown
        before, core_hu = core_hu, _core(place.cube, mask)
        if abs(core_hu - before) < SETTLED_HU:
            break
    return None if mask is None else (mask, core_hu)


def _core(cube: Cube, mask: Mask) -> float:
    """Median HU of the deepest part, which blur reaches least."""
    box = around(mask, 0)
    depth = ndimage.distance_transform_edt(np.pad(mask[box], 1))[1:-1, 1:-1, 1:-1]
    return float(np.median(cube.hu[box][depth >= 0.6 * depth.max()]))


def _with_layer(
    place: _Place, dense: Mask, dense_hu: float, guess_hu: float, thickness_mm: float
) -> tuple[Mask, float] | None:
    """The lesion with the layer around its dense core, and its HU, where blur alone does not explain it."""
    if dense_hu < guess_hu + MIN_CONTRAST_HU:
        return None
    whole = place.nodule(guess_hu)
    if whole is None or touches_edge(whole):
        return None
    box = around(whole | dense, 1)
    bright = place.cube.smooth[box] > (guess_hu + dense_hu) / 2
    distance_mm = ndimage.distance_transform_edt(~(bright & dense[box])) * place.cube.step_mm
    blur_mm = max(1.5, 0.8 * thickness_mm)
    layer = whole[box] & (distance_mm > blur_mm)
    shell = (distance_mm > blur_mm) & (distance_mm <= blur_mm + place.cube.step_mm) & ~bright
    if layer.sum() < LAYER_FRACTION * whole.sum() or whole[box][shell].sum() < LAYER_AROUND * shell.sum():
        return None
    layer_hu = float(np.median(place.cube.hu[box][layer]))
    mask = place.nodule(layer_hu)
    return None if mask is None or touches_edge(mask) else (mask | dense, layer_hu)
