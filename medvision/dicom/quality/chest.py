"""Air, body and lungs on a coarse sample of a scan, found within milliseconds with numpy alone.

This is for judging a scan, not for measuring one: `preprocessing.lungs` makes the mask a detector uses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.dicom.pixels import AIR_HU
from medvision.geometry import Affine, spacing_mm

COARSE_MM = 6.0
"""Spacing of the sample, as near as whole voxels come."""
TISSUE_HU = -400
"""Half-way between lung and soft tissue."""
PARENCHYMA_HU = (-975, -500)
"""Lung with its noise; gas of trachea and bowel lies below, vessels and walls above."""
MIN_LUNG_ML = 300.0
"""Less than this, both sides together, is no lung of an adult, however deep the expiration."""
MIN_LEVELS = 8
"""In fewer slices of the sample (48 mm) nothing can be said of a chest."""
AIRWAY_CM2 = 10.0
"""A trachea measures some 3 cm² across, both main bronchi with the bifurcation some 8."""
PAD_SHARE, BEYOND_THE_CIRCLE = 0.995, 1.03
"""So much of what lies outside the inscribed circle (radius 1) is padding where a picture is round."""

Mask = NDArray[np.bool_]
Hu = NDArray[np.int16]
Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Chest:
    """A coarse sample of a scan, axes turned to run from feet to head, front to back, right to left.

    Attributes:
        fine: the whole scan, turned the same way (a view, no copy).
        fine_mm: its spacing.
        index: places of the sample in `fine`, along each axis; the first and last voxel are among them.
        hu: the sample.
        step_mm: its spacing.
        picture: rows × columns: inside the reconstructed circle, or everywhere where there is none.
        enclosed: air that does not reach the edge of its axial picture: lungs, airways, bowel.
        lungs: both lungs, with the vessels left out; empty where there are none.
    """

    fine: Hu
    fine_mm: Vector
    index: tuple[NDArray[np.int64], ...]
    hu: Hu
    step_mm: Vector
    picture: Mask
    enclosed: Mask
    lungs: Mask

    @property
    def found(self) -> bool:
        """Whether there are lungs."""
        return bool(self.lungs.any())

    @property
    def area_cm2(self) -> Vector:
        """Lung in each slice of the sample, from feet to head."""
        return np.asarray(self.lungs.sum(axis=(1, 2)) * self.step_mm[1] * self.step_mm[2] / 100)

    @property
    def levels(self) -> range:
        """Slices of the sample with more lung than an airway is wide; empty without lungs."""
        levels = np.flatnonzero(self.area_cm2 > AIRWAY_CM2)
        return range(int(levels[0]), int(levels[-1]) + 1) if levels.size else range(0)

    @property
    def middle(self) -> int:
        """Column of the sample half-way between the lungs' outer borders."""
        columns = np.flatnonzero(self.lungs.any(axis=(0, 1)))
        return round(float(columns[0] + columns[-1]) / 2)

    def patches(self, places: NDArray[np.int64], radius_mm: float) -> Hu:
        """The fine voxels around some places of the sample, in their axial plane.

        Args:
            places: n × 3 indices of the sample.
            radius_mm: half the side of a patch.

        Returns:
            n × side × side HU.
        """
        reach = np.maximum(1, np.rint(radius_mm / self.fine_mm[1:]).astype(int))
        center = [axis[places[:, k]] for k, axis in enumerate(self.index)]
        rows = center[1][:, None] + np.arange(-reach[0], reach[0] + 1)
        columns = center[2][:, None] + np.arange(-reach[1], reach[1] + 1)
        rows, columns = (
            np.clip(x, 0, n - 1) for x, n in zip((rows, columns), self.fine.shape[1:], strict=True)
        )
        return np.asarray(self.fine[center[0][:, None, None], rows[:, :, None], columns[:, None, :]])


def find_chest(hu: Hu, affine: Affine) -> Chest:
    """Sample a scan and find air and lungs.

    Args:
        hu: int16, slices × rows × columns, any orientation.
        affine: index to LPS mm.
    """
    fine, fine_mm = turn(hu, affine)
    index = tuple(_places(n, mm) for n, mm in zip(fine.shape, fine_mm, strict=True))
    sample = fine[np.ix_(*index)]
    spans = [max(len(axis) - 1, 1) for axis in index]
    step_mm = fine_mm * np.array([axis[-1] for axis in index]) / spans
    step_mm = np.where(step_mm > 0, step_mm, fine_mm)
    picture = _picture(sample)
    air = sample < TISSUE_HU
    enclosed = air & ~_from_the_edge(air, picture)
    lungs = _lungs(sample, enclosed, step_mm)
    return Chest(fine, fine_mm, index, sample, step_mm, picture, enclosed, lungs)


def turn(hu: Hu, affine: Affine) -> tuple[Hu, Vector]:
    """A view whose axes run, as nearly as whole turns allow, along LPS z, y and x; and its spacing in mm."""
    directions = np.asarray(affine, np.float64)[:3, :3] / spacing_mm(affine)
    axes: list[int] = []
    signs: list[int] = []
    for world in (2, 1, 0):
        strength = np.abs(directions[world]).copy()
        strength[axes] = -1
        axes.append(int(np.argmax(strength)))
        signs.append(-1 if directions[world, axes[-1]] < 0 else 1)
    view = hu.transpose(axes)[tuple(slice(None, None, sign) for sign in signs)]
    return view, np.array(spacing_mm(affine))[axes]


def _places(size: int, spacing: float) -> NDArray[np.int64]:
    """Evenly spread indices, the first and the last among them."""
    count = max(2, round((size - 1) * spacing / COARSE_MM) + 1)
    return np.unique(np.rint(np.linspace(0, size - 1, count)).astype(np.int64))


def _picture(sample: Hu) -> Mask:
    """Inside the circle where scanners reconstruct one, else the whole square."""
    y, x = (np.linspace(-1, 1, n) for n in sample.shape[1:])
    radius = np.hypot(y[:, None], x[None, :])
    corners = radius > BEYOND_THE_CIRCLE
    if not corners.any() or float((sample[:, corners] == AIR_HU).mean()) < PAD_SHARE:
        return np.ones_like(corners)
    return np.asarray(radius <= 1)


def _from_the_edge(air: Mask, picture: Mask) -> Mask:
    """Air that reaches the edge of its axial picture."""
    start = air & ~picture
    start[:, [0, -1]], start[:, :, [0, -1]] = air[:, [0, -1]], air[:, :, [0, -1]]
    return spread(start, air, axes=(1, 2))


def spread(start: Mask, within: Mask, axes: tuple[int, ...]) -> Mask:
    """All of a mask that hangs together with a part of it, by sweeps to and fro until nothing changes."""
    reached, count = start & within, -1
    along = {axis: np.ascontiguousarray(np.moveaxis(within, axis, 0)) for axis in axes}
    while (now := int(np.count_nonzero(reached))) != count:
        count = now
        for axis, free in along.items():
            swept = np.ascontiguousarray(np.moveaxis(reached, axis, 0))
            for k in range(1, len(swept)):
                swept[k] |= swept[k - 1] & free[k]
            for k in range(len(swept) - 2, -1, -1):
                swept[k] |= swept[k + 1] & free[k]
            reached = np.moveaxis(swept, 0, axis)
    return reached


def _lungs(sample: Hu, enclosed: Mask, step_mm: Vector) -> Mask:
    """Enclosed air that hangs together with the heart of either side's parenchyma."""
    low, high = PARENCHYMA_HU
    parenchyma = enclosed & (sample > low) & (sample < high)
    core = parenchyma.copy()
    for axis in (0, 1, 2):
        core &= np.roll(parenchyma, 1, axis) & np.roll(parenchyma, -1, axis)
    start = np.zeros_like(core)
    for side in (slice(None, core.shape[2] // 2), slice(core.shape[2] // 2, None)):
        half = core[:, :, side]
        if half.any():
            fullest = int(np.argmax(half.sum(axis=(1, 2))))
            start[fullest, :, side] = half[fullest]
    lungs = spread(start, enclosed, axes=(2, 1, 0))
    enough = np.count_nonzero(lungs & parenchyma) * float(np.prod(step_mm)) / 1000 >= MIN_LUNG_ML
    area_cm2 = float(step_mm[1] * step_mm[2]) / 100
    tall = bool((lungs.sum(axis=(1, 2)) * area_cm2 > AIRWAY_CM2).sum() >= MIN_LEVELS)
    return lungs if enough and tall else np.zeros_like(lungs)
