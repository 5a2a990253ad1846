"""Separate one nodule from lung, vessels and chest wall in a small cube.

Half maximum between the local lung and the nodule's own core (the classic choice for CT volumetry, e.g.
Kostis et al., IEEE TMI 2003, doi:10.1109/TMI.2003.817785), the lung's convex hull against the chest wall, a
morphological opening against vessels, and a lower threshold where a ground-glass halo surrounds a solid core.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from medvision.measurement.crop import Cube

Mask = NDArray[np.bool_]
Index = tuple[int, ...]

SMOOTHING_MM = 0.6
"""Standard deviation of the blur before thresholds are applied."""
LUNG_BELOW_HU = -650.0
"""Voxels below this are counted as lung when its local HU is sought."""
LUNG_HU = -850.0
"""HU of the lung where too little of it is in the cube."""
MIN_CONTRAST_HU = 100.0
"""A core less than this above the lung has no border that could be found."""
HALO_ABOVE_LUNG_HU = 150.0
"""Threshold of a ground-glass halo above the local lung."""
HALO_FRACTION = 0.25
"""Share of the whole lesion that a halo must have to belong to it."""
OPENING_OF_RADIUS = 0.5
"""Radius of the opening that cuts vessels, as a share of the nodule's inscribed radius."""
HULL_SLACK_VOX = 1.0
"""The lung is eroded by one voxel before its hull is taken."""
COARSE_VOX = 4
"""Edge of the blocks in which a hull is first tested."""
ROUNDS = 3
"""Times at most that the core is measured again in the segmentation that it led to."""
SETTLED_HU = 10.0
"""A core that moves less is final."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A nodule in its cube.

    Attributes:
        mask: the nodule.
        other: tissue above the threshold that is not the nodule (wall, vessels).
        lung_hu: local lung.
        core_hu: the nodule's core.
        halo: True where the border is that of a ground-glass halo around a solid core.
    """

    mask: Mask
    other: Mask
    lung_hu: float
    core_hu: float
    halo: bool

    @property
    def threshold_hu(self) -> float:
        """HU of the border."""
        return self.lung_hu + HALO_ABOVE_LUNG_HU if self.halo else (self.lung_hu + self.core_hu) / 2


def segment(cube: Cube, diameter_mm: float, thickness_mm: float) -> Segmentation | None:
    """Find the nodule nearest to the cube's centre.

    Args:
        cube: HU around the candidate.
        diameter_mm: the detector's rough estimate, which limits how far the seed is searched.
        thickness_mm: the scan's largest spacing: no edge is sharper.

    Returns:
        The segmentation; None where nothing stands out from the lung.
    """
    smooth = ndimage.gaussian_filter(cube.hu, SMOOTHING_MM / cube.step_mm)
    lung_hu = _local_lung(cube)
    seed = _seed(smooth, cube.step_mm, diameter_mm)
    found = _grow(smooth, cube, lung_hu, seed)
    if found is None:
        return None
    mask, core_hu = found
    halo = _halo(smooth, cube, lung_hu, seed, mask, thickness_mm)
    mask = mask if halo is None else halo
    threshold = lung_hu + HALO_ABOVE_LUNG_HU if halo is not None else (lung_hu + core_hu) / 2
    return Segmentation(mask, (smooth > threshold) & ~mask, lung_hu, core_hu, halo is not None)


def _local_lung(cube: Cube) -> float:
    lung = cube.hu[cube.inside & (cube.hu < LUNG_BELOW_HU) & (cube.hu > -1000)]
    return float(np.median(lung)) if lung.size > 0.02 * cube.hu.size else LUNG_HU


def _seed(smooth: NDArray[np.float32], step_mm: float, diameter_mm: float) -> Index:
    """The brightest place near the centre, the nearer the better: a detector's centre is a few mm off."""
    reach_mm = float(np.clip(0.35 * diameter_mm, 2.0, 8.0))
    blurred = ndimage.gaussian_filter(smooth, np.clip(diameter_mm / 6, 0.5, 2.0) / step_mm)
    center = tuple((n - 1) / 2 for n in smooth.shape)
    distance_mm = np.sqrt(_squared_distance(smooth.shape, center)) * step_mm
    score = np.where(distance_mm <= reach_mm, blurred - 150 * (distance_mm / reach_mm) ** 2, -np.inf)
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(score)), score.shape))


def _grow(smooth: NDArray[np.float32], cube: Cube, lung_hu: float, seed: Index) -> tuple[Mask, float] | None:
    """Alternate between the core's HU and the mask at half maximum."""
    core_hu = float(smooth[seed])
    mask: Mask | None = None
    for _ in range(ROUNDS):
        if core_hu - lung_hu < MIN_CONTRAST_HU:
            break
        grown = _detach(smooth > (lung_hu + core_hu) / 2, cube, seed)
        if grown is None:
            break
        mask = grown
        before, core_hu = core_hu, _core(cube.hu, mask)
        if abs(core_hu - before) < SETTLED_HU:
            break
    return None if mask is None else (mask, core_hu)


def _core(hu: NDArray[np.float32], mask: Mask) -> float:
    """Median HU of the deepest part, which blur reaches least."""
    box = around(mask, 0)
    depth = ndimage.distance_transform_edt(np.pad(mask[box], 1))[1:-1, 1:-1, 1:-1]
    return float(np.median(hu[box][depth >= 0.6 * depth.max()]))


def _detach(above: Mask, cube: Cube, seed: Index) -> Mask | None:
    """The seed's component, freed from the chest wall and from vessels."""
    mask = _component(above, seed)
    if mask is None:
        return None
    if touches_edge(mask):
        mask = _component(mask & _lung_hull(~above & cube.inside, mask, seed), seed)
    return None if mask is None else _open(mask, seed)


def _component(mask: Mask, seed: Index) -> Mask | None:
    """The connected component that holds the seed."""
    labels, _ = ndimage.label(mask)
    return labels == labels[seed] if labels[seed] else None


def around(mask: Mask, margin_vox: int) -> tuple[slice, ...]:
    """The bounding box of a mask that is not empty, with a margin."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    return tuple(slice(max(s.start - margin_vox, 0), s.stop + margin_vox) for s in box)


def touches_edge(mask: Mask) -> bool:
    """Whether a mask reaches its array's border."""
    return any(bool(mask.take(end, axis).any()) for axis in range(3) for end in (0, -1))


def _lung_hull(air: Mask, tissue: Mask, seed: Index) -> Mask:
    """Tissue inside the convex hull of the lung beside the seed.

    The costal lung surface is convex, so a nodule that dents it lies inside the hull and the wall outside.
    """
    lung = np.argwhere(_nearest_component(ndimage.binary_erosion(air), seed, min_share=0.25))
    try:
        hull = ConvexHull(lung)
    except (QhullError, ValueError):  # no lung here, or a flat sliver of it: nothing to cut with
        return tissue
    facets = np.unique(hull.equations.astype(np.float32).round(3), axis=0)  # triangles of one plane are one
    return _inside_hull(facets, tissue)


def _inside_hull(facets: NDArray[np.float32], tissue: Mask) -> Mask:
    """Tissue inside; each block's centre decides for the block unless the hull passes near it."""
    center = (COARSE_VOX - 1) / 2
    blocks = tuple(n // COARSE_VOX for n in tissue.shape)
    lattice = np.moveaxis(np.indices(blocks), 0, -1).reshape(-1, 3) * COARSE_VOX + center
    beyond = _beyond(lattice, facets).reshape(blocks)
    for axis in range(3):
        beyond = beyond.repeat(COARSE_VOX, axis)
    inside = tissue & (beyond <= HULL_SLACK_VOX)
    unsure = tissue & (np.abs(beyond - HULL_SLACK_VOX) <= np.sqrt(3) * center)
    inside[unsure] = _beyond(np.argwhere(unsure), facets) <= HULL_SLACK_VOX
    return np.asarray(inside)


def _beyond(
    places: NDArray[np.floating] | NDArray[np.int_], facets: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Distance in voxels that each place lies beyond its outermost facet; negative inside."""
    return np.asarray((places.astype(np.float32) @ facets[:, :3].T + facets[:, 3]).max(axis=1))


def _nearest_component(mask: Mask, seed: Index, min_share: float) -> Mask:
    """The component nearest to the seed among those with a share of the largest one's size."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    places = np.flatnonzero(labels)
    label = labels.ravel()[places]
    distance = np.full(count + 1, np.inf)
    np.minimum.at(distance, label, _squared_distance(mask.shape, seed).ravel()[places])
    sizes = np.bincount(label, minlength=count + 1)
    distance[sizes < min_share * sizes.max()] = np.inf
    return np.asarray(labels == int(np.argmin(distance)))


def _open(mask: Mask, seed: Index) -> Mask | None:
    """Cut what is thinner than half the nodule, keep the part nearest to the seed."""
    box = around(mask, 0)
    part = np.pad(mask[box], 1)
    local = tuple(int(i - s.start + 1) for i, s in zip(seed, box, strict=True))
    depth = ndimage.distance_transform_edt(part)
    radius = OPENING_OF_RADIUS * _inscribed_radius(depth, local)
    core = _nearest_component(depth > radius, local, min_share=0.0)
    opened = part & (ndimage.distance_transform_edt(~core) <= radius + 1)
    result = np.zeros_like(mask)
    result[box] = opened[1:-1, 1:-1, 1:-1]
    return result


def _squared_distance(shape: tuple[int, ...], point: tuple[float, ...]) -> NDArray[np.float64]:
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    return np.asarray(sum((axis - p) ** 2 for axis, p in zip(axes, point, strict=True)), np.float64)


def _inscribed_radius(depth: NDArray[np.float64], seed: tuple[int, ...]) -> float:
    """Climb from the seed to the nearest maximum of the depth: the largest ball around it."""
    place = np.array(seed)
    while True:
        low = np.maximum(place - 2, 0)
        window = depth[tuple(slice(a, b) for a, b in zip(low, place + 3, strict=True))]
        step = np.array(np.unravel_index(int(np.argmax(window)), window.shape)) + low
        if depth[tuple(step)] <= depth[tuple(place)]:
            return float(depth[tuple(place)])
        place = step


def _halo(
    smooth: NDArray[np.float32],
    cube: Cube,
    lung_hu: float,
    seed: Index,
    solid: Mask,
    thickness_mm: float,
) -> Mask | None:
    """The lesion with its ground-glass halo, where there is one that blur alone does not explain."""
    whole = _detach(smooth > lung_hu + HALO_ABOVE_LUNG_HU, cube, seed)
    if whole is None or touches_edge(whole):
        return None
    whole = whole | solid
    distance_mm = ndimage.distance_transform_edt(~solid) * cube.step_mm
    halo = whole & (distance_mm > max(1.5, 0.8 * thickness_mm))
    return whole if halo.sum() >= HALO_FRACTION * whole.sum() else None
