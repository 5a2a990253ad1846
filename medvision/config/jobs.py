"""Every kind of training that a YAML file can describe, by its `task`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medvision.config.base import load_task
from medvision.config.classification import ClassifyPatchesConfig
from medvision.config.detection import DetectionConfig
from medvision.config.pictures import ClassifyImagesConfig, ClassifyMedmnistConfig
from medvision.config.retinanet_training import RetinaNetJob

JobConfig = (
    DetectionConfig | RetinaNetJob | ClassifyPatchesConfig | ClassifyImagesConfig | ClassifyMedmnistConfig
)

_TASKS: dict[str, type[JobConfig]] = {
    "detect_lite": DetectionConfig,
    "detect_retinanet": RetinaNetJob,
    "classify_patches": ClassifyPatchesConfig,
    "classify_images": ClassifyImagesConfig,
    "classify_medmnist": ClassifyMedmnistConfig,
}


def load_job(path: Path, overrides: Sequence[str] = ()) -> JobConfig:
    """Read a training's configuration.

    Args:
        path: the YAML file.
        overrides: such as `training.steps=200`.

    Raises:
        ConfigError: with one line a problem: file, key, value, what is allowed.
    """
    return load_task(path, _TASKS, overrides)
