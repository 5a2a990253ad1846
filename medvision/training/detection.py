"""Train the lite detector: proposals, second look, fusion, operating points, model directory."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from medvision.config.base import config_sha256
from medvision.config.detection import DetectionConfig
from medvision.datasets.split_record import SPLIT, write_split
from medvision.models.classifier import NoduleClassifier
from medvision.models.detector import TwoStageDetector
from medvision.models.directory import ModelCard, save_model
from medvision.models.heatmap import HeatMapNet
from medvision.models.published import licence_of
from medvision.tracking import Run
from medvision.training import ranks
from medvision.training.candidates import SeriesCandidates, find_candidates, second_look_samples
from medvision.training.cohort_split import split_cohorts
from medvision.training.leakage import refuse_known_weights
from medvision.training.model_card import describe_training
from medvision.training.patients import read_patients
from medvision.training.proposals import train_proposals
from medvision.training.result import TrainResult
from medvision.training.run_figures import log_candidate_figures
from medvision.training.run_words import log_cohorts
from medvision.training.second_look import train_second_look
from medvision.training.tracked_run import keep_model, remove_work, tracked, work_folder
from medvision.training.validation import EVALUATION, Validation, validate
from medvision.training.volume_hand_over import hand_over, take_over
from medvision.training.volume_shelf import VolumeShelf, open_shelf
from medvision.training.volumes import TrainingVolume

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
    split = split_cohorts(config)
    training, validation = read_patients(split, shelf or open_shelf(config, work))
    refuse_known_weights(config.second_look.weights, validation)
    hand_over((training, validation))
    with tracked(config, work, resume=resume, parent=parent) as run:
        log_cohorts(run, split)
        card, result = _train_stages(config, training, validation, run, work, resume=resume)
        write_split(config.output / SPLIT, split.record)
        run.log_metrics(result.metrics)
        run.log_folder(config.output / EVALUATION, EVALUATION)
        version = keep_model(run, config)
    remove_work(config)
    logger.info("model %s version %s written to %s", card.name, card.version, config.output)
    return TrainResult(config.output, run.run_id, version, dict(result.metrics))


def help_to_train(config: DetectionConfig, *, resume: bool = False) -> None:
    """Do one process's part of stage one, beside the first process, which calls `train`.

    Raises:
        OutputError: the output folder lies where this process does not see it.
    """
    torch.set_float32_matmul_precision("high")
    training, validation = take_over()
    folder = work_folder(config) / PROPOSALS
    train_proposals(training, validation, config, folder, resume=resume)


def _train_stages(
    config: DetectionConfig,
    training: Sequence[TrainingVolume],
    validation: Sequence[TrainingVolume],
    run: Run,
    work: Path,
    *,
    resume: bool,
) -> tuple[ModelCard, Validation]:
    proposals = train_proposals(
        training,
        validation,
        config,
        work / PROPOSALS,
        logger=run.lightning_logger(),
        resume=resume,
    )
    ranks.part()
    learnt = find_candidates(proposals, training, config, learning=True)
    held_out = find_candidates(proposals, validation, config, learning=False)
    second_look = _train_second_look(config, learnt, held_out, run)
    result = validate(second_look, held_out, config.seed)
    result.write(config.output / EVALUATION)
    log_candidate_figures(run, second_look, held_out)
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
        training=describe_training(training, config, run.run_id, validation),
        licence=_licence(config),
    )
    return _save(config, card, proposals, second_look), result


def _licence(config: DetectionConfig) -> str:
    initial = licence_of(config.second_look.backbone, config.second_look.weights)
    return f"Apache-2.0. Initial weights of the second look: {initial}."


def _train_second_look(
    config: DetectionConfig,
    learnt: Sequence[SeriesCandidates],
    held_out: Sequence[SeriesCandidates],
    run: Run,
) -> NoduleClassifier:
    network, metrics = train_second_look(
        second_look_samples(learnt),
        second_look_samples(held_out),
        config.second_look,
        logger=run.lightning_logger(),
        seed=config.seed,
    )
    run.log_metrics({f"second_look/{name}": value for name, value in metrics.items()})
    return network


def _save(
    config: DetectionConfig, card: ModelCard, proposals: HeatMapNet, second_look: NoduleClassifier
) -> ModelCard:
    return save_model(config.output, card, TwoStageDetector(proposals, second_look))
