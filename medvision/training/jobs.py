"""The training that belongs to a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medvision.config.classification import ClassifyPatchesConfig
from medvision.config.detection import DetectionConfig
from medvision.config.jobs import JobConfig
from medvision.config.retinanet_training import RetinaNetJob
from medvision.errors import ConfigError
from medvision.exclusive import alone_in
from medvision.files import make_folder
from medvision.training import ranks
from medvision.training.result import TrainResult

if TYPE_CHECKING:
    from medvision.training.volume_shelf import VolumeShelf


def run_job(config: JobConfig, *, resume: bool = False) -> TrainResult:
    """Train what the configuration describes.

    Args:
        config: any kind of training.
        resume: go on after an interruption.

    Raises:
        OutputError: the model directory cannot be written, or another training is at work there.
        MedvisionError: as the training itself says.
    """
    with alone_in(make_folder(config.output), "training"):
        return _run(config, resume=resume)


def _run(config: JobConfig, *, resume: bool) -> TrainResult:
    if isinstance(config, DetectionConfig | RetinaNetJob):
        return _train_detector(config, resume=resume)
    if isinstance(config, ClassifyPatchesConfig):
        from medvision.training import patch_classification

        return patch_classification.train(config, resume=resume)
    from medvision.training import picture_classification

    return picture_classification.train(config, resume=resume)


def _train_detector(
    config: DetectionConfig | RetinaNetJob,
    *,
    resume: bool,
    parent: str | None = None,
    shelf: VolumeShelf | None = None,
) -> TrainResult:
    if config.data.folds is not None and config.data.fold is None:
        from medvision.training.folds import train_folds

        return train_folds(config, _train_detector, resume=resume)
    if isinstance(config, DetectionConfig):
        from medvision.training import detection

        return detection.train(config, resume=resume, parent=parent, shelf=shelf)
    from medvision.training.retinanet import job

    return job.train(config, resume=resume, parent=parent, shelf=shelf)


def run_in_ranks(config: JobConfig, *, resume: bool = False) -> TrainResult | None:
    """As `run_job`, in one of the processes that `torchrun` has started; the same without `torchrun`.

    Args:
        config: a training of a detector, where there are several processes.
        resume: go on after an interruption; after a restart by `torchrun` it does so by itself.

    Returns:
        None in all processes but the first, which only help.

    Raises:
        ConfigError: this training cannot be shared.
        MedvisionError: as the training itself says.
    """
    resume = resume or ranks.restarted()
    if ranks.count() == 1:
        return run_job(config, resume=resume)
    if not isinstance(config, DetectionConfig | RetinaNetJob):
        raise ConfigError(f"task {config.task} is trained by one process; start it without torchrun")
    if config.data.folds is not None and config.data.fold is None:
        raise ConfigError("data.folds: several processes train one fold at a time; give data.fold as well")
    with ranks.together():
        if ranks.number() == 0:
            return run_job(config, resume=resume)
        _help(config, resume=resume)
    return None


def _help(config: DetectionConfig | RetinaNetJob, *, resume: bool) -> None:
    if isinstance(config, DetectionConfig):
        from medvision.training import detection

        detection.help_to_train(config, resume=resume)
    else:
        from medvision.training.retinanet import job

        job.help_to_train(config, resume=resume)
