"""Separate one nodule from lung, vessels and chest wall in a small cube.

Half maximum between the local lung and the nodule's own core (the classic choice for CT volumetry, e.g.
Kostis et al., IEEE TMI 2003, doi:10.1109/TMI.2003.817785), the lung's convex hull against the chest wall, a
morphological opening against vessels, and a lower threshold where a ground-glass halo surrounds a solid core.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
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
from medvision.measurement.wall import beyond_wall, with_base

Box = tuple[slice, ...]

LUNG_BELOW_HU = -650.0
"""Voxels below this are counted as lung when its local HU is sought."""
LUNG_HU = -850.0
"""HU of the lung where too little of it is in the cube."""
MIN_CONTRAST_HU = 100.0
"""A core less than this above the lung has no border that could be found."""
TISSUE_HU = -400.0
"""Half-way between lung and soft tissue."""
WALL_OF_DIAMETER, WALL_RADIUS_MM = 0.75, (8.0, 20.0)
"""Radius of the ball that finds the wall, from the detector's estimate of the diameter, and its bounds."""
SOFT_TISSUE_HU = 40.0
"""Where soft tissue is first looked for around a calcified core."""
HALO_ABOVE_LUNG_HU = 150.0
"""Half maximum at which a ground-glass halo is first looked for, above the local lung."""
LAYER_FRACTION = 0.25
"""Share of the whole lesion that a layer around a denser core must have to belong to it."""
LAYER_AROUND = 0.6
"""Share of the core's surroundings that a layer must fill: a vessel beside it is none."""
BLUR_MM, BLUR_OF_THICKNESS = 1.5, 0.8
"""How far a denser core shines into what is around it: in the slice, and across slices."""
SOFT_BLURRED_HU = -350.0
"""A layer denser than this is soft tissue that blur has thinned."""
SHELL_AT_LEAST = 30
"""Voxels of the surroundings near the seed that are enough to judge by."""

SPIKE_REACH_MM = 5.0
"""How far from the body spikes are followed."""
SPIKE_SHARE = 0.1
"""One with a larger share of the body is a piece of a vessel."""
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
        wall: chest wall, mediastinum and diaphragm.
        spikes: part of `mask`: thin tissue that stands out of its body and ends nearby.
    """

    mask: Mask
    other: Mask
    lung_hu: float
    core_hu: float
    layered: bool
    wall: Mask
    spikes: Mask


@dataclass(frozen=True)
class _Place:
    """Where a nodule is sought."""

    cube: Cube
    lung_hu: float
    seed: Index
    diameter_mm: float
    thickness_mm: float
    wall: Mask

    @cached_property
    def lung_hull(self) -> Mask:
        """Tissue inside the hull of the lung beside the seed."""
        smooth = self.cube.smooth
        return in_lung_hull((smooth < TISSUE_HU) & self.cube.inside, smooth > self.lung_hu, self.seed)

    def above(self, core_hu: float) -> Mask:
        """What is above half maximum."""
        return np.asarray(self.cube.smooth > (self.lung_hu + core_hu) / 2)

    def free(self, core_hu: float) -> Mask:
        """What is above half maximum and not wall."""
        return self.above(core_hu) & ~self.wall

    def nodule(self, core_hu: float) -> Mask | None:
        """The nodule at half maximum, freed from chest wall and vessels."""
        if core_hu - self.lung_hu < MIN_CONTRAST_HU:
            return None
        mask = component(self.free(core_hu), self.seed)
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
    wall = _wall(cube, diameter_mm)
    seed = _seed(cube, diameter_mm, wall)
    if wall[seed]:  # nothing else is near: what is there is larger than a nodule of that size
        wall = np.zeros_like(wall)
    place = _Place(cube, _local_lung(cube), seed, diameter_mm, thickness_mm, wall)
    found = _grow(place)
    if found is None:
        return None
    layered = False
    for guess_hu in (SOFT_TISSUE_HU, place.lung_hu + 2 * HALO_ABOVE_LUNG_HU):
        whole = _with_layer(place, *found, guess_hu)
        if whole is not None:
            found, layered = whole, True
    mask, core_hu = found
    if wall.any():
        mask = with_base(mask, wall, place.above(core_hu) | wall, cube.step_mm)
    above = place.above(core_hu)
    spikes = _spikes(mask, above & ~mask, cube.step_mm)
    mask = mask | spikes
    return Segmentation(mask, above & ~mask, place.lung_hu, core_hu, layered, wall & ~mask, spikes)


def _spikes(body: Mask, other: Mask, step_mm: float) -> Mask:
    """What stands out of the body and ends within 5 mm; what goes on is a vessel or the wall."""
    box = around(body, int(np.ceil(SPIKE_REACH_MM / step_mm)) + 1)
    away_mm = ndimage.distance_transform_edt(~body[box]) * step_mm
    labels, count = ndimage.label(other[box] & (away_mm <= SPIKE_REACH_MM))
    spikes = np.zeros_like(body)
    if count:
        numbers = np.arange(1, count + 1)
        nearest, furthest = (
            np.asarray(f(away_mm, labels, numbers)) for f in (ndimage.minimum, ndimage.maximum)
        )
        sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        ends = (nearest <= 1.5 * step_mm) & (furthest <= SPIKE_REACH_MM - step_mm)
        ends &= sizes <= SPIKE_SHARE * body.sum()
        spikes[box] = np.isin(labels, numbers[ends])
    return spikes


def _local_lung(cube: Cube) -> float:
    lung = cube.hu[cube.inside & (cube.hu < LUNG_BELOW_HU) & (cube.hu > -1000)]
    return float(np.median(lung)) if lung.size > 0.02 * cube.hu.size else LUNG_HU


def _wall(cube: Cube, diameter_mm: float) -> Mask:
    """Chest wall, mediastinum and diaphragm: what is too thick for a nodule of about that size."""
    radius_mm = np.clip(WALL_OF_DIAMETER * diameter_mm + 1, *WALL_RADIUS_MM)
    tissue = (cube.smooth > TISSUE_HU) & cube.inside
    return np.asarray(beyond_wall(tissue, float(radius_mm) / cube.step_mm) <= 0)


def _seed(cube: Cube, diameter_mm: float, wall: Mask) -> Index:
    """The brightest place near the centre, the nearer the better: a detector's centre is a few mm off."""
    reach_mm = float(np.clip(0.35 * diameter_mm, 2.0, 8.0))
    reach_vox = int(np.ceil(reach_mm / cube.step_mm))
    first = cube.hu.shape[0] // 2 - reach_vox
    near = (slice(first, first + 2 * reach_vox),) * 3
    blurred = ndimage.gaussian_filter(cube.smooth[near], np.clip(diameter_mm / 6, 0.5, 2.0) / cube.step_mm)
    distance_mm = np.sqrt(squared_distance(blurred.shape, (reach_vox - 0.5,) * 3)) * cube.step_mm
    allowed = distance_mm <= reach_mm
    if (allowed & ~wall[near]).any():
        allowed &= ~wall[near]
    score = np.where(allowed, blurred - 150 * (distance_mm / reach_mm) ** 2, -np.inf)
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


def _with_layer(place: _Place, dense: Mask, dense_hu: float, guess_hu: float) -> tuple[Mask, float] | None:
    """The lesion with the layer around its dense core, and its HU, where blur alone does not explain it."""
    if dense_hu < guess_hu + MIN_CONTRAST_HU:
        return None
    reach_vox = int(np.ceil((BLUR_MM + 1) / place.cube.step_mm)) + 1
    near = around(dense, reach_vox)
    bright = dense[near] & (place.cube.smooth[near] > (guess_hu + dense_hu) / 2)
    blurs = _blurs_from(place, bright)
    if not _is_surrounded(place, near, blurs, guess_hu):
        return None
    whole = place.nodule(guess_hu)
    if whole is None or touches_edge(whole):
        return None
    layer_hu = _layer_hu(place, whole, near, blurs)
    if layer_hu is None:
        return None
    mask = place.nodule(layer_hu)
    if mask is None or touches_edge(mask):
        mask = whole
    return mask | (dense & ndimage.binary_dilation(mask, iterations=2)), layer_hu


def _blurs_from(place: _Place, bright: Mask) -> NDArray[np.float64]:
    """Distance from the dense part in units of how far it shines."""
    across = max(BLUR_MM, BLUR_OF_THICKNESS * place.thickness_mm)
    step = place.cube.step_mm
    if not bright.any():
        return np.full(bright.shape, np.inf)
    return np.asarray(
        ndimage.distance_transform_edt(~bright, sampling=(step / across, step / BLUR_MM, step / BLUR_MM))
    )


def _is_surrounded(place: _Place, box: Box, blurs: NDArray[np.float64], guess_hu: float) -> bool:
    """Whether something fills what is around the dense part, near the seed if that is enough to tell."""
    shell = (blurs > 1) & (blurs <= 1 + place.cube.step_mm / BLUR_MM)
    seed = tuple(float(i - side.start) for i, side in zip(place.seed, box, strict=True))
    reach_vox = 0.5 * place.diameter_mm / place.cube.step_mm
    near = shell & (squared_distance(shell.shape, seed) <= reach_vox**2)
    judged = near if near.sum() >= SHELL_AT_LEAST else shell
    filled = place.above(guess_hu)[box]
    return bool(judged.any() and filled[judged].mean() >= LAYER_AROUND)


def _layer_hu(place: _Place, whole: Mask, near: Box, blurs: NDArray[np.float64]) -> float | None:
    """HU of the layer, away from the dense part and from the lung; None where it is too thin."""
    layer = whole.copy()
    layer[near] &= blurs > 1
    if layer.sum() < LAYER_FRACTION * whole.sum():
        return None
    box = around(whole, 1)
    depth = ndimage.distance_transform_edt(whole[box])[layer[box]]
    hu = place.cube.hu[box][layer[box]]
    deep = depth >= min(float(np.quantile(depth, 0.7)), _faded_vox(place))
    layer_hu = float(np.median(hu[deep]))
    return max(layer_hu, SOFT_TISSUE_HU) if layer_hu > SOFT_BLURRED_HU else layer_hu


def _faded_vox(place: _Place) -> float:
    """Voxels below the border where blur from the lung has faded."""
    return BLUR_MM / place.cube.step_mm
