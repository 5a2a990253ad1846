"""`configs/classify_images.yaml` and `classify_medmnist.yaml`: classes of pictures and volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from medvision.config.base import Settings
from medvision.config.finetuning import AugmentationConfig, FineTuningConfig
from medvision.config.tracking import TrackingConfig


class ImagesDataConfig(Settings):
    """A folder of pictures."""

    folder: Path
    """A sub-folder a class, with pictures at any depth; or `train`, `val` and `test` that hold such."""

    patient_pattern: str | None = None
    r"""Regular expression whose first group is the patient in a file's name, such as `(P\d+)_`. Without it
    every picture is a patient of its own."""

    classes: tuple[str, ...] | None = Field(default=None, min_length=2)
    """Names that the sub-folders must have, so that a missing class or a stray folder is noticed; without it
    the sub-folders say which classes there are."""

    validation_fraction: float = Field(default=0.2, gt=0, lt=1)
    """Share of the patients that chooses the epoch, where the folder has no `val`."""


class MedmnistDataConfig(Settings):
    """A MedMNIST file."""

    npz: Path
    """Such as `nodulemnist3d.npz`; its own splits are kept."""


class PictureModelConfig(Settings):
    """The pretrained network."""

    backbone: str = Field(default="efficientnet_lite0", min_length=1)
    """Name of a 2D network: efficientnet_lite0/1/2, squeezenet1_0/1_1, resnet18/34/50, densenet121, vgg16_bn,
    convnext_tiny, efficientnet_b0."""

    weights: str = Field(default="imagenet", min_length=1)
    """Initial weights: `imagenet` (from an installed package or the folder of weights), `random`, the path
    of a checkpoint, or a URL that ends in `#sha256=…`."""

    dims: Literal["2.5d", "3d", "acs", "depthwise_z"] = "2.5d"
    """How volumes are looked at: three orthogonal slices, or the network made 3D. Pictures are 2D always."""

    stages: int = Field(default=1, ge=1, le=5)
    """How many of the last stages (parts of one resolution) give features."""

    size_px: int = Field(default=224, ge=16, le=1024)
    """Side that pictures are resized to."""


class _PictureJob(Settings):
    """What both jobs have."""

    output: Path
    """Model directory to write, with `metrics.json`, `predictions.csv` and `curves.png`."""

    seed: int = Field(default=0, ge=0)
    """Of the split, the new weights, the changes and the order."""

    model: PictureModelConfig = PictureModelConfig()
    training: FineTuningConfig = FineTuningConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    tracking: TrackingConfig = Field(default_factory=TrackingConfig)


class ClassifyImagesConfig(_PictureJob):
    """One training on a folder of pictures, complete by itself."""

    task: Literal["classify_images"]
    """Which job this file describes."""

    name: str = Field(default="classify_images", pattern=r"^[A-Za-z0-9_.-]+$")
    """Name of the model."""

    data: ImagesDataConfig


class ClassifyMedmnistConfig(_PictureJob):
    """One training on a MedMNIST file, complete by itself."""

    task: Literal["classify_medmnist"]
    """Which job this file describes."""

    name: str = Field(default="classify_medmnist", pattern=r"^[A-Za-z0-9_.-]+$")
    """Name of the model."""

    data: MedmnistDataConfig
