"""Patches for stage one: cut from patients, with simulated nodules added, augmented; and their targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medvision.config.detection import ProposalConfig
from medvision.models.heatmap import STRIDE
from medvision.preprocessing.resample import normalise
from medvision.simulation.nodules import add_nodule, sample_nodule
from medvision.training.augmentation import Augmentation
from medvision.training.patch_places import PatchPlaces
from medvision.training.volumes import TrainingVolume
from medvision.training.voxels import cut_cube

PARENCHYMA_HU = (-980.0, -600.0)
"""Simulated nodules are put where the image shows lung."""

SIGMA_MM = (1.8, 4.0)
"""Bounds of the target's Gaussian around a centre; in between it is `SIGMA_SHARE` of the radius."""

SIGMA_SHARE = 0.4

Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Marks:
    """Nodules in a patch: (N, 3) centres in its voxels and (N,) radii in mm."""

    centers_vox: NDArray[np.float64]
    radii_mm: NDArray[np.float64]


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
        """Image (1, E, E, E) and target (2, E/2, E/2, E/2), for a patch of edge E; see `draw_target`."""
        random = np.random.default_rng((self.seed, index))
        volume, corner = self.places.draw(random)
        hu = _cut(volume.box.grid.hu, corner, self.config.patch_vox)
        marks = _marks_inside(volume, corner, self.config.patch_vox)
        if self.augmentation:
            marks = _insert(hu, marks, self.config, random)
        target = draw_target(marks, self.config.patch_vox, self.config.voxel_mm)
        item = {"image": torch.from_numpy(hu)[None], "target": torch.from_numpy(target)}
        if self.augmentation:
            item = self.augmentation(item, random)
        return {"image": normalise(item["image"]), "target": item["target"]}

    def batch(self, indices: range) -> dict[str, Tensor]:
        """(B, 1, E, E, E) images and (B, 2, E/2, E/2, E/2) targets."""
        items = [self[index] for index in indices]
        return {key: torch.stack([item[key] for item in items]) for key in ("image", "target")}


def _cut(hu: Tensor, corner: NDArray[np.int64], edge: int) -> Image:
    """A cube, with air where it leaves the box."""
    patch = np.empty((edge,) * 3, dtype=np.float32)
    z, y, x = corner.tolist()
    cut_cube(hu, (z, y, x), torch.from_numpy(patch))
    return patch


def _marks_inside(volume: TrainingVolume, corner: NDArray[np.int64], edge: int) -> Marks:
    centers = volume.centers_vox - corner
    near = ((centers > -edge / 4) & (centers < edge * 1.25)).all(axis=1)
    return Marks(centers[near], volume.radii_mm[near])


def _insert(hu: Image, marks: Marks, config: ProposalConfig, random: np.random.Generator) -> Marks:
    """Paint simulated nodules into parenchyma, none on top of another."""
    affine = np.diag([config.voxel_mm] * 3 + [1.0])[:, [2, 1, 0, 3]]
    lung = np.flatnonzero((hu > PARENCHYMA_HU[0]) & (hu < PARENCHYMA_HU[1]))
    centers, radii = list(marks.centers_vox), list(marks.radii_mm)
    for _ in range(random.poisson(config.inserted_nodules) if len(lung) else 0):
        center = np.array(np.unravel_index(random.choice(lung), hu.shape), dtype=np.float64) + random.uniform(
            -0.5, 0.5, 3
        )
        x, y, z = (affine[:3, :3] @ center).tolist()
        nodule = sample_nodule(random, (x, y, z))
        radius = nodule.diameter_mm / 2
        if all(
            np.linalg.norm(center - c) * config.voxel_mm > radius + r
            for c, r in zip(centers, radii, strict=True)
        ):
            add_nodule(hu, affine, nodule)
            centers.append(center)
            radii.append(radius)
    return Marks(np.array(centers).reshape(-1, 3), np.array(radii))


def draw_target(marks: Marks, edge: int, voxel_mm: float) -> Image:
    """Heat (1 where a centre is, Gaussian around it) and log radius in mm where the heat exceeds 0.5."""
    size = edge // STRIDE
    target = np.zeros((2, size, size, size), dtype=np.float32)
    axes = np.meshgrid(*[np.arange(size, dtype=np.float32)] * 3, indexing="ij", sparse=True)
    for center, radius in zip((marks.centers_vox - 0.5) / STRIDE, marks.radii_mm, strict=True):
        nearest = np.rint(center).astype(int)
        sigma = np.clip(radius * SIGMA_SHARE, *SIGMA_MM) / (voxel_mm * STRIDE)
        squared = sum((axis - c) ** 2 for axis, c in zip(axes, center, strict=True))
        heat = np.exp(-squared / (2 * sigma**2))
        if ((nearest >= 0) & (nearest < size)).all():
            heat[tuple(nearest)] = 1.0
        target[1][(heat > 0.5) & (heat > target[0])] = np.log(radius)
        np.maximum(target[0], heat, out=target[0])
    return target
