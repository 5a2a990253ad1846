"""Train a RetinaNet: patches, network, operating points, model directory."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from medvision.config.base import config_sha256
from medvision.config.retinanet_training import RetinaNetJob
from medvision.datasets.split_record import SPLIT, write_split
from medvision.models.directory import save_model
from medvision.models.retinanet.card import RetinaNetCard
from medvision.models.retinanet.initial import RANDOM
from medvision.progress import track
from medvision.training import ranks
from medvision.training.cohort_split import split_cohorts
from medvision.training.model_card import describe_training
from medvision.training.patients import read_patients
from medvision.training.result import TrainResult
from medvision.training.retinanet.looking import taken
from medvision.training.retinanet.module import train_network
from medvision.training.run_words import log_cohorts
from medvision.training.tracked_run import keep_model, remove_work, tracked, work_folder
from medvision.training.validation import (
    EVALUATION,
    froc_metrics,
    measure,
    operating_points,
    write_froc,
)
from medvision.training.volume_hand_over import hand_over, take_over
from medvision.training.volume_shelf import VolumeShelf, open_shelf
from medvision.training.volumes import TrainingVolume

logger = logging.getLogger(__name__)

FIT = "fit"
"""Checkpoints, in the work folder."""


def train(
    job: RetinaNetJob,
    *,
    resume: bool = False,
    parent: str | None = None,
    shelf: VolumeShelf | None = None,
) -> TrainResult:
    """Train on the configured cohorts and write a model directory.

    Args:
        job: everything the result depends on.
        resume: go on from the checkpoints of an interrupted training.
        parent: identifier of the run that this training's is a part of.
        shelf: patients that this run's other folds have read; its own where None.

    Raises:
        OutputError: the model directory cannot be written.
        DataError: a cohort that cannot be read, or with fewer than two patients.
        ModelError: the initial weights cannot be read or do not fit.
        NothingToDoError: no Series that can be used.
    """
    work = work_folder(job)
    split = split_cohorts(job)
    training, validation = read_patients(split, shelf or open_shelf(job, work))
    hand_over((training, validation))
    with tracked(job, work, resume=resume, parent=parent) as run:
        log_cohorts(run, split)
        logger_of_run = run.lightning_logger()
        network = train_network(training, validation, job, work / FIT, logger=logger_of_run, resume=resume)
        ranks.part()
        card = _card(job, training, validation, run.run_id)
        find = taken(network, job)
        found = {
            volume.series.series_instance_uid: find(volume)
            for volume in track(validation, "validate", len(validation))
        }
        measured = measure(found, [volume.series for volume in validation], job.seed)
        logger.info("validation CPM %.3f", measured.cpm)
        write_froc(measured, job.output / EVALUATION)
        card = card.model_copy(
            update={"operating_points": operating_points(measured), "metrics": froc_metrics(measured)}
        )
        card = save_model(job.output, card, network)
        write_split(job.output / SPLIT, split.record)
        run.log_metrics(card.metrics)
        run.log_folder(job.output / EVALUATION, EVALUATION)
        version = keep_model(run, job)
    remove_work(job)
    logger.info("model %s version %s written to %s", card.name, card.version, job.output)
    return TrainResult(job.output, run.run_id, version, dict(card.metrics))


def help_to_train(job: RetinaNetJob, *, resume: bool = False) -> None:
    """Do one process's part, beside the first process, which calls `train`.

    Raises:
        OutputError: the output folder lies where this process does not see it.
        ModelError: the initial weights cannot be read or do not fit.
    """
    training, validation = take_over()
    train_network(training, validation, job, work_folder(job) / FIT, resume=resume)


def _card(
    job: RetinaNetJob,
    training: Sequence[TrainingVolume],
    validation: Sequence[TrainingVolume],
    run_id: str | None,
) -> RetinaNetCard:
    start = "random weights" if job.fit.weights == RANDOM else f"the weights of {Path(job.fit.weights).name}"
    return RetinaNetCard(
        name=job.name,
        version=config_sha256(job)[:12],
        task=job.task,
        network=job.network,
        grid=job.grid,
        boxes=job.boxes,
        operating_points=(),
        metrics={},
        training=describe_training(training, job, run_id, validation),
        licence=f"Apache-2.0; started from {start}, whose licence holds for what is made of them",
    )
