"""`configs/classify_patches.yaml`: nodules classified from small cubes, judged by cross-validation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from medvision.config.base import Settings
from medvision.config.finetuning import FineTuningConfig, OptimiserConfig
from medvision.config.tracking import TrackingConfig


class PatchDataConfig(Settings):
    """The patches and what is to be learnt from them."""

    manifest: Path
    """CSV with `path`, `patient_id` and a label column; paths are relative to it."""

    label: str = Field(min_length=1)
    """Column that holds the label."""

    positive: str | None = None
    """Which labels are positive, such as `>=4`, `malignant` or `1,2`. Default: `==1`."""

    negative: str | None = None
    """Which are negative, such as `<=2`. Default: every label that is not positive. Rows in neither are left
    out."""

    crop_vox: int | None = Field(default=33, ge=4)
    """Side of the cube around the patch's middle that is looked at; all of the patch where null."""


class CrossValidationConfig(Settings):
    """How the recipe is judged."""

    folds: int = Field(default=5, ge=2)
    """Parts of about equal size and share of positives; no patient is in two."""

    seed: int = Field(default=0, ge=0)
    """Another seed deals the patients otherwise."""


class PatchModelConfig(Settings):
    """The pretrained network, and how it looks at a cube."""

    backbone: str = Field(default="efficientnet_lite0", min_length=1)
    """Name of a 2D network: efficientnet_lite0/1/2, squeezenet1_0/1_1, resnet18/34/50, densenet121, vgg16_bn,
    convnext_tiny, efficientnet_b0."""

    weights: str = Field(default="imagenet", min_length=1)
    """Initial weights: `imagenet` (from the installed packages), `random`, or the path of a checkpoint."""

    dims: Literal["2d", "2.5d", "3d", "acs", "depthwise_z"] = "2.5d"
    """The axial slice, three orthogonal slices, or the network made 3D: by inflation (`3d`), with kernels in
    the three planes (`acs`), or with an added convolution along z (`depthwise_z`)."""

    stages: int = Field(default=3, ge=1, le=5)
    """How many of the last stages (parts of one resolution) give features."""

    size_px: int = Field(default=128, ge=16, le=512)
    """Side that slices are resized to; 3D networks want less, such as 64."""


class PatchTrainingConfig(OptimiserConfig):
    """How the network learns; what an optimiser needs is of no meaning where the encoder is frozen."""

    train: Literal["frozen", "top", "norm", "bias", "lora", "adapter", "all"] = "frozen"
    """`frozen`: a ridge probe on features of the encoder. Else which of its weights are fine-tuned beside the
    head: the last stage (`top`), normalisations, biases, low-rank additions (`lora`) or `all`."""

    targets: Literal["ordinal", "binary"] = "ordinal"
    """Learn the label itself where it is a number (fine-tuned: on a scale from 0 to 1), or only the two
    classes."""

    epochs: int = Field(default=20, ge=1)
    """Most passes over the training patches."""

    patience: int = Field(default=5, ge=1)
    """Epochs without a lower loss on a fifth of the training patients before the training stops."""

    learning_rate: float = Field(default=1e-3, gt=0)
    """Of Adam, for the head."""

    backbone_rate: float = Field(default=0.1, gt=0, le=1)
    """Learning rate of the pretrained weights as a part of the head's."""

    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Before the head."""

    copies: int = Field(default=4, ge=1, le=64)
    """How often each training patch is looked at, the first time unchanged."""

    shift_vox: int = Field(default=3, ge=0)
    """The other times its centre is moved by up to this much along each axis, as a detector would miss it."""

    def fine_tuning(self) -> FineTuningConfig:
        """The part that pictures have, too; there is none where the encoder is frozen."""
        return FineTuningConfig(**self.model_dump(include=set(FineTuningConfig.model_fields)))


class ClassifyPatchesConfig(Settings):
    """One classification training, complete by itself."""

    task: Literal["classify_patches"]
    """Which job this file describes."""

    name: str = Field(default="classify_patches", pattern=r"^[A-Za-z0-9_.-]+$")
    """Name of the model."""

    output: Path
    """Model directory to write, with `oof.csv` and `metrics.json`."""

    seed: int = Field(default=0, ge=0)
    """Of random initial weights and of the shifts."""

    data: PatchDataConfig
    cv: CrossValidationConfig = CrossValidationConfig()
    model: PatchModelConfig = PatchModelConfig()
    training: PatchTrainingConfig = PatchTrainingConfig()
    tracking: TrackingConfig = Field(default_factory=TrackingConfig)
