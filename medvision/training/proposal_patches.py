"""Patches for stage one: cut from patients, with simulated nodules added, augmented; and their targets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medvision.config.detection import ProposalConfig
from medvision.preprocessing.resample import normalise
from medvision.training.augmentation import Augmentation
from medvision.training.nodule_insertion import insert_nodules
from medvision.training.patch_places import PatchPlaces
from medvision.training.proposal_targets import Image, Marks, draw_target
from medvision.training.volumes import TrainingVolume
from medvision.training.voxels import cut_cube


class PatchDataset:
    """Item i is the same for the same seed, whoever asks for it.

    Args:
        volumes: the patients.
        config: patch size, shares.
        length: number of patches.
        seed: of everything that is drawn.
        augment: off for validation patches.
    """

    def __init__(
        self,
        volumes: Sequence[TrainingVolume],
        config: ProposalConfig,
        *,
        length: int,
        seed: int,
        augment: bool,
    ) -> None:
        self.config = config
        self.length, self.seed = length, seed
        self.augmentation = Augmentation() if augment else None
        self.places = PatchPlaces(volumes, (config.patch_vox,) * 3, config.nodule_fraction)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Image (1, E, E, E) and target (3, E/2, E/2, E/2), for a patch of edge E; see `draw_target`."""
        random = np.random.default_rng((self.seed, index))
        edge, voxel_mm = self.config.patch_vox, self.config.voxel_mm
        volume, corner = self.places.draw(random)
        hu = _cut(volume.box.grid.hu, corner, edge)
        nodules = Marks(volume.centers_vox, volume.radii_mm).inside(corner, edge)
        ignored = Marks(volume.ignored_vox, volume.ignored_mm).inside(corner, edge)
        if self.augmentation:
            there = nodules.and_also(ignored)
            mean_count = self.config.inserted_nodules
            nodules = nodules.and_also(insert_nodules(hu, there, mean_count, voxel_mm, random))
        target = draw_target(nodules, edge, voxel_mm, ignored)
        item = {"image": torch.from_numpy(hu)[None], "target": torch.from_numpy(target)}
        if self.augmentation:
            item = self.augmentation(item, random)
        return {"image": normalise(item["image"]), "target": item["target"]}

    def batch(self, indices: range) -> dict[str, Tensor]:
        """(B, 1, E, E, E) images and (B, 3, E/2, E/2, E/2) targets."""
        items = [self[index] for index in indices]
        return {key: torch.stack([item[key] for item in items]) for key in ("image", "target")}


def _cut(hu: Tensor, corner: NDArray[np.int64], edge: int) -> Image:
    """A cube, with air where it leaves the box."""
    patch = np.empty((edge,) * 3, dtype=np.float32)
    z, y, x = corner.tolist()
    cut_cube(hu, (z, y, x), torch.from_numpy(patch))
    return patch
