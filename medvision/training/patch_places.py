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
        volumes: the patients, each as likely as its weight says.
        size_vox: of a patch, along the axes of the volumes.
        nodule_fraction: share of the patches around a nodule.
    """

    def __init__(
        self, volumes: Sequence[TrainingVolume], size_vox: Sequence[int], nodule_fraction: float
    ) -> None:
        self.nodule_fraction = nodule_fraction
        self.size_vox = np.array(size_vox)
        self.everyone = _Lot(volumes)
        self.with_nodules = _Lot([volume for volume in volumes if len(volume.radii_mm)])

    def draw(self, random: np.random.Generator) -> tuple[TrainingVolume, NDArray[np.int64]]:
        """The patient, and the first corner of the patch in its voxels."""
        near_nodule = bool(self.with_nodules.volumes) and random.random() < self.nodule_fraction
        volume = (self.with_nodules if near_nodule else self.everyone).draw(random)
        if near_nodule:
            center = random.choice(volume.centers_vox) + random.uniform(-JITTER, JITTER, 3) * self.size_vox
        else:
            center = volume.random_lung_voxel(random)
        return volume, np.rint(center - self.size_vox / 2).astype(np.int64)


class _Lot:
    """Patients to draw from, by their weights."""

    def __init__(self, volumes: Sequence[TrainingVolume]) -> None:
        self.volumes = volumes
        weights = np.array([volume.weight for volume in volumes])
        self.shares = weights / weights.sum() if len(weights) else weights

    def draw(self, random: np.random.Generator) -> TrainingVolume:
        return self.volumes[int(random.choice(len(self.volumes), p=self.shares))]
