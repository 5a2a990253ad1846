"""Simulated nodules in the parenchyma of patches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medvision.simulation.nodules import add_nodule, sample_nodule
from medvision.training.proposal_targets import NOTHING, Image, Marks

PARENCHYMA_HU = (-980.0, -600.0)
"""Simulated nodules are put where the image shows lung."""


def insert_nodules(
    hu: Image, there: Marks, mean_count: float, voxel_mm: float, random: np.random.Generator
) -> Marks:
    """Paint nodules into a patch, none on top of another or of what is there.

    Args:
        hu: (E, E, E), changed in place.
        there: what must not be covered.
        mean_count: of the nodules, whose number is drawn.
        voxel_mm: of the patch.
        random: source of randomness.

    Returns:
        What was painted.
    """
    affine = np.diag([voxel_mm] * 3 + [1.0])[:, [2, 1, 0, 3]]
    lung = np.flatnonzero((hu > PARENCHYMA_HU[0]) & (hu < PARENCHYMA_HU[1]))
    painted = NOTHING
    for _ in range(random.poisson(mean_count) if len(lung) else 0):
        center = np.array(np.unravel_index(random.choice(lung), hu.shape), dtype=np.float64)
        center += random.uniform(-0.5, 0.5, 3)
        x, y, z = (affine[:3, :3] @ center).tolist()
        nodule = sample_nodule(random, (x, y, z))
        if _is_free(center * voxel_mm, nodule.diameter_mm / 2, there.and_also(painted), voxel_mm):
            add_nodule(hu, affine, nodule)
            painted = painted.and_also(Marks(center[None], np.array([nodule.diameter_mm / 2])))
    return painted


def _is_free(center_mm: NDArray[np.float64], radius_mm: float, there: Marks, voxel_mm: float) -> bool:
    distances = np.linalg.norm(there.centers_vox * voxel_mm - center_mm, axis=1)
    return bool((distances > radius_mm + there.radii_mm).all())
