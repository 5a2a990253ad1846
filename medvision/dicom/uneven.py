"""Slices that lie between those of the grid: every grid slice is interpolated between its neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EXACT_VOX = 1e-3
"""A slice so close to one of the grid is taken as it is."""


def interpolate_slices(
    hu: NDArray[np.int16], places_vox: NDArray[np.float64], n_slices: int
) -> NDArray[np.int16]:
    """Interpolate linearly along the first axis.

    Args:
        hu: slices as they were acquired × rows × columns.
        places_vox: where each lies, in grid slices, ascending.
        n_slices: of the grid, 0 to n_slices − 1.

    Returns:
        int16, n_slices × rows × columns; beyond the last slice its values are repeated.
    """
    grid = np.empty((n_slices, *hu.shape[1:]), np.int16)
    for k in range(n_slices):
        above = int(np.clip(np.searchsorted(places_vox, k), 1, len(hu) - 1))
        low, high = places_vox[above - 1], places_vox[above]
        share = np.float32(np.clip((k - low) / (high - low), 0, 1))
        if share * (high - low) < EXACT_VOX:
            grid[k] = hu[above - 1]
        elif (1 - share) * (high - low) < EXACT_VOX:
            grid[k] = hu[above]
        else:
            grid[k] = np.rint(hu[above - 1] * (1 - share) + hu[above] * share)
    return grid
