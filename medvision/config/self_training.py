"""How a detector learns from scans whose nodules nobody has marked."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from medvision.config.base import Settings


class SelfTrainingConfig(Settings):
    """Rounds on `data.unlabelled`: the model marks these scans and goes on learning from its own marks."""

    rounds: int = Field(default=1, ge=1)
    """At most so many; a round after which the validation patients' CPM is lower is the last, and undone."""

    steps: int = Field(default=400, ge=1)
    """Optimiser steps of stage one in a round, from where it is."""

    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak of a round's one-cycle schedule; stage one has learnt already."""

    keep_above: float = Field(default=0.9, gt=0, le=1)
    """From this probability of both stages on, a mark is taken for a nodule."""

    ignore_above: float = Field(default=0.1, gt=0, le=1)
    """From this probability on, a mark that is no nodule counts neither way; below it, it is none."""

    weight: float = Field(default=1.0, gt=0)
    """An unlabelled patient is learnt from so many times as often as one of a cohort with weight 1."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.ignore_above > self.keep_above:
            raise ValueError(
                f"has ignore_above {self.ignore_above:g} over keep_above {self.keep_above:g}; give no more"
            )
        return self
