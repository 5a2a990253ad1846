"""An elliptic body with ellipsoid lungs, of known place and volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np

from medvision.geometry import voxel_to_lps


@dataclass(frozen=True)
class Ellipsoid:
    center_mm: tuple[float, float, float]
    half_axes_mm: tuple[float, float, float]

    @property
    def volume_mm3(self) -> float:
        return 4 / 3 * np.pi * float(np.prod(self.half_axes_mm))

    def holds(self, points_mm: np.ndarray) -> np.ndarray:
        return (((points_mm - self.center_mm) / self.half_axes_mm) ** 2).sum(axis=-1) < 1


RIGHT_LUNG = Ellipsoid((-70.0, 0.0, 0.0), (45.0, 60.0, 80.0))
LEFT_LUNG = Ellipsoid((70.0, 0.0, 0.0), (45.0, 60.0, 80.0))


def lungs_of(patient: int) -> tuple[Ellipsoid, Ellipsoid]:
    """Lungs of one patient's own place and size, some millimetres from the others'."""
    random = np.random.default_rng(patient)

    def own(lung: Ellipsoid) -> Ellipsoid:
        center = np.array(lung.center_mm) + random.uniform(-12, 12, 3)
        half_axes = np.array(lung.half_axes_mm) * random.uniform(0.8, 1.0, 3)
        return Ellipsoid(tuple(center.tolist()), tuple(half_axes.tolist()))

    return own(RIGHT_LUNG), own(LEFT_LUNG)


def hu_at(
    points_mm: np.ndarray,
    lungs: Sequence[Ellipsoid] = (RIGHT_LUNG, LEFT_LUNG),
    nodules: Sequence[tuple[tuple[float, float, float], float]] = (),
    *,
    bridge: bool = False,
) -> np.ndarray:
    """Soft tissue of 0 HU, lungs of −850 HU, air around; nodules are (centre, radius)."""
    x, y, z = np.moveaxis(points_mm, -1, 0)
    hu = np.full(points_mm.shape[:-1], -1000, dtype=np.int16)
    hu[(x / 140) ** 2 + (y / 95) ** 2 < 1] = 0
    for lung in lungs:
        hu[lung.holds(points_mm)] = -850
    if bridge:
        hu[(np.abs(x) < 40) & (np.abs(y) < 4) & (np.abs(z) < 4)] = -850
    for center, radius in nodules:
        hu[((points_mm - center) ** 2).sum(axis=-1) < radius**2] = 30
    return hu


def body(spacing_mm: float = 2.5, **content) -> hd.Volume:
    """The same on a grid that holds all of it; content as for `hu_at`."""
    half = np.array([100.0, 110.0, 160.0])
    shape = np.ceil(2 * half / spacing_mm).astype(int)
    affine = np.zeros((4, 4))
    affine[2, 0] = affine[1, 1] = affine[0, 2] = spacing_mm
    affine[:3, 3] = -half[::-1]
    affine[3, 3] = 1
    points = voxel_to_lps(affine, np.stack(np.indices(shape), axis=-1))
    return hd.Volume(hu_at(points, **content), affine, "PATIENT")
