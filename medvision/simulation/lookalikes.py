"""What looks like a nodule and is none, and other changes of the lung that readers meet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from medvision.findings import Point
from medvision.simulation.shapes import columns
from medvision.simulation.skeleton import VERTEBRA_MM, Skeleton
from medvision.simulation.thorax import Thorax, lung_distance, spine_center
from medvision.simulation.trees import Trees
from medvision.simulation.tubes import Tubes, join, polyline

LookalikeKind = Literal[
    "vessel_end_on",
    "bifurcation",
    "pleural_thickening",
    "rib_end",
    "osteophyte",
    "mucus_plug",
    "scar",
    "motion",
]
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Lookalike:
    """Something dense that is no nodule.

    Attributes:
        kind: what it is.
        center_lps_mm: where, LPS mm.
        size_mm: about how large.
        tubes: what is painted; empty for motion, which shifts the image around `center_lps_mm`.
        hu: of what is painted.
    """

    kind: LookalikeKind
    center_lps_mm: Point
    size_mm: float
    tubes: Tubes
    hu: float


def sample_lookalikes(
    rng: np.random.Generator, thorax: Thorax, trees: Trees, skeleton: Skeleton, pool: Points, blood_hu: float
) -> tuple[Lookalike, ...]:
    """Draw a patient's lookalikes: a few of each kind."""
    makers: dict[LookalikeKind, tuple[float, Callable[[], Lookalike]]] = {
        "vessel_end_on": (4, lambda: _vessel_end_on(rng, pool, blood_hu)),
        "bifurcation": (4, lambda: _bifurcation(rng, thorax, pool, blood_hu)),
        "pleural_thickening": (3, lambda: _pleural_thickening(rng, thorax, pool)),
        "rib_end": (3, lambda: _rib_end(rng, thorax, skeleton)),
        "osteophyte": (2, lambda: _osteophyte(rng, thorax)),
        "mucus_plug": (1.2, lambda: _mucus_plug(rng, trees)),
        "scar": (1.5, lambda: _scar(rng, thorax, pool)),
        "motion": (0.5, lambda: _motion(rng, thorax)),
    }
    found = []
    for kind in get_args(LookalikeKind):
        mean, make = makers[kind]
        found += [make() for _ in range(int(rng.poisson(mean)))]
    return tuple(found)


def _point(values: Points) -> Point:
    x, y, z = values.tolist()
    return x, y, z


def _pick(rng: np.random.Generator, points: Points) -> Points:
    return np.asarray(points[int(rng.integers(len(points)))])


def _unit(vector: Points) -> Points:
    return np.asarray(vector / np.linalg.norm(vector))


def _outward(thorax: Thorax, point: Points) -> tuple[float, Points]:
    """Distance to the pleura, and the direction in which it is nearest."""
    steps = point + np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)])
    distance = lung_distance(thorax, columns(steps))
    return float(distance[0]), _unit(distance[1:4] - distance[4:])


def _on_pleura(rng: np.random.Generator, thorax: Thorax, pool: Points) -> tuple[Points, Points]:
    """A point of the pleura and the direction out of the lung there."""
    point = _pick(rng, pool)
    for _ in range(8):
        distance, out = _outward(thorax, point)
        point = point - out * float(np.clip(distance, -15, 15))
    return point, out


def _vessel_end_on(rng: np.random.Generator, pool: Points, hu: float) -> Lookalike:
    middle, radius = _pick(rng, pool), float(rng.uniform(1.4, 3.4))
    way = _unit(np.array([0, 0, 1]) + rng.normal(0, 0.18, 3))
    half = rng.uniform(7, 14) * way
    bend = rng.normal(0, 2, (2, 3))
    chain = np.stack(
        [
            middle - half * 1.7 + bend[0],
            middle - half * 0.6,
            middle + half * 0.6,
            middle + half * 1.7 + bend[1],
        ]
    )
    return Lookalike(
        "vessel_end_on",
        _point(middle),
        2 * radius,
        polyline(chain, radius * np.array([0.6, 1, 0.95, 0.5])),
        hu,
    )


def _bifurcation(rng: np.random.Generator, thorax: Thorax, pool: Points, hu: float) -> Lookalike:
    """A fork near the pleura; the joint is thicker than its branches."""
    pool = rng.permutation(pool)[:200]
    depth = -lung_distance(thorax, columns(pool))
    near = pool[(depth > 5) & (depth < 22)]
    middle, radius = _pick(rng, near if len(near) else pool), float(rng.uniform(0.9, 2.2))
    out = _outward(thorax, middle)[1]
    side = _unit(np.cross(out, rng.standard_normal(3)))
    ends = [middle + (out * rng.uniform(0.3, 1) + side * sign) * rng.uniform(5, 12) for sign in (-1, 1)]
    root = middle - _unit(out + rng.normal(0, 0.3, 3)) * rng.uniform(12, 30)
    arms = [polyline(np.stack([middle, end]), np.array([radius * 1.1, radius * 0.55])) for end in ends]
    trunk = polyline(np.stack([root, middle]), np.array([radius * 1.1, radius * 1.3]))
    return Lookalike("bifurcation", _point(middle), 2.6 * radius, join([trunk, *arms]), hu)


def _pleural_thickening(rng: np.random.Generator, thorax: Thorax, pool: Points) -> Lookalike:
    """A flat plaque along the pleura, sometimes calcified."""
    middle, out = _on_pleura(rng, thorax, pool)
    way = _unit(np.cross(out, rng.standard_normal(3)))
    length, height = rng.uniform(6, 22), float(rng.uniform(1.5, 4))
    steps = np.linspace(-0.5, 0.5, 7)[:, None] * length * way
    bow = (1 - (2 * np.linspace(-0.5, 0.5, 7)) ** 2)[:, None]
    chain = middle + steps + out * (1.2 - bow * height * 0.3)
    radii = 0.8 + (height - 0.8) * bow[:, 0]
    hu = float(rng.choice([45.0, 55.0, 400.0], p=[0.5, 0.3, 0.2]))
    return Lookalike("pleural_thickening", _point(middle), float(length), polyline(chain, radii), hu)


def _rib_end(rng: np.random.Generator, thorax: Thorax, skeleton: Skeleton) -> Lookalike:
    """The calcified joint of a rib and its cartilage, bulging into the lung."""
    end = _pick(rng, skeleton.rib_ends_mm[:14])
    inwards = _unit(thorax.place(np.array([0.0, 0.0, end[2] / thorax.scale[2]])) - end)
    radius = float(rng.uniform(4, 7))
    chain = np.stack([end, end + inwards * rng.uniform(2, 6)])
    hu = float(rng.uniform(120, 380))
    return Lookalike(
        "rib_end", _point(chain[1]), 2 * radius, polyline(chain, np.array([radius, radius * 0.8])), hu
    )


def _osteophyte(rng: np.random.Generator, thorax: Thorax) -> Lookalike:
    """A spur at the edge of a vertebra, mostly on the right (the aorta lies on the left)."""
    side = 1.0 if rng.random() < 0.25 else -1.0
    z = VERTEBRA_MM * float(rng.integers(-5, 2))
    y = float(spine_center(np.array([z]))[0])
    root = np.array([side * 11, y - 8, z])
    tip = np.array([side * rng.uniform(18, 25), y - rng.uniform(5, 14), z + rng.uniform(-3, 3)])
    chain = thorax.place(np.stack([root, tip]))
    radius = float(rng.uniform(3, 5.5))
    tubes = polyline(chain, np.array([radius, radius * 0.8]))
    return Lookalike("osteophyte", _point(chain[1]), 2 * radius, tubes, float(rng.uniform(250, 500)))


def _mucus_plug(rng: np.random.Generator, trees: Trees) -> Lookalike:
    """Airways filled with mucus."""
    radii = trees.airways.end_radius_mm
    usual = np.flatnonzero((radii > 0.9) & (radii < 2.4))
    start = trees.airways.end_mm[int(rng.choice(usual))]
    near = np.linalg.norm(trees.airways.start_mm - start, axis=1) < rng.uniform(6, 14)
    plug = trees.airways.take(near & (radii < 2.4)).resized(1.15, 0.5)
    return Lookalike("mucus_plug", _point(start), 4.0, plug, float(rng.uniform(5, 35)))


def _scar(rng: np.random.Generator, thorax: Thorax, pool: Points) -> Lookalike:
    """Strands that run from the pleura into the lung."""
    foot, out = _on_pleura(rng, thorax, pool)
    strands = []
    for _ in range(int(rng.integers(1, 5))):
        way = _unit(-out + rng.normal(0, 0.7, 3))
        steps = np.linspace(0, rng.uniform(8, 35), 5)[:, None]
        chain = foot + steps * way + rng.normal(0, 0.8, (5, 3))
        strands.append(polyline(chain, np.linspace(1.6, 0.4, 5)))
    return Lookalike("scar", _point(foot - out * 6), 12.0, join(strands), float(rng.uniform(-60, 40)))


def _motion(rng: np.random.Generator, thorax: Thorax) -> Lookalike:
    """Double contours beside the beating heart."""
    (x, y, z), (rx, _, _) = thorax.mediastinum.heart
    place = thorax.place(
        np.array([x + rx * rng.uniform(0.7, 1.1), y + rng.uniform(0, 25), z + rng.uniform(-10, 20)])
    )
    return Lookalike("motion", _point(place), float(rng.uniform(25, 45)), join([]), 0.0)
