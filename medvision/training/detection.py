"""Train the lite detector: proposals, second look, fusion, operating points, model directory."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from medvision.config.base import config_sha256
from medvision.config.detection import DetectionConfig
from medvision.datasets.split_record import SPLIT, write_split
from medvision.models.detector import TwoStageDetector
from medvision.models.directory import ModelCard, TrainingRecord, save_model
from medvision.models.published import licence_of
from medvision.tracking import Run
from medvision.training import ranks
from medvision.training.cohort_split import split_cohorts
from medvision.training.leakage import refuse_known_weights
from medvision.training.model_card import describe_training
from medvision.training.patients import read_patients, read_unlabelled
from medvision.training.proposals import train_proposals
from medvision.training.result import TrainResult
from medvision.training.run_figures import log_candidate_figures
from medvision.training.run_words import log_cohorts
from medvision.training.self_training import Volumes, help_with_rounds, train_rounds
from medvision.training.tracked_run import keep_model, remove_work, tracked, work_folder
from medvision.training.two_stages import TrainedStages, add_second_look
from medvision.training.validation import EVALUATION
from medvision.training.volume_hand_over import hand_over, take_over
from medvision.training.volume_shelf import VolumeShelf, open_shelf

logger = logging.getLogger(__name__)

PROPOSALS = "proposals"
"""Checkpoints of stage one, in the work folder."""


def train(
    config: DetectionConfig,
    *,
    resume: bool = False,
    parent: str | None = None,
    shelf: VolumeShelf | None = None,
) -> TrainResult:
    """Train on the configured cohorts and write a model directory.

    Args:
        config: everything the result depends on.
        resume: go on from the checkpoints of an interrupted training.
        parent: identifier of the run that this training's is a part of.
        shelf: patients that this run's other folds have read; its own where None.

    Raises:
        OutputError: the model directory cannot be written.
        DataError: a cohort that cannot be read, or with fewer than two patients.
        NothingToDoError: no Series that can be used.
    """
    work = work_folder(config)
    torch.set_float32_matmul_precision("high")
    split, shelf = split_cohorts(config), shelf or open_shelf(config, work)
    training, validation = read_patients(split, shelf)
    unlabelled = read_unlabelled(split, shelf, [*training, *validation])
    refuse_known_weights(config.second_look.weights, validation)
    parts = training, validation, unlabelled
    hand_over(parts)
    with tracked(config, work, resume=resume, parent=parent) as run:
        log_cohorts(run, split, config.data.unlabelled)
        stages = _train_stages(config, parts, run, work, resume=resume)
        known = describe_training([*training, *unlabelled], config, run.run_id, validation)
        card = _write(config, stages, known, run)
        write_split(config.output / SPLIT, split.record)
        run.log_metrics(card.metrics)
        run.log_folder(config.output / EVALUATION, EVALUATION)
        version = keep_model(run, config)
    remove_work(config)
    logger.info("model %s version %s written to %s", card.name, card.version, config.output)
    return TrainResult(config.output, run.run_id, version, dict(card.metrics))


def help_to_train(config: DetectionConfig, *, resume: bool = False) -> None:
    """Do one process's part of stage one, beside the first process, which calls `train`.

    Raises:
        OutputError: the output folder lies where this process does not see it.
    """
    torch.set_float32_matmul_precision("high")
    training, validation, unlabelled = take_over()
    folder = work_folder(config) / PROPOSALS
    proposals = train_proposals(training, validation, config, folder, resume=resume)
    if unlabelled:
        help_with_rounds(proposals, (training, validation, unlabelled), config, folder, resume=resume)


def _train_stages(
    config: DetectionConfig,
    parts: tuple[Volumes, Volumes, Volumes],
    run: Run,
    work: Path,
    *,
    resume: bool,
) -> TrainedStages:
    training, validation, unlabelled = parts
    folder, log = work / PROPOSALS, run.lightning_logger()
    proposals = train_proposals(training, validation, config, folder, logger=log, resume=resume)
    if not unlabelled:
        ranks.part()
    stages = add_second_look(proposals, training, validation, config, log)
    if unlabelled:
        stages = train_rounds(stages, parts, config, folder, run, resume=resume)
    run.log_metrics({f"second_look/{name}": value for name, value in stages.figures.items()})
    return stages


def _write(config: DetectionConfig, stages: TrainedStages, known: TrainingRecord, run: Run) -> ModelCard:
    """The model directory, but for its split, and the run's pictures."""
    result = stages.validation
    result.write(config.output / EVALUATION)
    log_candidate_figures(run, stages.second_look, stages.held_out)
    card = ModelCard(
        name=config.name,
        version=config_sha256(config)[:12],
        task=config.task,
        proposals=config.proposals,
        candidates=config.candidates,
        second_look=config.second_look,
        fusion=result.fusion,
        operating_points=result.operating_points,
        metrics=result.metrics,
        training=known,
        licence=_licence(config),
    )
    return save_model(config.output, card, TwoStageDetector(stages.proposals, stages.second_look))


def _licence(config: DetectionConfig) -> str:
    initial = licence_of(config.second_look.backbone, config.second_look.weights)
    return f"Apache-2.0. Initial weights of the second look: {initial}."
