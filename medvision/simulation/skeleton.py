"""Ribs, breastbone, shoulder girdle as tubes; the spine as a signed distance. Patient's LPS mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.simulation.shapes import EXPONENT, Coordinates, Field, smooth_union
from medvision.simulation.thorax import (
    RIB_DROP_MM,
    RIB_PITCH_MM,
    Thorax,
    half_axes,
    spine_center,
)
from medvision.simulation.tubes import Tubes, join, polyline

RIBS = 12
RIB_OUTSIDE_MM = 6.0
VERTEBRA_MM = 23.0


@dataclass(frozen=True)
class Skeleton:
    """Bones as tubes.

    Attributes:
        bones: outer surfaces.
        cartilage: costal cartilage.
        rib_ends_mm: (n, 3) front ends of the bony ribs.
    """

    bones: Tubes
    cartilage: Tubes
    rib_ends_mm: NDArray[np.float64]


def build_skeleton(thorax: Thorax) -> Skeleton:
    """Bones that fit a chest."""
    ribs = [_rib(thorax, number, side) for number in range(RIBS) for side in (-1, 1)]
    bones = [_oval(points, 2.6, 3.2) for points, _ in ribs]
    bones += [_breastbone(thorax), *(_shoulder(thorax, side) for side in (-1, 1))]
    cartilage = [_oval(gristle, 3.4, 2.5) for _, gristle in ribs if len(gristle)]
    ends = np.stack([points[-1] for points, _ in ribs])
    return Skeleton(join(bones), join(cartilage), ends)


def _rib(thorax: Thorax, number: int, side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points along the middle of a rib and of its cartilage, patient's mm."""
    reach = 0.8 if number < 8 else 0.8 - 0.12 * (number - 7)
    angle = np.linspace(0.1, 0.92 if number < 7 else reach, 48) * np.pi
    around = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / EXPONENT)
    top = 106 - RIB_PITCH_MM * number
    z = top - RIB_DROP_MM * (1 - around) / 2
    width, depth, middle = half_axes(z)
    x = side * (width + RIB_OUTSIDE_MM) * np.abs(np.sin(angle)) ** (2 / EXPONENT)
    y = middle + (depth + RIB_OUTSIDE_MM) * around
    rise = np.maximum(angle / np.pi - reach, 0) * 130
    points = thorax.place(np.stack([x, y, z + rise], axis=1))
    bony = angle <= reach * np.pi
    return points[bony], points[~bony] if number < 7 else points[:0]


def _oval(points: NDArray[np.float64], radius: float, half_gap: float) -> Tubes:
    """Two tubes side by side, one above the other: an oval section."""
    up = np.array([0.0, 0.0, half_gap])
    radii = np.full(len(points), radius)
    return join([polyline(points + up, radii), polyline(points - up, radii), polyline(points, radii)])


def _plate(left: NDArray[np.float64], right: NDArray[np.float64], radius: float, bars: int) -> Tubes:
    """A plate of parallel bars between two chains of points."""
    share = np.linspace(0, 1, bars)[:, None, None]
    chains = left[None] * (1 - share) + right[None] * share
    return join([polyline(chain, np.full(len(chain), radius)) for chain in chains])


def _breastbone(thorax: Thorax) -> Tubes:
    z = np.array([62.0, 48.0, 30.0, 0.0, -40.0, -70.0])
    half = np.array([22.0, 24.0, 13.0, 13.0, 16.0, 8.0])
    _, depth, middle = half_axes(z)
    y = middle - depth - 8
    left, right = np.stack([-half, y, z], axis=1), np.stack([half, y, z], axis=1)
    return _plate(thorax.place(left), thorax.place(right), 4.6, 14)


def _shoulder(thorax: Thorax, side: int) -> Tubes:
    """Shoulder blade, collar bone and the head of the humerus of raised arms."""
    medial = np.array([[88.0, 104, 88], [92, 108, 40], [104, 104, -10], [112, 98, -40]])
    lateral = np.array([[140.0, 84, 92], [138, 88, 50], [128, 92, 5], [118, 96, -36]])
    ridge = np.array([[92.0, 112, 72], [120, 112, 92], [150, 90, 112]])
    collar = np.array([[24.0, -62, 66], [70, -58, 92], [110, -20, 112], [146, 30, 122]])
    head = np.array([[158.0, 60, 112], [168, 50, 150], [172, 40, 200]])
    mirror = np.array([side, 1, 1])
    return join(
        [
            _plate(thorax.place(medial * mirror), thorax.place(lateral * mirror), 2.0, 26),
            polyline(thorax.place(ridge * mirror), np.array([3.5, 4, 5])),
            polyline(thorax.place(collar * mirror), np.array([7.0, 5.5, 5.5, 6])),
            polyline(thorax.place(head * mirror), np.array([22.0, 15, 12])),
        ]
    )


def spine_distance(thorax: Thorax, at: Coordinates) -> Field:
    """Distance to the vertebrae (discs left out)."""
    x, y, z = thorax.reference(at)
    back = y - spine_center(z)
    phase = (z / VERTEBRA_MM) % 1
    height = np.abs(phase - 0.5) * VERTEBRA_MM
    waist = 15.5 + 2.2 * (2 * np.abs(phase - 0.5)) ** 2
    body = np.maximum(np.sqrt(x**2 + (back * 1.12) ** 2) - waist, height - 9.3)
    ring = np.abs(np.sqrt(x**2 + ((back - 23) * 1.1) ** 2) - 11.5) - 3.0
    arch = np.maximum(np.maximum(ring, 10 - back), height - 8)
    wings = (
        np.sqrt((np.abs(x) * 0.35 - 4.5) ** 2 + (back - 19 - 0.25 * np.abs(x)) ** 2 + (height - 2) ** 2) - 5
    )
    wings = np.maximum(wings, np.abs(x) - 33)
    slope = z + 0.8 * (back - 30)
    thorn_height = np.abs((slope / VERTEBRA_MM) % 1 - 0.5) * VERTEBRA_MM
    thick = 2.4 + 1.6 * np.clip((back - 40) / 14, 0, 1)
    thorn = np.maximum(np.abs(x) - thick, np.maximum(np.abs(back - 43) - 12, thorn_height - 8))
    return smooth_union(smooth_union(body, arch, 4), np.minimum(wings, thorn), 4)


def disc_distance(thorax: Thorax, at: Coordinates) -> Field:
    """Distance to the column that vertebral bodies and discs form together."""
    x, y, z = thorax.reference(at)
    return np.asarray(np.sqrt(x**2 + ((y - spine_center(z)) * 1.12) ** 2) - 16)
