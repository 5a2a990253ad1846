"""How a pretrained network is fine-tuned, and what pictures are changed by on the way."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from medvision.config.base import Settings

Trainable = Literal["head", "top", "norm", "bias", "lora", "adapter", "all"]
"""Which weights learn beside the head: none, the last stage, those of the normalisations (with their running
statistics), the biases (BitFit), low-rank additions to every convolution (LoRA), a small bottleneck after
every stage (adapters), or all."""


class OptimiserConfig(Settings):
    """The optimiser, what holds it back, and when it stops."""

    lora_rank: int = Field(default=4, ge=1, le=64)
    """Rank of the additions where `train` is `lora`."""

    adapter_width: int = Field(default=16, ge=1, le=256)
    """Channels of the bottlenecks where `train` is `adapter`."""

    epochs: int = Field(default=50, ge=1)
    """Most passes over the training pictures."""

    patience: int = Field(default=3, ge=1)
    """Epochs without a lower validation loss before the training stops; the best epoch is kept."""

    batch_size: int = Field(default=32, ge=2)
    """Pictures a step."""

    learning_rate: Annotated[float, Field(gt=0)] | Literal["auto"] = 1e-4
    """Of Adam, for the head; `auto`: found by raising it until the loss rises (Smith, WACV 2017)."""

    backbone_rate: float = Field(default=1.0, gt=0, le=1)
    """Learning rate of the pretrained weights as a part of the head's."""

    stage_decay: float = Field(default=1.0, gt=0, le=1)
    """Each stage learns this much slower than the one above it (discriminative rates; Howard and Ruder, ACL
    2018)."""

    unfreeze_every: int = Field(default=0, ge=0)
    """Epochs after which the next lower stage joins (gradual unfreezing); 0: all at once."""

    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Of the training's arithmetic; `auto`: bfloat16 where one measured step is quicker by it."""

    checkpointing: bool = False
    """Compute stages again instead of keeping what they gave: less memory, a third more time."""

    compile: bool = False
    """Let torch.compile translate the network first; a CPU needs a C++ compiler for it."""

    l2: float = Field(default=1e-3, ge=0)
    """Weight of the L2 penalty on the head."""

    dropout: float = Field(default=0.5, ge=0, lt=1)
    """Before the head."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """How much of each label is spread over all classes."""

    balanced: bool = False
    """Weigh classes so that each counts alike, however rare."""

    head_first: int = Field(default=0, ge=0)
    """Epochs in which only the head learns, before the pretrained weights join it."""

    l2_sp: float = Field(default=0.0, ge=0)
    """Weight of the squared distance of the learning encoder weights from their start (L2-SP, Li et al., ICML
    2018)."""

    mixup: float = Field(default=0.0, ge=0)
    """Mix each batch with itself in another order, by a share drawn from Beta(mixup, mixup) (Zhang et al.,
    ICLR 2018); 0: never."""

    ema: float = Field(default=0.0, ge=0, lt=1)
    """Judge and keep the running mean of the weights that forgets this slowly, such as 0.95 a step; 0: the
    weights themselves."""

    swa: int = Field(default=0, ge=0)
    """Epochs after which the plain mean of the weights at the end of each further epoch is judged and kept
    instead (stochastic weight averaging, Izmailov et al., UAI 2018); the training does not stop before. 0:
    never."""

    @model_validator(mode="after")
    def _has_one_mean(self) -> Self:
        if self.ema and self.swa:
            raise ValueError("ema and swa are both a mean of the weights: give one")
        if self.swa >= self.epochs:
            raise ValueError(f"swa: {self.swa} leaves nothing to average in {self.epochs} epochs")
        return self


class FineTuningConfig(OptimiserConfig):
    """Fine-tuning of pictures."""

    train: Trainable = "all"
    """Which weights learn: `head`, `top` (and the last stage), `norm`, `bias`, `lora`, `adapter` or `all`."""


class AugmentationConfig(Settings):
    """Random changes of each training picture; borders are repeated outwards."""

    rotation_degrees: float = Field(default=20.0, ge=0, le=180)
    """Largest rotation either way."""

    shift: float = Field(default=0.2, ge=0, lt=1)
    """Largest move along each axis, as a part of the side."""

    shear: float = Field(default=0.2, ge=0, lt=1)
    """Largest shear: how far a row moves for each row further down."""

    zoom: float = Field(default=0.2, ge=0, lt=1)
    """Largest relative change of size."""

    flip: bool = True
    """Mirror half of the pictures left to right; volumes along any axis."""


class SemiSupervisedConfig(Settings):
    """Learning from unlabelled patches while fine-tuning (FixMatch)."""

    weight: float = Field(default=0.0, ge=0)
    """Weight of their loss; 0: they are not used."""

    ratio: int = Field(default=3, ge=1, le=16)
    """Unlabelled patches a step for each labelled one."""

    threshold: float = Field(default=0.9, gt=0.5, lt=1)
    """How sure the network must be of a patch before it learns from its own answer."""

    warm_up: int = Field(default=3, ge=0)
    """Epochs of the labelled patches alone."""


class SelfSupervisedConfig(Settings):
    """A start from unlabelled patches, before any label is seen (SimCLR)."""

    epochs: int = Field(default=0, ge=0)
    """Passes over the unlabelled patches; 0: none."""

    batch_size: int = Field(default=64, ge=4)
    """Patches a step; each is to be found among twice as many."""

    learning_rate: float = Field(default=1e-4, gt=0)
    """Of Adam, for all weights of the encoder."""

    temperature: float = Field(default=0.2, gt=0)
    """That similarities are divided by."""
