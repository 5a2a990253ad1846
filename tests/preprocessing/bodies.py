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


def body(
    lungs: Sequence[Ellipsoid] = (RIGHT_LUNG, LEFT_LUNG),
    nodules: Sequence[tuple[tuple[float, float, float], float]] = (),
    *,
    bridge: bool = False,
    spacing_mm: float = 2.5,
) -> hd.Volume:
    """Soft tissue of 0 HU, lungs of −850 HU, air around; nodules are (centre, radius)."""
    half = np.array([100.0, 110.0, 160.0])
    shape = np.ceil(2 * half / spacing_mm).astype(int)
    affine = np.zeros((4, 4))
    affine[2, 0] = affine[1, 1] = affine[0, 2] = spacing_mm
    affine[:3, 3] = -half[::-1]
    affine[3, 3] = 1
    points = voxel_to_lps(affine, np.stack(np.indices(shape), axis=-1))
    hu = np.full(shape, -1000, dtype=np.int16)
    hu[(points[..., 0] / 140) ** 2 + (points[..., 1] / 95) ** 2 < 1] = 0
    for lung in lungs:
        hu[lung.holds(points)] = -850
    if bridge:
        hu[(np.abs(points[..., 0]) < 40) & (np.abs(points[..., 1]) < 4) & (np.abs(points[..., 2]) < 4)] = -850
    for center, radius in nodules:
        hu[((points - center) ** 2).sum(axis=-1) < radius**2] = 30
    return hd.Volume(hu, affine, "PATIENT")
