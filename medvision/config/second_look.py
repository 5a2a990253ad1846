"""Settings of the second look: the CNN that judges each candidate and estimates its malignancy."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from medvision.config.base import Settings

Backbone = Literal["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]


class SecondLookConfig(Settings):
    """How a candidate is seen, which network judges it, and how that is fine-tuned."""

    backbone: Backbone = "efficientnet_lite0"
    """Network whose first blocks encode each view."""

    weights: str = Field(default="imagenet", min_length=1)
    """Initial weights: `imagenet` (from an installed package or the folder of weights), `random`, the path
    of a checkpoint, or a URL that ends in `#sha256=…`."""

    blocks: int = Field(default=11, ge=1, le=21)
    """Blocks of the backbone that are kept, counted from the input."""

    frozen_blocks: int = Field(default=5, ge=0, le=21)
    """The stem and this many first blocks keep their initial weights; 0 trains everything, the stem too."""

    size_mm: float = Field(default=32.0, gt=0)
    """Side in mm of the square that is seen around a candidate's centre."""

    size_px: int = Field(default=64, ge=32, le=256)
    """Side of the same square in pixels."""

    margin_px: int = Field(default=4, ge=0, le=64)
    """A training view is this much wider on each side, so that its crop can be shifted at random."""

    augmented_copies: int = Field(default=3, ge=1, le=64)
    """Randomly changed copies of each candidate, which the epochs take in turn."""

    epochs: int = Field(default=8, ge=1)
    """Most passes over the candidates."""

    patience: int = Field(default=5, ge=1)
    """Epochs without a lower validation loss before the training stops early. The last epochs, whose rate is
    low, gain most, so little patience costs more than it saves."""

    batch_size: int = Field(default=32, ge=2)
    """Candidates a step."""

    learning_rate: float = Field(default=2e-3, gt=0)
    """Peak for the new head of the one-cycle schedule of AdamW."""

    backbone_rate: float = Field(default=0.25, gt=0, le=1)
    """Learning rate of the pretrained blocks as a part of the head's."""

    weight_decay: float = Field(default=1e-2, ge=0)
    """Of AdamW."""

    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Before the head."""

    malignancy_weight: float = Field(default=0.5, ge=0)
    """Weight of the malignancy loss beside the nodule loss."""

    @property
    def training_size_px(self) -> int:
        """Side of a training view in pixels."""
        return self.size_px + 2 * self.margin_px

    @property
    def training_size_mm(self) -> float:
        """Side of a training view in mm, at the same mm a pixel."""
        return self.size_mm * self.training_size_px / self.size_px

    @model_validator(mode="after")
    def _frozen_blocks_are_kept(self) -> Self:
        if self.frozen_blocks > self.blocks:
            raise ValueError(f"has frozen_blocks {self.frozen_blocks} of only {self.blocks} blocks")
        return self
