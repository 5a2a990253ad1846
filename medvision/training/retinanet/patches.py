"""Patches with boxes: cut from patients, turned, shifted and made noisy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medvision.config.retinanet import GridConfig
from medvision.config.retinanet_training import FitConfig
from medvision.inference.proposals import LUNG_MARGIN_MM, LungBox
from medvision.preprocessing.lungs import find_lungs
from medvision.preprocessing.ras import ras_grid, to_ras, window
from medvision.preprocessing.resample import Isotropic, bounding_box
from medvision.training.patch_places import PatchPlaces
from medvision.training.volumes import TrainingVolume
from medvision.training.voxels import cut_cube

NOISE_HU = 30.0
SHIFT_HU = 40.0


@dataclass(frozen=True, slots=True)
class BoxPatch:
    """One patch.

    Attributes:
        hu: float32 (X, Y, Z).
        boxes: float32 (N, 6) corners in its voxels.
    """

    hu: Tensor
    boxes: Tensor


def lung_box_ras(volume: hd.Volume, grid: GridConfig) -> LungBox:
    """Find the lungs and resample their box to the grid of the RetinaNet, axes x, y, z."""
    oriented = to_ras(volume)
    lungs = find_lungs(oriented)
    box = bounding_box(oriented, lungs.affine, lungs.labels > 0, LUNG_MARGIN_MM)
    found = ras_grid(oriented, grid.spacing_mm, box)
    return LungBox(lungs, Isotropic(found.hu, found.affine))


class BoxPatches:
    """Item i is the same for the same seed, whoever asks for it.

    Args:
        volumes: the patients, on the network's grid.
        config: patch size, shares.
        grid: spacing and window.
        length: number of patches.
        seed: of everything that is drawn.
        augment: off for validation patches.
    """

    def __init__(
        self,
        volumes: Sequence[TrainingVolume],
        config: FitConfig,
        grid: GridConfig,
        *,
        length: int,
        seed: int,
        augment: bool,
    ) -> None:
        self.config, self.grid = config, grid
        self.length, self.seed, self.augment = length, seed, augment
        self.places = PatchPlaces(volumes, config.patch_vox, config.nodule_fraction)

    def __len__(self) -> int:
        return self.length

    def batch(self, indices: range) -> dict[str, Tensor]:
        """(B, 1, X, Y, Z) images in 0..1; all boxes (N, 6), and the number of the patch of each (N,)."""
        patches = [self.patch(index) for index in indices]
        images = torch.stack([window(patch.hu, self.grid.window_hu) for patch in patches])[:, None]
        owner = [torch.full((len(patch.boxes),), number) for number, patch in enumerate(patches)]
        return {"image": images, "boxes": torch.cat([p.boxes for p in patches]), "owner": torch.cat(owner)}

    def patch(self, index: int) -> BoxPatch:
        """The patch of a number."""
        random = np.random.default_rng((self.seed, index))
        volume, corner = self.places.draw(random)
        hu = torch.empty(self.config.patch_vox)
        x, y, z = corner.tolist()
        cut_cube(volume.box.grid.hu, (x, y, z), hu)
        patch = BoxPatch(hu, self._boxes_inside(volume, corner))
        return augmented(patch, random) if self.augment else patch

    def _boxes_inside(self, volume: TrainingVolume, corner: NDArray[np.int64]) -> Tensor:
        """Boxes of the nodules whose centre lies in the patch, cut off at its border."""
        size = np.array(self.config.patch_vox)
        centers = volume.centers_vox - corner
        inside = ((centers >= 0) & (centers <= size - 1)).all(axis=1)
        halves = volume.radii_mm[inside, None] / np.array(self.grid.spacing_mm)
        low, high = centers[inside] - halves, centers[inside] + halves
        return torch.from_numpy(np.hstack([low.clip(0), np.minimum(high, size)])).float()


def augmented(patch: BoxPatch, random: np.random.Generator) -> BoxPatch:
    """Flips along each axis, an exchange of x and y where both are as long, brightness and noise."""
    hu, boxes = patch.hu, patch.boxes.clone()
    for axis in range(3):
        if random.random() < 0.5:
            hu = hu.flip(axis)
            boxes[:, [axis, axis + 3]] = hu.shape[axis] - 1 - boxes[:, [axis + 3, axis]]
    if hu.shape[0] == hu.shape[1] and random.random() < 0.5:
        hu, boxes = hu.transpose(0, 1), boxes[:, [1, 0, 2, 4, 3, 5]]
    shift = random.uniform(-SHIFT_HU, SHIFT_HU) if random.random() < 0.5 else 0.0
    hu = hu + shift
    if random.random() < 0.5:
        sigma = random.uniform(0, NOISE_HU)
        hu = hu + torch.from_numpy(random.standard_normal(hu.shape, dtype=np.float32)) * sigma
    return BoxPatch(hu.contiguous(), boxes)
