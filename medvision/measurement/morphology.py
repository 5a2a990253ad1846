"""Shapes on small boolean cubes: components, the lung's hull, an opening that keeps its place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

Mask = NDArray[np.bool_]
Index = tuple[int, ...]

OPENING_OF_RADIUS = 0.6
"""Radius of the opening that cuts vessels, as a share of the nodule's inscribed radius."""
HULL_SLACK_VOX = 1.0
"""The lung is eroded by one voxel before its hull is taken."""
COARSE_VOX = 4
"""Edge of the blocks in which a hull is first tested."""
MIN_LUNG_SHARE, MIN_NODULE_SHARE = 0.25, 0.05
"""A component with a smaller share of the largest one is neither lung nor nodule but debris."""


def component(mask: Mask, seed: Index) -> Mask | None:
    """The connected component that holds the seed; None where the seed is outside."""
    labels, _ = ndimage.label(mask)
    return np.asarray(labels == labels[seed]) if labels[seed] else None


def around(mask: Mask, margin_vox: int) -> tuple[slice, ...]:
    """The bounding box of a mask that is not empty, with a margin."""
    filled = [np.flatnonzero(mask.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    return tuple(slice(max(int(f[0]) - margin_vox, 0), int(f[-1]) + 1 + margin_vox) for f in filled)


def touches_edge(mask: Mask) -> bool:
    """Whether a mask reaches its array's border."""
    return any(bool(mask.take(end, axis).any()) for axis in range(3) for end in (0, -1))


def in_lung_hull(air: Mask, tissue: Mask, seed: Index) -> Mask:
    """Tissue inside the convex hull of the lung beside the seed.

    The costal lung surface is convex, so a nodule that dents it lies inside the hull and the wall outside.
    """
    lung = nearest_component(ndimage.binary_erosion(air), seed, MIN_LUNG_SHARE)
    try:
        hull = ConvexHull(_row_ends(lung))
    except (QhullError, ValueError):  # no lung here, or a flat sliver of it: nothing to cut with
        return tissue
    facets = np.unique(hull.equations.astype(np.float32).round(3), axis=0)  # triangles of one plane are one
    return _inside_hull(facets, tissue)


def _row_ends(mask: Mask) -> NDArray[np.int_]:
    """First and last place of every row along the last axis: they have the same hull as all places."""
    rows = np.argwhere(mask.any(axis=-1))
    kept = mask[tuple(rows.T)]
    ends = kept.argmax(axis=-1), mask.shape[-1] - 1 - kept[:, ::-1].argmax(axis=-1)
    return np.concatenate([np.column_stack([rows, end]) for end in ends])


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


def nearest_component(mask: Mask, seed: Index, min_share: float) -> Mask:
    """The component nearest to the seed among those with a share of the largest one's size."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    places = np.flatnonzero(labels)
    label = labels.ravel()[places]
    distance = np.full(count + 1, np.inf)
    np.minimum.at(distance, label, squared_distance(mask.shape, seed).ravel()[places])
    sizes = np.bincount(label, minlength=count + 1)
    distance[sizes < min_share * sizes.max()] = np.inf
    return np.asarray(labels == int(np.argmin(distance)))


def open_at(mask: Mask, seed: Index) -> Mask:
    """Cut what is thinner than about half the nodule; keep the part nearest to the seed."""
    seed = _nearest_place(mask, seed)
    box = around(mask, 0)
    part = np.pad(mask[box], 1)
    local = tuple(int(i - s.start + 1) for i, s in zip(seed, box, strict=True))
    depth = ndimage.distance_transform_edt(part)
    radius = OPENING_OF_RADIUS * _inscribed_radius(depth, local)
    core = nearest_component(depth > radius, local, min_share=0.0)
    near = around(core, int(np.ceil(radius)) + 2)
    opened = np.zeros_like(part)
    opened[near] = part[near] & (ndimage.distance_transform_edt(~core[near]) <= radius + 1)
    result = np.zeros_like(mask)
    result[box] = opened[1:-1, 1:-1, 1:-1]
    return result


def _nearest_place(mask: Mask, seed: Index) -> Index:
    """The seed, or the nearest place of a mask that does not hold it."""
    if mask[seed]:
        return seed
    places = np.argwhere(mask)
    return tuple(int(i) for i in places[np.argmin(((places - seed) ** 2).sum(axis=1))])


def squared_distance(shape: tuple[int, ...], point: tuple[float, ...]) -> NDArray[np.float64]:
    """Squared distance in voxels of every voxel from a point."""
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    return np.asarray(sum((axis - p) ** 2 for axis, p in zip(axes, point, strict=True)), np.float64)


def _inscribed_radius(depth: NDArray[np.float64], seed: Index) -> float:
    """Climb from the seed to the nearest maximum of the depth: the largest ball around it."""
    place = np.array(seed)
    while True:
        low = np.maximum(place - 2, 0)
        window = depth[tuple(slice(a, b) for a, b in zip(low, place + 3, strict=True))]
        step = np.array(np.unravel_index(int(np.argmax(window)), window.shape)) + low
        if depth[tuple(step)] <= depth[tuple(place)]:
            return float(depth[tuple(place)])
        place = step
