"""Linear interpolation from a coarse axial grid to a finer one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.geometry import Affine
from medvision.simulation.grids import Box, moved

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Interpolator:
    """Brings coarse fields to the slices, rows and columns of a finer grid.

    Attributes:
        coarse: affine of the fields, axial.
        shape: slices, rows, columns of the finer grid.
        affine: of the finer grid, axial.
    """

    coarse: Affine
    shape: tuple[int, int, int]
    affine: Affine

    def __call__(self, field: Image) -> Image:
        """Values of a coarse field on the finer grid; beyond its ends the last ones."""
        along_slices = self._along(field, 0)
        return self._along(self._along(along_slices, 1), 2)

    def part(self, box: Box) -> Interpolator:
        """The same for a part of the finer grid."""
        first = [side.start for side in box]
        shape = (box[0].stop - first[0], box[1].stop - first[1], box[2].stop - first[2])
        return Interpolator(self.coarse, shape, moved(self.affine, first))

    def _along(self, field: Image, axis: int) -> Image:
        row = 2 - axis
        step = float(self.coarse[row, axis])
        place = self.affine[row, 3] + np.arange(self.shape[axis]) * self.affine[row, axis]
        place = np.clip((place - self.coarse[row, 3]) / step, 0, field.shape[axis] - 1.001)
        low = place.astype(np.intp)
        share = (place - low).astype(np.float32).reshape([-1 if k == axis else 1 for k in range(3)])
        lower: Image = field.take(low, axis)
        upper = field.take(low + 1, axis)
        upper -= lower
        upper *= share
        lower += upper
        return lower
