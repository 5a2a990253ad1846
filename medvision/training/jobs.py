"""The training that belongs to a configuration."""

from __future__ import annotations

from medvision.config.classification import ClassifyPatchesConfig
from medvision.config.detection import DetectionConfig
from medvision.config.jobs import JobConfig
from medvision.config.retinanet_training import RetinaNetJob
from medvision.training.result import TrainResult


def run_job(config: JobConfig, *, resume: bool = False) -> TrainResult:
    """Train what the configuration describes.

    Args:
        config: any kind of training.
        resume: go on after an interruption; a training of seconds just starts again.

    Raises:
        MedvisionError: as the training itself says.
    """
    if isinstance(config, DetectionConfig):
        from medvision.training import detection

        return detection.train(config, resume=resume)
    if isinstance(config, RetinaNetJob):
        from medvision.training.retinanet import job

        return job.train(config, resume=resume)
    if isinstance(config, ClassifyPatchesConfig):
        from medvision.training import patch_classification

        return patch_classification.train(config)
    from medvision.training import picture_classification

    return picture_classification.train(config, resume=resume)
