"""Fine-tune a picture classifier: a folder of pictures, or a MedMNIST file."""

from __future__ import annotations

from pathlib import Path

import torch

from medvision.config.base import config_sha256
from medvision.config.pictures import ClassifyImagesConfig, ClassifyMedmnistConfig
from medvision.models.directory import save_model
from medvision.models.picture_card import LearntPictures, PictureCard
from medvision.models.picture_classifier import PictureClassifier
from medvision.models.published import licence_of
from medvision.tracking import Run
from medvision.training.finetuning.loop import FitOptions, fine_tune, predict
from medvision.training.finetuning.record import Judged, write_record
from medvision.training.picture_sets import PictureSet, load_folder, load_medmnist
from medvision.training.result import TrainResult
from medvision.training.run_figures import log_picture_figures
from medvision.training.run_words import log_pictures
from medvision.training.tracked_run import keep_model, remove_work, tracked, work_folder

Config = ClassifyImagesConfig | ClassifyMedmnistConfig


def train(config: Config, *, resume: bool = False) -> TrainResult:
    """Fine-tune, judge the best epoch on what was held out, and write a model directory.

    Args:
        config: everything the result depends on.
        resume: go on from the last epoch of an interrupted training.

    Raises:
        OutputError: the model directory cannot be written.
        DataError: pictures that cannot be used.
        ModelError: the initial weights cannot be used.
        ConfigError: a backbone that is not known.
    """
    pictures = load_folder(config) if isinstance(config, ClassifyImagesConfig) else load_medmnist(config)
    work = work_folder(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = PictureClassifier.initialised(
            config.model,
            len(pictures.classes),
            volumes=pictures.volumes,
            colour=pictures.colour,
            dropout=config.training.dropout,
        )
        with tracked(config, work, resume=resume) as run:
            log_pictures(run, config, pictures)
            metrics = _train(config, network, pictures, run, work, resume=resume)
            run.log_metrics(metrics)
            version = keep_model(run, config)
    remove_work(config)
    return TrainResult(config.output, run.run_id, version, metrics)


def _train(
    config: Config, network: PictureClassifier, pictures: PictureSet, run: Run, work: Path, *, resume: bool
) -> dict[str, float]:
    history = fine_tune(
        network,
        pictures.parts,
        config.training,
        config.augmentation,
        work,
        FitOptions(config.seed, run.lightning_logger(), resume),
    )
    judged = {
        name: _judge(network, pictures, name, config.training.batch_size)
        for name in pictures.parts
        if name != "train"
    }
    metrics = write_record(config.output, judged, pictures.classes, history)
    save_model(config.output, _card(config, pictures, metrics, run.run_id), network)
    log_picture_figures(run, judged, network, pictures)
    return metrics


def _judge(network: PictureClassifier, pictures: PictureSet, name: str, batch_size: int) -> Judged:
    part = pictures.parts[name]
    probabilities = predict(network, part, batch_size).double().numpy()
    return Judged(pictures.names[name], part.targets.long().numpy(), probabilities)


def _card(config: Config, pictures: PictureSet, metrics: dict[str, float], run_id: str | None) -> PictureCard:
    return PictureCard(
        name=config.name,
        version=config_sha256(config)[:12],
        task=config.task,
        metrics=metrics,
        licence=licence_of(config.model.backbone, config.model.weights),
        model=config.model,
        classes=pictures.classes,
        volumes=pictures.volumes,
        colour=pictures.colour,
        adapter_width=config.training.adapter_width if config.training.train == "adapter" else 0,
        exclusive=pictures.parts["train"].targets.ndim == 1,
        training=LearntPictures(
            training=len(pictures.parts["train"]),
            validation=len(pictures.parts["val"]),
            config_sha256=config_sha256(config),
            run_id=run_id,
        ),
    )
