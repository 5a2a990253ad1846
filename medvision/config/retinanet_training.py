"""`configs/detect_retinanet_r50.yaml`: training of the RetinaNet."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from medvision.config.augmentation import AugmentationConfig
from medvision.config.base import Settings
from medvision.config.detection import DataConfig, MiningConfig
from medvision.config.retinanet import BoxConfig, GridConfig, RetinaNetConfig, Voxels
from medvision.config.tracking import TrackingConfig

FEWEST_PLACES = 4
"""Of a patch in the coarsest map: oneDNN's bfloat16 gradients of maps of 2³ are wrong."""


class FitConfig(Settings):
    """Patches, losses and schedule; the numbers of the bundle's own training are the defaults."""

    weights: str = Field(default="random", min_length=1)
    """Initial weights: `random`, or a path: a bundle's folder or `model.pt`, a 3D ResNet-50 (MedicalNet), or
    a 2D ResNet-50 with torchvision's keys, whose kernels are repeated along z (ImageNet)."""

    patch_vox: Voxels = (192, 192, 80)
    """Size of a training patch along x, y, z."""

    steps: int = Field(default=20_000, ge=1)
    """Optimiser steps."""

    batch_size: int = Field(default=4, ge=1)
    """Patches a step."""

    learning_rate: float = Field(default=1e-2, gt=0)
    """Peak of the one-cycle schedule of SGD with Nesterov momentum."""

    weight_decay: float = Field(default=3e-5, ge=0)
    """Of SGD."""

    nodule_fraction: float = Field(default=0.5, ge=0, le=1)
    """Share of the patches that hold a nodule; the others lie anywhere in the lungs."""

    classification_loss: Literal["bce", "focal"] = "bce"
    """Cross entropy of the sampled anchors, plain or focal (arXiv:1708.02002)."""

    box_loss: Literal["smooth_l1", "giou"] = "smooth_l1"
    """Of the matched anchors: of their codes, or the generalised overlap of the boxes (arXiv:1902.09630)."""

    matched_places: int = Field(default=4, ge=1)
    """ATSS looks at the anchors of this many places nearest to a nodule, a level."""

    anchors_per_patch: int = Field(default=64, ge=2)
    """Anchors of a patch whose classification counts."""

    positive_fraction: float = Field(default=0.3, gt=0, lt=1)
    """At most this share of them is positive."""

    min_negatives: int = Field(default=16, ge=1)
    """At least so many are negative."""

    pool_size: float = Field(default=20.0, ge=1)
    """Negatives are drawn from so many times as many of the hardest."""

    validate_every: int = Field(default=500, ge=1)
    """Steps between two looks at the validation patches."""

    validation_patches: int = Field(default=48, ge=1)
    """How many there are; always the same."""

    patience: int = Field(default=10, ge=1)
    """Looks without a better validation before the training stops early."""


class RetinaNetJob(Settings):
    """One training of the RetinaNet, complete by itself."""

    task: Literal["detect_retinanet"]
    """Which job this file describes."""

    name: str = Field(default="detect_retinanet_r50", pattern=r"^[A-Za-z0-9_.-]+$")
    """Name of the model."""

    output: Path
    """Model directory to write."""

    seed: int = Field(default=0, ge=0)
    """Of the split, the initial weights and the patches."""

    choose_by: Literal["loss", "froc"] = "loss"
    """What chooses the best checkpoint and stops early: the loss on the validation patients' patches, or the
    CPM of the FROC on their whole lungs, which wants a GPU."""

    data: DataConfig
    network: RetinaNetConfig = RetinaNetConfig()
    grid: GridConfig = GridConfig()
    fit: FitConfig = FitConfig()
    augmentation: AugmentationConfig = AugmentationConfig(blur_z_mm=0, blur_xy_mm=0)
    hard_negatives: MiningConfig = MiningConfig()
    boxes: BoxConfig = BoxConfig()
    tracking: TrackingConfig = Field(default_factory=TrackingConfig)

    @model_validator(mode="after")
    def _labelled(self) -> RetinaNetJob:
        if self.data.unlabelled:
            raise ValueError("has data.unlabelled, which only detect_lite learns from; leave it out")
        return self

    @model_validator(mode="after")
    def _patches_fit(self) -> RetinaNetJob:
        self.hard_negatives.check_shares("fit", self.fit.nodule_fraction)
        x, y, _ = self.fit.patch_vox
        if x != y and self.augmentation.kernel_gain > 1:
            raise ValueError(
                f"has augmentation.kernel_gain and fit.patch_vox {list(self.fit.patch_vox)}; a kernel is "
                "changed in square slices only"
            )
        return self

    @model_validator(mode="after")
    def _whole_places(self) -> RetinaNetJob:
        steps = self.network.size_divisible
        for what, size in (
            ("fit.patch_vox", self.fit.patch_vox),
            ("boxes.window_vox", self.boxes.window_vox),
        ):
            if any(n < 1 or n % step for n, step in zip(size, steps, strict=True)):
                raise ValueError(f"has {what} {list(size)}; each is a multiple of {list(steps)}")
        if any(n < FEWEST_PLACES * step for n, step in zip(self.fit.patch_vox, steps, strict=True)):
            least = [FEWEST_PLACES * step for step in steps]
            raise ValueError(f"has fit.patch_vox {list(self.fit.patch_vox)}; at least {least}")
        return self
