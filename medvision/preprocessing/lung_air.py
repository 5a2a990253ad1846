"""The air inside the body, and which pieces of it are lung."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medvision.preprocessing.shapes import erode, open_cross, planewise

AIR_HU = -400
"""Below it is lung or air (half-way between parenchyma and soft tissue)."""

MIN_LUNG_ML, MIN_LUNG_SHARE = 150.0, 0.12
"""Less air inside the body is no lung (lungs hold litres, a head's sinuses some 50 ml), except where
it is this share of the body: a small child, or a few slices."""

MIN_PART_ML, MIN_PART_SHARE = 20.0, 0.01
"""Smaller pieces of air (bowel gas, sinuses) are left out; of a small body, smaller than this share of it."""

MAX_LUNG_SHARE = 0.75
"""More of the body cannot be lung: even in the widest slices it is about half."""

GAS_HU, GAS_PERCENTILE = -880.0, 95
"""A piece hardly any place of which is denser holds gas without vessels: stomach, bowel."""

MAX_GAS_ML = 1000.0
"""More in one piece is lung however thin: destroyed lungs are large."""

LUNG_AT_EDGE_HU, LUNG_AT_EDGE_CM2 = -930.0, 10.0
"""Air that reaches the picture's edge is lung cut off there where it is as dense and as large as this."""

OPEN_MM = 4.0
"""Bridges are cut along axes whose voxels are not wider than this."""

Hu = NDArray[np.int16]
Mask = NDArray[np.bool_]
Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Air:
    """What holds air.

    Attributes:
        body: the largest piece of tissue, with everything it encloses.
        lungs: parenchyma; empty where there is none or too little.
        gas_ml: of large pieces without vessels.
        has_tissue: False where there is no body; then `body` covers everything.
    """

    body: Mask
    lungs: Mask
    gas_ml: float
    has_tissue: bool

    @property
    def share(self) -> float:
        """Lungs, of the body."""
        return float(self.lungs.sum() / self.body.sum())


def find_air(hu: Hu, spacing_mm: Vector) -> Air:
    """Tell body, lungs and gas apart.

    Args:
        hu: on a coarse grid; slices are axial.
        spacing_mm: of it.
    """
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    body = _body(hu, spacing_mm)
    if body is None:
        everything = np.ones(hu.shape, dtype=np.bool_)
        return Air(everything, ~everything, 0.0, has_tissue=False)
    body_ml = float(body.sum()) * voxel_ml
    air = _opened(body & (hu < AIR_HU), spacing_mm)
    lungs, gas_ml = _told_apart(hu, air, voxel_ml, min(MIN_PART_ML, MIN_PART_SHARE * body_ml))
    if lungs.sum() * voxel_ml < min(MIN_LUNG_ML, MIN_LUNG_SHARE * body_ml):
        lungs[:] = False
    return Air(body, lungs, gas_ml, has_tissue=True)


def _opened(mask: Mask, spacing_mm: Vector) -> Mask:
    return open_cross(mask, [axis for axis, step in enumerate(spacing_mm) if step <= OPEN_MM])


def _body(hu: Hu, spacing_mm: Vector) -> Mask | None:
    """The largest piece of tissue and what it encloses, slice by slice; so is lung that is cut off."""
    labels, count = ndimage.label(_opened(hu > AIR_HU, spacing_mm))
    if count == 0:
        return None
    tissue = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    pieces, reaches = planewise(~tissue)
    outside = reaches[pieces]
    return ~outside | _lung_at_edge(hu, outside, float(spacing_mm[1] * spacing_mm[2]) / 100)


def _lung_at_edge(hu: Hu, outside: Mask, voxel_cm2: float) -> Mask:
    """Large pieces outside of what is enclosed that are for the most part as dense as parenchyma.

    Padding, which is the same in all slices, is no part of the picture: lungs are cut off at its circle, too.
    """
    padding = (hu == hu.min()).all(axis=0)
    pieces, _ = planewise(outside & ~padding)
    parenchyma = (hu > LUNG_AT_EDGE_HU) & (hu < AIR_HU)
    sizes = np.bincount(pieces.ravel())
    like_lung = np.bincount(pieces[parenchyma], minlength=len(sizes)) > sizes / 2
    like_lung &= sizes * voxel_cm2 >= LUNG_AT_EDGE_CM2
    like_lung[0] = False
    return np.asarray(like_lung[pieces])


def _told_apart(hu: Hu, air: Mask, voxel_ml: float, least_ml: float) -> tuple[Mask, float]:
    """Large pieces of lung, and the volume of large pieces of gas, ml."""
    labels, count = ndimage.label(air)
    sizes_ml = np.bincount(labels.ravel(), minlength=count + 1) * voxel_ml
    boxes, keep, gas_ml = ndimage.find_objects(labels), np.zeros(count + 1, dtype=np.bool_), 0.0
    for label in 1 + np.flatnonzero(sizes_ml[1:] >= least_ml):
        box = boxes[label - 1]
        keep[label] = sizes_ml[label] > MAX_GAS_ML or not _is_gas(hu[box], labels[box] == label)
        gas_ml += 0.0 if keep[label] else float(sizes_ml[label])
    return np.asarray(keep[labels]), gas_ml


def _is_gas(hu: Hu, piece: Mask) -> bool:
    """Whether hardly any place inside a piece, smoothed over its neighbours, is denser than gas."""
    smooth = ndimage.uniform_filter(hu.astype(np.float32), 3)
    inner = erode(erode(np.pad(piece, 1)))[1:-1, 1:-1, 1:-1]
    values = smooth[inner if inner.any() else piece]
    return float(np.percentile(values, GAS_PERCENTILE)) < GAS_HU
