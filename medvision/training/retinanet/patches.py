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
        n_ignored: the last of the boxes are excluded findings, which count neither way.
    """

    hu: Tensor
    boxes: Tensor
    n_ignored: int = 0

    @property
    def nodules(self) -> Tensor:
        """(N, 6) boxes to find."""
        return self.boxes[: len(self.boxes) - self.n_ignored]

    @property
    def ignored(self) -> Tensor:
        """(M, 6) boxes that count neither way."""
        return self.boxes[len(self.boxes) - self.n_ignored :]


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
        """Stack patches.

        Returns:
            (B, 1, X, Y, Z) images in 0..1; all boxes (N, 6), and the number of the patch of each (N,); the
            same of what is ignored.
        """
        patches = [self.patch(index) for index in indices]
        images = torch.stack([window(patch.hu, self.grid.window_hu) for patch in patches])[:, None]
        boxes, owner = _owned([patch.nodules for patch in patches])
        ignored, ignored_owner = _owned([patch.ignored for patch in patches])
        return {
            "image": images,
            "boxes": boxes,
            "owner": owner,
            "ignored": ignored,
            "ignored_owner": ignored_owner,
        }

    def patch(self, index: int) -> BoxPatch:
        """The patch of a number."""
        random = np.random.default_rng((self.seed, index))
        volume, corner = self.places.draw(random)
        hu = torch.empty(self.config.patch_vox)
        x, y, z = corner.tolist()
        cut_cube(volume.box.grid.hu, (x, y, z), hu)
        nodules = self._boxes_inside(volume.centers_vox, volume.radii_mm, corner)
        ignored = self._boxes_inside(volume.ignored_vox, volume.ignored_mm, corner)
        patch = BoxPatch(hu, torch.cat([nodules, ignored]), len(ignored))
        return augmented(patch, random) if self.augment else patch

    def _boxes_inside(
        self, centers_vox: NDArray[np.float64], radii_mm: NDArray[np.float64], corner: NDArray[np.int64]
    ) -> Tensor:
        """Boxes of the spheres whose centre lies in the patch, cut off at its border."""
        size = np.array(self.config.patch_vox)
        centers = centers_vox - corner
        inside = ((centers >= 0) & (centers <= size - 1)).all(axis=1)
        halves = radii_mm[inside, None] / np.array(self.grid.spacing_mm)
        low, high = centers[inside] - halves, centers[inside] + halves
        return torch.from_numpy(np.hstack([low.clip(0), np.minimum(high, size)])).float()


def _owned(boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """(N, 6) boxes of all patches, and the number of the patch of each."""
    owner = [torch.full((len(some),), number) for number, some in enumerate(boxes)]
    return torch.cat(list(boxes)), torch.cat(owner)


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
    return BoxPatch(hu.contiguous(), boxes, patch.n_ignored)
