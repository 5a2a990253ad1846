"""Where training patches lie: around nodules, around the network's own false marks, anywhere in the lungs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medvision.training.volumes import TrainingVolume

JITTER = 0.3
"""The patch of a nodule or a false mark is centred off it by up to this share of its size along each axis."""


FalseMark = tuple[int, NDArray[np.float64]]
"""Number of a patient, and the mark's centre in its voxels."""


class PatchPlaces:
    """Draws a patient and the place of a patch in it.

    Args:
        volumes: the patients, each as likely as its weight says.
        size_vox: of a patch, along the axes of the volumes.
        nodule_fraction: share of the patches around a nodule.
        hard_fraction: share of the patches around a false mark, as soon as there are some.
    """

    def __init__(
        self,
        volumes: Sequence[TrainingVolume],
        size_vox: Sequence[int],
        nodule_fraction: float,
        hard_fraction: float = 0.0,
    ) -> None:
        self.volumes = volumes
        self.false_marks: Sequence[FalseMark] = ()
        self._mark_shares = np.zeros(0)
        self.nodule_fraction, self.hard_fraction = nodule_fraction, hard_fraction
        self.size_vox = np.array(size_vox)
        self.everyone = _Lot(volumes)
        self.with_nodules = _Lot([volume for volume in volumes if len(volume.radii_mm)])

    def draw(self, random: np.random.Generator) -> tuple[TrainingVolume, NDArray[np.int64]]:
        """The patient, and the first corner of the patch in its voxels."""
        kind = random.random()
        if self.with_nodules.volumes and kind < self.nodule_fraction:
            volume = self.with_nodules.draw(random)
            center = random.choice(volume.centers_vox) + self._jitter(random)
        elif self.false_marks and kind > 1 - self.hard_fraction:
            number, mark = self.false_marks[int(random.choice(len(self._mark_shares), p=self._mark_shares))]
            volume, center = self.volumes[number], mark + self._jitter(random)
        else:
            volume = self.everyone.draw(random)
            center = volume.random_lung_voxel(random)
        return volume, np.rint(center - self.size_vox / 2).astype(np.int64)

    def learn_false_marks(self, marks: Sequence[FalseMark]) -> None:
        """From now on, hard patches lie around these."""
        weights = np.array([self.volumes[number].weight for number, _ in marks])
        self.false_marks, self._mark_shares = marks, weights / weights.sum() if len(weights) else weights

    def _jitter(self, random: np.random.Generator) -> NDArray[np.float64]:
        jitter: NDArray[np.float64] = random.uniform(-JITTER, JITTER, 3) * self.size_vox
        return jitter


class _Lot:
    """Patients to draw from, by their weights."""

    def __init__(self, volumes: Sequence[TrainingVolume]) -> None:
        self.volumes = volumes
        weights = np.array([volume.weight for volume in volumes])
        self.shares = weights / weights.sum() if len(weights) else weights

    def draw(self, random: np.random.Generator) -> TrainingVolume:
        return self.volumes[int(random.choice(len(self.volumes), p=self.shares))]
