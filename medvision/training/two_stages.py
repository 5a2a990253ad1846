"""What follows stage one: candidates, second look, and what the validation patients say of both."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from lightning.pytorch.loggers import Logger

from medvision.config.detection import DetectionConfig
from medvision.models.classifier import NoduleClassifier
from medvision.models.heatmap import HeatMapNet
from medvision.training.candidates import SeriesCandidates, find_candidates, second_look_samples
from medvision.training.second_look import train_second_look
from medvision.training.validation import Validation, fused_cpm, validate
from medvision.training.volumes import TrainingVolume

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainedStages:
    """A whole detector.

    Attributes:
        proposals: stage one.
        second_look: stage two.
        validation: fusion and FROC on the validation patients.
        held_out: their candidates.
        figures: of the second look on these.
    """

    proposals: HeatMapNet
    second_look: NoduleClassifier
    validation: Validation
    held_out: Sequence[SeriesCandidates]
    figures: dict[str, float]

    @property
    def cpm(self) -> float:
        """Of both stages, on the validation patients."""
        return self.validation.two_stage.cpm


def add_second_look(
    proposals: HeatMapNet,
    training: Sequence[TrainingVolume],
    validation: Sequence[TrainingVolume],
    config: DetectionConfig,
    logger: Logger | None = None,
) -> TrainedStages:
    """Let the second look learn from what a trained stage one proposes, and judge both."""
    learnt = find_candidates(proposals, training, config, learning=True)
    held_out = find_candidates(proposals, validation, config, learning=False)
    second_look, figures = train_second_look(
        second_look_samples(learnt),
        second_look_samples(held_out),
        config.second_look,
        logger=logger,
        seed=config.seed,
        cpm=partial(fused_cpm, held_out) if config.choose_by == "froc" else None,
    )
    result = validate(second_look, held_out, config.seed)
    log.info(
        "second look: %d epochs; validation CPM %.3f, of stage one alone %.3f",
        figures["epochs"],
        result.two_stage.cpm,
        result.proposals.cpm,
    )
    return TrainedStages(proposals, second_look, result, held_out, figures)
