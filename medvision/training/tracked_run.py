"""A training around its MLflow run: where it works, what the run is called, what is registered at the end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medvision.config.base import config_sha256
from medvision.config.jobs import JobConfig
from medvision.files import make_folder
from medvision.tracking import Run, start_run

WORK_FOLDER = ".work"
"""Checkpoints of trainings that have not ended, a folder a configuration, inside the model directory."""

RUN_ID = "run_id"
"""In the folder of checkpoints: the run that goes on when the training does."""

_NO_SETTINGS = {"tracking", "output", "name", "task"}

PARENT = "mlflow.parentRunId"
"""Tag by which MLflow shows a run below another."""


def work_folder(config: JobConfig) -> Path:
    """The folder that an interrupted training goes on from, made if need be.

    Raises:
        OutputError: it cannot be made.
    """
    return make_folder(make_folder(config.output) / WORK_FOLDER / config_sha256(config)[:12])


def remove_work(config: JobConfig) -> None:
    """The training is complete and its run has ended: until then, a kill must find where to go on."""
    shutil.rmtree(config.output / WORK_FOLDER)


def run_name(config: JobConfig) -> str:
    """The model's name and version: the same settings have the same name, others another."""
    return f"{config.name} {config_sha256(config)[:12]}"


def run_tags(config: JobConfig) -> dict[str, str]:
    """What runs are filtered by."""
    return {
        "task": config.task,
        "model.name": config.name,
        "model.version": config_sha256(config)[:12],
        "output": str(config.output),
    }


@contextmanager
def tracked(
    config: JobConfig, work: Path | None = None, *, resume: bool = False, parent: str | None = None
) -> Iterator[Run]:
    """Record a training as one run, see `start_run`.

    Args:
        config: everything the training depends on.
        work: its folder of checkpoints, which remembers the run; None: the run cannot go on later.
        resume: go on in the run that the folder remembers.
        parent: identifier of the run that this one is shown below.

    Raises:
        OutputError: the tracking store cannot be opened or written.
    """
    with start_run(
        config.tracking,
        name=run_name(config),
        params=config.model_dump(mode="json", exclude={"tracking"}),
        changed=config.model_dump(mode="json", exclude=_NO_SETTINGS, exclude_defaults=True),
        tags=run_tags(config) | ({PARENT: parent} if parent else {}),
        remember=work / RUN_ID if work else None,
        resume=resume,
    ) as run:
        yield run


def keep_model(run: Run, config: JobConfig) -> str | None:
    """Keep the model directory in the run and, where the configuration names one, as a registered model.

    Returns:
        The registered version; None where nothing was registered.
    """
    run.log_model(config.output, "model")
    return run.register("model", config.tracking.register_as) if config.tracking.register_as else None
