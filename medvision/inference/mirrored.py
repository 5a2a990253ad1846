"""How sure the detector is: the same scan looked at again in the mirror (test-time augmentation).

Training mirrors its patches, so a nodule should be one in the mirror, too. Where the answers differ, the
network is unsure (Wang et al. 2019, Neurocomputing 338:34, arXiv:1807.07356).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from medvision.geometry import Affine, lps_to_voxel
from medvision.inference.proposals import heat_map
from medvision.models.heatmap import MULTIPLE
from medvision.preprocessing.resample import Isotropic
from medvision.preprocessing.window import WINDOW_HU

LOOKS = 4
"""As it is, and mirrored along each axis."""

MIRRORED_VIEWS = {0: {1: 2, 2: 2}, 1: {0: 2, 2: 3}, 2: {0: 3, 1: 3}}
"""Axis of the grid (to head, back, left) → view (axial, coronal, sagittal) → its axis (2 rows, 3 columns)."""


def mirrored_heat(
    network: nn.Module,
    grid: Isotropic,
    centers_mm: NDArray[np.float64],
    device: str = "cpu",
    shrink: int = 1,
) -> Iterator[NDArray[np.float64]]:
    """What stage one says of each place when the scan is mirrored, axis by axis.

    Args:
        network: stage one.
        grid: isotropic HU of the lungs' box.
        centers_mm: (N, 3) LPS mm.
        device: where the network is.
        shrink: see `heat_map`.

    Yields:
        (N,) the highest probability within a voxel of the heat map from each place.
    """
    pads = [amount for n in reversed(grid.hu.shape) for amount in (0, -n % MULTIPLE)]
    whole = functional.pad(grid.hu, pads, value=WINDOW_HU[0])
    for axis in MIRRORED_VIEWS:
        heat, _ = heat_map(network, Isotropic(whole.flip(axis), grid.affine), device, shrink=shrink)
        yield _highest(np.flip(heat.probability, axis), heat.affine, centers_mm)


def mirrored_views(views: torch.Tensor) -> Iterator[torch.Tensor]:
    """The second look's views (N, 3, S, S) of the scan mirrored along each axis of its grid."""
    for flips in MIRRORED_VIEWS.values():
        mirrored = views.clone()
        for view, axis in flips.items():
            mirrored[:, view] = views[:, view].flip(axis - 1)
        yield mirrored


def _highest(
    heat: NDArray[np.float32], affine: Affine, centers_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    tensor = torch.from_numpy(np.ascontiguousarray(heat))[None, None]
    around = functional.max_pool3d(tensor, 3, stride=1, padding=1)[0, 0].numpy()
    index = np.rint(lps_to_voxel(affine, centers_mm)).astype(int)
    clipped = np.clip(index, 0, np.array(around.shape) - 1)
    return np.asarray(around[tuple(clipped.T)], np.float64)
