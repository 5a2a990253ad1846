"""Patches for stage one: cut from patients, with simulated nodules added, augmented; and their targets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medvision.config.augmentation import AugmentationConfig
from medvision.config.detection import ProposalConfig
from medvision.preprocessing.resample import normalise
from medvision.training.augmentation import PatchChange, change_hu, draw_change, mirror, resample
from medvision.training.nodule_insertion import host_blur_mm, insert_nodules
from medvision.training.patch_places import PatchPlaces
from medvision.training.proposal_targets import Marks, draw_target
from medvision.training.volumes import TrainingVolume
from medvision.training.voxels import cut_cube


class PatchDataset:
    """Item i is the same for the same seed, whoever asks for it.

    Args:
        volumes: the patients.
        config: patch size, shares.
        length: number of patches.
        seed: of everything that is drawn.
        augmentation: how patches are changed at random; None: validation patches, to which nothing is done.
        hard_fraction: share of the patches around false marks, as soon as `places` knows some.
    """

    def __init__(
        self,
        volumes: Sequence[TrainingVolume],
        config: ProposalConfig,
        *,
        length: int,
        seed: int,
        augmentation: AugmentationConfig | None,
        hard_fraction: float = 0.0,
    ) -> None:
        self.config = config
        self.length, self.seed = length, seed
        self.augmentation = augmentation
        self.places = PatchPlaces(volumes, (config.patch_vox,) * 3, config.nodule_fraction, hard_fraction)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Image (1, E, E, E) and target (3, E/2, E/2, E/2), for a patch of edge E; see `draw_target`."""
        random = np.random.default_rng((self.seed, index))
        volume, corner = self.places.draw(random)
        change = draw_change(self.augmentation, random) if self.augmentation else PatchChange()
        hu, nodules, ignored = self._cut(volume, corner, change, random)
        target = torch.from_numpy(draw_target(nodules, self.config.patch_vox, self.config.voxel_mm, ignored))
        hu = change_hu(mirror(hu[None], change)[0], change, (self.config.voxel_mm,) * 3, random)
        return {"image": normalise(hu)[None], "target": mirror(target, change)}

    def batch(self, indices: range) -> dict[str, Tensor]:
        """(B, 1, E, E, E) images and (B, 3, E/2, E/2, E/2) targets."""
        items = [self[index] for index in indices]
        return {key: torch.stack([item[key] for item in items]) for key in ("image", "target")}

    def _cut(
        self,
        volume: TrainingVolume,
        corner: NDArray[np.int64],
        change: PatchChange,
        random: np.random.Generator,
    ) -> tuple[Tensor, Marks, Marks]:
        """A cube of HU with air where it leaves the box; its nodules, inserted ones too; what is ignored."""
        edge, spacing_mm = self.config.patch_vox, (self.config.voxel_mm,) * 3
        margin = change.margin_vox((edge,) * 3, spacing_mm)
        wide, first = edge + 2 * margin, corner - margin
        hu = np.empty((wide,) * 3, dtype=np.float32)
        z, y, x = first.tolist()
        cut_cube(volume.box.grid.hu, (z, y, x), torch.from_numpy(hu))
        nodules = Marks(volume.centers_vox, volume.radii_mm).inside(first, wide)
        ignored = Marks(volume.ignored_vox, volume.ignored_mm).inside(first, wide)
        if self.augmentation:
            mean_count = self.config.inserted_nodules * (wide / edge) ** 3
            there = nodules.and_also(ignored)
            blur_mm = host_blur_mm(volume.spacing_mm, self.config.voxel_mm)
            added = insert_nodules(hu, there, mean_count, self.config.voxel_mm, random, blur_mm)
            nodules = nodules.and_also(added)
        marks = [nodules, ignored]
        changed, (nodules, ignored) = resample(torch.from_numpy(hu), marks, change, (edge,) * 3, spacing_mm)
        return changed, nodules, ignored
