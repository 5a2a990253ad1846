"""Where training patches lie: around nodules, and anywhere in the lungs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medvision.training.volumes import TrainingVolume

JITTER = 0.3
"""A nodule's patch is centred off the nodule by up to this share of its size along each axis."""


class PatchPlaces:
    """Draws a patient and the place of a patch in it.

    Args:
        volumes: the patients, each as likely.
        size_vox: of a patch, along the axes of the volumes.
        nodule_fraction: share of the patches around a nodule.
    """

    def __init__(
        self, volumes: Sequence[TrainingVolume], size_vox: Sequence[int], nodule_fraction: float
    ) -> None:
        self.volumes, self.nodule_fraction = volumes, nodule_fraction
        self.size_vox = np.array(size_vox)
        self.with_nodules = [i for i, volume in enumerate(volumes) if len(volume.radii_mm)]

    def draw(self, random: np.random.Generator) -> tuple[TrainingVolume, NDArray[np.int64]]:
        """The patient, and the first corner of the patch in its voxels."""
        near_nodule = bool(self.with_nodules) and random.random() < self.nodule_fraction
        choice = self.with_nodules if near_nodule else range(len(self.volumes))
        volume = self.volumes[choice[int(random.integers(len(choice)))]]
        if near_nodule:
            center = random.choice(volume.centers_vox) + random.uniform(-JITTER, JITTER, 3) * self.size_vox
        else:
            center = volume.random_lung_voxel(random)
        return volume, np.rint(center - self.size_vox / 2).astype(np.int64)
