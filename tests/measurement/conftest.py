"""Analytic nodules: their size is known because they were drawn.

`draw` is a fixture that returns this module's shapes, so that test files need no import from each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

Shape = Callable[[NDArray[np.float64]], NDArray[np.bool_]]
"""Points in LPS mm, shape (…, 3), to inside or not."""

SUPERSAMPLES = 4
BLUR_MM = 0.5


def ellipsoid(semi_axes_mm, center_mm=(0.0, 0.0, 0.0)) -> Shape:
    return lambda p: (((p - np.array(center_mm)) / np.array(semi_axes_mm)) ** 2).sum(axis=-1) <= 1


def sphere(diameter_mm, center_mm=(0.0, 0.0, 0.0)) -> Shape:
    return ellipsoid([diameter_mm / 2] * 3, center_mm)


def half_space(axis, beyond_mm) -> Shape:
    return lambda p: p[..., axis] > beyond_mm


def cylinder(diameter_mm, axis) -> Shape:
    """Through the origin, along one axis."""
    across = [i for i in range(3) if i != axis]
    return lambda p: (p[..., across] ** 2).sum(axis=-1) <= (diameter_mm / 2) ** 2


@dataclass(frozen=True)
class Phantom:
    """Things of one HU each in lung, scanned with blur and noise."""

    things: list[tuple[Shape, float]]
    spacing_mm: tuple[float, float, float] = (1.0, 0.7, 0.7)
    noise_hu: float = 20.0
    lung_hu: float = -860.0
    size_mm: float = 46.0
    seed: int = 0

    def volume(self) -> hd.Volume:
        spacing = np.array(self.spacing_mm)
        shape = np.round(self.size_mm / spacing).astype(int)
        affine = np.zeros((4, 4))
        affine[[2, 1, 0], [0, 1, 2]] = spacing
        affine[:3, 3] = -(spacing * (shape - 1) / 2)[::-1]
        affine[3, 3] = 1
        hu = self._mean_hu(affine, shape)
        hu = ndimage.gaussian_filter(hu, [0, BLUR_MM / spacing[1], BLUR_MM / spacing[2]])
        hu += np.random.default_rng(self.seed).normal(0, self.noise_hu, hu.shape)
        return hd.Volume(np.rint(hu).astype(np.int16), affine, coordinate_system="PATIENT")

    def _mean_hu(self, affine, shape) -> NDArray[np.float64]:
        """Mean over each voxel's box: partial volume."""
        offsets = (np.arange(SUPERSAMPLES) + 0.5) / SUPERSAMPLES - 0.5
        total = np.zeros(shape)
        index = np.moveaxis(np.indices(shape), 0, -1)
        for dz in offsets:
            for dy, dx in ((a, b) for a in offsets[::2] for b in offsets[1::2]):
                points = (index + np.array([dz, dy, dx])) @ affine[:3, :3].T + affine[:3, 3]
                hu = np.full(shape, self.lung_hu)
                for shape_, value in self.things:
                    hu[shape_(points)] = value
                total += hu
        return total / (SUPERSAMPLES * (SUPERSAMPLES // 2) ** 2)


class Draw:
    """The shapes, and the phantom that scans them."""

    sphere = staticmethod(sphere)
    ellipsoid = staticmethod(ellipsoid)
    half_space = staticmethod(half_space)
    cylinder = staticmethod(cylinder)
    Phantom = Phantom


@pytest.fixture(scope="session")
def draw() -> type[Draw]:
    return Draw
