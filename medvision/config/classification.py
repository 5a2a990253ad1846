"""`configs/classify_patches.yaml`: nodules classified from small cubes, judged by cross-validation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from medvision.config.base import Settings
from medvision.config.finetuning import (
    AugmentationConfig,
    FineTuningConfig,
    OptimiserConfig,
    SelfSupervisedConfig,
    SemiSupervisedConfig,
)
from medvision.config.tracking import TrackingConfig

Side = Annotated[int, Field(ge=4)]
"""Of a cube, voxels."""


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

    crop_vox: Side | Annotated[tuple[Side, ...], Field(min_length=1)] | None = 33
    """Side of the cube around the patch's middle that is looked at; several: cubes of several sizes, whose
    features are averaged; all of the patch where null."""

    readers: tuple[str, ...] = ()
    """Columns with what each reader gave for the label, empty where one gave nothing: their mean, or with
    `training.targets: stepwise` the share of them beyond each step, is learnt instead of the label."""

    ratings: tuple[str, ...] = ()
    """Columns of other ratings that are learnt beside the label while fine-tuning (multi-task)."""

    unlabelled: Path | None = None
    """CSV with `path` and `patient_id` of patches without labels, for `semi_supervised` and
    `self_supervised`. Patches of patients that have labels are left out."""


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
    """Initial weights: `imagenet` (from an installed package or the folder of weights), `random`, the path
    of a checkpoint, or a URL that ends in `#sha256=…`."""

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
    head: the last stage (`top`), normalisations, biases, low-rank additions (`lora`), bottlenecks after the
    stages (`adapter`) or `all`."""

    targets: Literal["ordinal", "stepwise", "binary"] = "ordinal"
    """Learn the label itself where it is a number (fine-tuned: on a scale from 0 to 1), step by step (is it
    above 1, above 2, …), or only the two classes."""

    unsure: bool = False
    """Learn from rows that are neither positive nor negative, too; they are never tested."""

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

    ensemble: int = Field(default=1, ge=1, le=20)
    """Networks that are fine-tuned from other random numbers and judge together (deep ensemble)."""

    snapshots: int = Field(default=1, ge=1, le=20)
    """Networks that each fine-tuning leaves: its epochs are parted into as many cycles of a falling learning
    rate, and the network at the end of each is kept. Above 1 it does not stop early."""

    def fine_tuning(self) -> FineTuningConfig:
        """The part that pictures have, too; there is none where the encoder is frozen."""
        return FineTuningConfig(**self.model_dump(include=set(FineTuningConfig.model_fields)))


class JudgementConfig(Settings):
    """What makes probabilities honest, fitted on training patients that were held out from the learning."""

    calibration: Literal["platt", "temperature", "beta", "isotonic"] = "platt"
    """`platt`: a logistic curve of the score. The others correct the probability that it gives."""

    alpha: float = Field(default=0.1, gt=0, lt=1)
    """How often the sets of classes (conformal prediction) may miss the truth."""

    class_conditional: bool = False
    """Keep that promise within each class."""


class ChoiceConfig(Settings):
    """What folds inside the training patients choose, for each tested fold anew."""

    crops_vox: tuple[Side, ...] = ()
    """Sides of cubes to choose from, instead of `data.crop_vox`."""

    backbones: tuple[str, ...] = ()
    """Networks to choose from, instead of `model.backbone`; `model.weights` is for each."""


class PatchAugmentationConfig(AugmentationConfig):
    """Random changes of each look at a training patch after the first."""

    rotation_degrees: float = Field(default=0.0, ge=0, le=180)
    """Largest rotation in the axial plane, either way."""

    shift: float = Field(default=0.0, ge=0, lt=1)
    """Largest move along rows and columns, as a part of the side, beside `training.shift_vox`."""

    shear: float = Field(default=0.0, ge=0, lt=1)
    """Largest shear."""

    zoom: float = Field(default=0.0, ge=0, lt=1)
    """Largest relative change of size; size is a sign of malignancy."""

    flip: bool = False
    """Mirror half of them along each axis."""

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return self != PatchAugmentationConfig()


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
    augmentation: PatchAugmentationConfig = PatchAugmentationConfig()
    choose: ChoiceConfig = ChoiceConfig()
    judgement: JudgementConfig = JudgementConfig()
    semi_supervised: SemiSupervisedConfig = SemiSupervisedConfig()
    self_supervised: SelfSupervisedConfig = SelfSupervisedConfig()
    tracking: TrackingConfig = Field(default_factory=TrackingConfig)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        training, semi = self.training, self.semi_supervised.weight > 0
        if training.train == "frozen":
            wanted = {
                "data.ratings": bool(self.data.ratings),
                "training.ensemble": training.ensemble > 1,
                "training.snapshots": training.snapshots > 1,
                "semi_supervised.weight": semi,
            }
            if named := [key for key, given in wanted.items() if given]:
                raise ValueError(f"{', '.join(named)} need fine-tuning: give training.train another value")
        if self.choose != ChoiceConfig():
            self._check_choice()
        if training.train == "top" and semi:
            raise ValueError("semi_supervised.weight needs pictures to change: training.train cannot be top")
        if (semi or self.self_supervised.epochs) and self.data.unlabelled is None:
            raise ValueError("semi_supervised and self_supervised need data.unlabelled")
        if training.snapshots > 1 and (training.ema or training.swa):
            raise ValueError("training.snapshots keeps the weights themselves: no training.ema, no swa")
        if training.unsure and training.targets == "binary":
            raise ValueError("training.unsure: rows that are neither class need targets ordinal or stepwise")
        return self

    def _check_choice(self) -> None:
        if self.training.train != "frozen" or self.self_supervised.epochs:
            raise ValueError("choose needs training.train: frozen and no self_supervised")
        if self.choose.backbones and self.model.weights not in ("imagenet", "random"):
            raise ValueError("choose.backbones needs model.weights: imagenet or random")
