"""Patches with boxes: cut from patients and changed at random, as those of the lite detector are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
import torch
from torch import Tensor

from medvision.config.augmentation import AugmentationConfig
from medvision.config.retinanet import GridConfig
from medvision.config.retinanet_training import FitConfig
from medvision.inference.proposals import LUNG_MARGIN_MM, LungBox
from medvision.preprocessing.lungs import find_lungs
from medvision.preprocessing.ras import ras_grid, to_ras, window
from medvision.preprocessing.resample import Isotropic, bounding_box
from medvision.training.augmentation import (
    PatchChange,
    Shape,
    Spacing,
    change_hu,
    draw_change,
    mirror,
    mirror_marks,
    resample,
)
from medvision.training.patch_places import PatchPlaces
from medvision.training.proposal_targets import Marks
from medvision.training.volumes import TrainingVolume
from medvision.training.voxels import cut_cube


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
        augmentation: how patches are changed at random; None: validation patches, to which nothing is done.
        hard_fraction: share of the patches around false marks, as soon as `places` knows some.
    """

    def __init__(
        self,
        volumes: Sequence[TrainingVolume],
        config: FitConfig,
        grid: GridConfig,
        *,
        length: int,
        seed: int,
        augmentation: AugmentationConfig | None,
        hard_fraction: float = 0.0,
    ) -> None:
        self.config = config
        self.length, self.seed, self.augmentation = length, seed, augmentation
        self.window_hu = grid.window_hu
        self.places = PatchPlaces(volumes, config.patch_vox, config.nodule_fraction, hard_fraction)
        columns, rows, slices = config.patch_vox
        self.shape: Shape = slices, rows, columns
        x, y, z = grid.spacing_mm
        self.spacing_mm: Spacing = z, y, x

    def __len__(self) -> int:
        return self.length

    def batch(self, indices: range) -> dict[str, Tensor]:
        """Stack patches.

        Returns:
            (B, 1, X, Y, Z) images in 0..1; all boxes (N, 6), and the number of the patch of each (N,); the
            same of what is ignored; and the patches' own numbers (B,).
        """
        patches = [self.patch(index) for index in indices]
        images = torch.stack([window(patch.hu, self.window_hu) for patch in patches])[:, None]
        boxes, owner = _owned([patch.nodules for patch in patches])
        ignored, ignored_owner = _owned([patch.ignored for patch in patches])
        return {
            "image": images,
            "boxes": boxes,
            "owner": owner,
            "ignored": ignored,
            "ignored_owner": ignored_owner,
            "number": torch.tensor(list(indices)),
        }

    def patch(self, index: int) -> BoxPatch:
        """The patch of a number."""
        random = np.random.default_rng((self.seed, index))
        volume, corner = self.places.draw(random)
        change = self._draw(random)
        margin = change.margin_vox(self.shape, self.spacing_mm)
        hu = torch.empty([size + 2 * margin for size in self.config.patch_vox])
        first = corner - margin
        x, y, z = first.tolist()
        cut_cube(volume.box.grid.hu, (x, y, z), hu)
        marks = [
            Marks((centers - first)[:, ::-1], radii)
            for centers, radii in (
                (volume.centers_vox, volume.radii_mm),
                (volume.ignored_vox, volume.ignored_mm),
            )
        ]
        slices, marks = resample(hu.permute(2, 1, 0), marks, change, self.shape, self.spacing_mm)
        slices = change_hu(mirror(slices[None], change)[0], change, self.spacing_mm, random)
        nodules, ignored = (self._boxes(mirror_marks(some, change, self.shape)) for some in marks)
        return BoxPatch(slices.permute(2, 1, 0).contiguous(), torch.cat([nodules, ignored]), len(ignored))

    def _draw(self, random: np.random.Generator) -> PatchChange:
        if self.augmentation is None:
            return PatchChange()
        return draw_change(self.augmentation, random, square=self.shape[1] == self.shape[2])

    def _boxes(self, marks: Marks) -> Tensor:
        """(N, 6) of the spheres whose centre lies in the patch, along x, y, z, cut off at its border."""
        size = np.array(self.config.patch_vox)
        centers = marks.centers_vox[:, ::-1]
        inside = ((centers >= 0) & (centers <= size - 1)).all(axis=1)
        halves = marks.radii_mm[inside, None] / np.array(self.spacing_mm[::-1])
        low, high = centers[inside] - halves, centers[inside] + halves
        return torch.from_numpy(np.hstack([low.clip(0), np.minimum(high, size)])).float()


def _owned(boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """(N, 6) boxes of all patches, and the number of the patch of each."""
    owner = [torch.full((len(some),), number) for number, some in enumerate(boxes)]
    return torch.cat(list(boxes)), torch.cat(owner)
