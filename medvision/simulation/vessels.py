"""Branching, tapering trees: pulmonary arteries, veins and airways.

Radii obey Murray's law (Proc Natl Acad Sci 1926): the cube of a parent's radius is the sum of its children's.
Whole-lung trees fill their territory by repeated halving of the points to be supplied (Tawhai et al., Ann
Biomed Eng 2000); local trees for small scenes branch at random.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.geometry import Affine
from medvision.simulation.nodules import Image
from medvision.simulation.tubes import Tubes, add_coverage, join

Points = NDArray[np.float64]

VESSEL_HU = 40.0
"""Unenhanced blood."""
MURRAY = 3.2
SMALLEST_RADIUS_MM = 0.3
REACH = (0.3, 0.46)
"""Length of a branch as a share of the way to the middle of what it supplies."""
PERSISTENCE = 0.55
FORWARD = 0.6
"""How much less the width of a territory counts along its branch than across."""
UNEVEN = 0.7
"""Largest shift of a split from the middle, in standard deviations."""
"""How much of its parent's direction a branch keeps."""


def add_vessels(hu: Image, affine: Affine, vessels: Tubes, vessel_hu: float = VESSEL_HU) -> None:
    """Paint vessels in place, with partial volume; denser tissue that is already there stays.

    Args:
        hu: image in HU, slice, row, column order.
        affine: index to LPS mm of a regular orthogonal grid.
        vessels: tubes in LPS mm.
        vessel_hu: HU of the blood.
    """
    coverage = np.zeros(hu.shape, np.float32)
    add_coverage(coverage, affine, vessels)
    hu += coverage * np.maximum(np.float32(vessel_hu) - hu, 0)


def sample_tree(
    rng: np.random.Generator,
    start_mm: Points,
    direction: Points,
    radius_mm: float,
    *,
    smallest_mm: float = SMALLEST_RADIUS_MM,
    most: int = 400,
) -> Tubes:
    """Grow a tree at random from a root, for a small scene.

    Args:
        rng: source of randomness.
        start_mm: (3,) where the root begins, LPS mm.
        direction: (3,) where it points.
        radius_mm: radius of the root.
        smallest_mm: branches thinner than this end.
        most: stop growing beyond this number of branches.
    """
    tips, ways = np.atleast_2d(start_mm), np.atleast_2d(direction / np.linalg.norm(direction))
    radii = np.array([radius_mm])
    parts: list[Tubes] = []
    count = 0
    while len(tips) and count < most:
        ends, ways, branches = _grow(rng, tips, ways, radii)
        parts.append(branches)
        count += len(tips)
        tips, ways, radii = _fork(rng, ends, ways, branches.end_radius_mm[-len(ends) :], smallest_mm)
    return join(parts)


@dataclass(frozen=True)
class Territory:
    """What a filling tree supplies.

    Attributes:
        root_mm: (3,) where the tree enters, LPS mm.
        direction: (3,) where its first branch points.
        points_mm: (n, 3) ends of the smallest branches, LPS mm.
    """

    root_mm: Points
    direction: Points
    points_mm: Points


def fill_tree(rng: np.random.Generator, territory: Territory, end_radius_mm: float) -> Tubes:
    """Grow a tree that reaches every point of a territory.

    Args:
        rng: source of randomness.
        territory: root and points.
        end_radius_mm: radius of the smallest branches; the others follow from how many points they supply.
    """
    points = territory.points_mm
    group = np.zeros(len(points), np.intp)
    tips, ways = territory.root_mm[None], _unit(territory.direction[None])
    parts: list[Tubes] = []
    while len(points):
        size = np.bincount(group, minlength=len(tips))
        parts.append(_supply_single(points, group, size, tips, ways, end_radius_mm))
        many = size[group] > 1
        points, group = points[many], np.unique(group[many], return_inverse=True)[1]
        tips, ways = tips[size > 1], ways[size > 1]
        if len(points):
            points, group, tips, ways, branches = _halve(rng, points, group, tips, ways, end_radius_mm)
            parts.append(branches)
    return join(parts)


def _unit(vectors: Points) -> Points:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))


def _across(rng: np.random.Generator, ways: Points) -> Points:
    """Random unit vectors at right angles to (n, 3) unit vectors."""
    loose = rng.standard_normal(ways.shape)
    return _unit(loose - (loose * ways).sum(axis=1, keepdims=True) * ways)


def _grow(
    rng: np.random.Generator, tips: Points, ways: Points, radii: Points
) -> tuple[Points, Points, Tubes]:
    """Grow one slightly bent branch from each tip, in two pieces."""
    length = np.clip(radii * rng.uniform(4, 10, len(radii)), 4, 30)[:, None]
    bent = _unit(ways + rng.normal(0, 0.2, ways.shape))
    middle = tips + ways * length / 2
    ends = middle + bent * length / 2
    half, thin = radii * 0.97, radii * 0.94
    first = Tubes(tips, middle, radii, half)
    return ends, bent, join([first, Tubes(middle, ends, half, thin)])


def _fork(
    rng: np.random.Generator, ends: Points, ways: Points, radii: Points, smallest_mm: float
) -> tuple[Points, Points, Points]:
    """Two children for each branch: the thicker one keeps more of the direction."""
    share = rng.uniform(0.5, 0.9, len(radii))
    side = _across(rng, ways)
    thick, thin = radii * share ** (1 / MURRAY), radii * (1 - share) ** (1 / MURRAY)
    wide = rng.uniform(0.4, 0.9, len(radii))[:, None]
    straight = _unit(ways + side * wide * (1 - share)[:, None])
    aside = _unit(ways - side * (wide + share[:, None] - 0.5))
    radii = np.concatenate([thick, thin])
    kept = radii >= smallest_mm
    return np.tile(ends, (2, 1))[kept], np.concatenate([straight, aside])[kept], radii[kept]


def _radius(size: NDArray[np.intp], end_radius_mm: float) -> Points:
    return np.asarray(end_radius_mm * size ** (1 / MURRAY))


def _curved(tips: Points, ways: Points, ends: Points, start_radius: Points, end_radius: Points) -> Tubes:
    """Two pieces a branch, leaving along `ways` and bending towards `ends` (quadratic Bézier curve)."""
    length = np.linalg.norm(ends - tips, axis=1, keepdims=True)
    control = tips + ways * length * 0.35
    middle = tips / 4 + control / 2 + ends / 4
    between = (start_radius + end_radius) / 2
    return join([Tubes(tips, middle, start_radius, between), Tubes(middle, ends, between, end_radius)])


def _supply_single(
    points: Points, group: NDArray[np.intp], size: NDArray[np.intp], tips: Points, ways: Points, radius: float
) -> Tubes:
    """Last branches: from each tip that has one point left to that point."""
    last = size[group] == 1
    owner = group[last]
    radii = np.full(len(owner), radius)
    return _curved(tips[owner], ways[owner], points[last], radii, radii * 0.6)


def _halve(
    rng: np.random.Generator,
    points: Points,
    group: NDArray[np.intp],
    tips: Points,
    ways: Points,
    end_radius_mm: float,
) -> tuple[Points, NDArray[np.intp], Points, Points, Tubes]:
    """Split each group of points across its widest direction and send a branch towards each half."""
    side = _side(rng, points, group, ways)
    child = 2 * group + side
    size = np.bincount(child, minlength=2 * len(tips))
    center = _means(points, child, size)
    parent = np.arange(2 * len(tips)) // 2
    reach = rng.uniform(*REACH, (2 * len(tips), 1))
    aim = center - tips[parent]
    length = np.linalg.norm(aim, axis=1, keepdims=True)
    ends = tips[parent] + _unit(_unit(aim) + ways[parent] * PERSISTENCE) * length * reach
    used = size > 0
    parents = np.bincount(parent, weights=size).astype(np.intp)
    start = np.minimum(_radius(parents, end_radius_mm)[parent], _radius(size, end_radius_mm) * 1.15)
    branches = _curved(tips[parent], ways[parent], ends, start, _radius(size, end_radius_mm))
    leaving = _unit(_unit(ends - tips[parent]) * 1.25 - ways[parent] * 0.25)
    renumber = np.cumsum(used) - 1
    kept = np.tile(used, 2)
    return points, renumber[child], ends[used], leaving[used], branches.take(kept)


def _means(points: Points, group: NDArray[np.intp], size: NDArray[np.intp]) -> Points:
    sums = [np.bincount(group, points[:, k], minlength=len(size)) for k in range(3)]
    return np.stack(sums, axis=1) / np.maximum(size, 1)[:, None]


def _side(
    rng: np.random.Generator, points: Points, group: NDArray[np.intp], ways: Points
) -> NDArray[np.intp]:
    """0 or 1 for each point: which child of its branch supplies it.

    Groups are split across their widest direction, seldom in equal parts. Width along the branch counts less,
    so that children go on rather than turn back.
    """
    groups = len(ways)
    centered = points - _means(points, group, np.bincount(group, minlength=groups))[group]
    along = (centered * ways[group]).sum(axis=1, keepdims=True)
    centered = centered - FORWARD * along * ways[group]
    spread = np.empty((groups, 3, 3))
    for i in range(3):
        for j in range(3):
            spread[:, i, j] = np.bincount(group, centered[:, i] * centered[:, j], minlength=groups)
    widest = np.linalg.eigh(spread)[1][:, :, 2]
    place = (centered * widest[group]).sum(axis=1)
    width = np.sqrt(np.bincount(group, place**2, minlength=groups) / np.bincount(group, minlength=groups))
    limit = width * rng.uniform(-UNEVEN, UNEVEN, groups)
    return np.asarray(place > limit[group], np.intp)
