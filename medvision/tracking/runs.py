"""One training, one MLflow run."""

from __future__ import annotations

import getpass
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from medvision.config.tracking import TrackingConfig
from medvision.errors import OutputError
from medvision.files import write_text
from medvision.tracking.lightning import lightning_logger
from medvision.tracking.outbox import PATIENCE_S, Outbox
from medvision.tracking.provenance import DataIdentity, describe, source_tags, system_metrics
from medvision.tracking.registry import register
from medvision.tracking.store import (
    SQLITE,
    failures,
    first_line,
    is_installed,
    one_line_errors,
    open_store,
    sqlite_path,
)
from medvision.tracking.termination import Terminated, raise_when_terminated

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

_LONGEST_PARAMETER = 6000  # these two are limits of MLflow
_PARAMETERS_A_BATCH = 100
_WHERE = frozenset({"output"})
"""Differs from run to run and makes no difference: MLflow's comparison would draw it first."""

Describe = Callable[[Mapping[str, float]], str]
"""From the figures of a training to words for a person."""


class Run(Protocol):
    """What a training says about itself while it runs."""

    @property
    def run_id(self) -> str | None:
        """MLflow's identifier of the run; None where nothing is recorded."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record numbers, as one point of a curve when a step is given."""

    def log_data(self, data: DataIdentity) -> None:
        """Record what is learnt from or judged on."""

    def log_child(self, name: str, metrics: Mapping[str, float]) -> None:
        """Record a part of this training, such as a fold of a cross-validation, as a run below this one."""

    def log_figure(self, figure: Figure, name: str) -> None:
        """Keep a picture, such as `froc.png`."""

    def log_text(self, text: str, name: str) -> None:
        """Keep a text file."""

    def log_folder(self, path: Path, artifact_path: str) -> None:
        """Keep a copy of a folder, but for the tables that name whom they judge."""

    def log_model(self, path: Path, artifact_path: str) -> None:
        """Keep a model directory; a detector's as a model that MLflow can load and serve."""

    def lightning_logger(self, prefix: str = "") -> Logger | None:
        """A Lightning logger that writes into this run; None where nothing is recorded."""

    def register(self, artifact_path: str, name: str) -> str | None:
        """Make a kept folder a new version of a registered model, with the alias `challenger`.

        Returns:
            The version; None where nothing is recorded.
        """


class _Unrecorded:
    """A run that nobody records."""

    run_id: str | None = None

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        pass

    def log_data(self, data: DataIdentity) -> None:
        pass

    def log_child(self, name: str, metrics: Mapping[str, float]) -> None:
        pass

    def log_figure(self, figure: Figure, name: str) -> None:
        pass

    def log_text(self, text: str, name: str) -> None:
        pass

    def log_folder(self, path: Path, artifact_path: str) -> None:
        pass

    def log_model(self, path: Path, artifact_path: str) -> None:
        pass

    def lightning_logger(self, prefix: str = "") -> None:  # noqa: ARG002  a Run's signature
        return None

    def register(self, artifact_path: str, name: str) -> None:  # noqa: ARG002  a Run's signature
        return None


class _MlflowRun:
    """A run in MLflow. All calls name the run, so any thread may make them."""

    def __init__(self, client: Any, run_id: str, uri: str, describe: Describe) -> None:  # noqa: ANN401  an MlflowClient
        self._client = client
        self._run_id = run_id
        self._uri = uri
        self._describe = describe
        self._outbox = Outbox(client, run_id, uri)
        self._last_step: dict[str, int] = {}
        self._figures: dict[str, float] = {}
        self._clock_s = time.time() - time.monotonic()

    def _now_ms(self) -> int:
        """By the clock as it was when the run began: who sets it meanwhile makes no curve go back in time."""
        return int((self._clock_s + time.monotonic()) * 1000)

    @property
    def run_id(self) -> str | None:
        return self._run_id

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        from mlflow.entities import Metric

        now = self._now_ms()
        if step is None:
            self._figures.update(metrics)
        else:
            self._last_step |= dict.fromkeys(metrics, step)
        # A figure without a step ends the curve of its name: MLflow shows the value of the highest step.
        points = [
            Metric(name, float(value), now, self._last_step.get(name, 0)) for name, value in metrics.items()
        ]
        self._outbox.add_points(points)

    def log_data(self, data: DataIdentity) -> None:
        inputs = [data.to_mlflow()]
        self._outbox.add(lambda: self._client.log_inputs(self._run_id, inputs))

    def log_child(self, name: str, metrics: Mapping[str, float]) -> None:
        self._outbox.add(lambda: self._send_child(name, metrics))

    def log_figure(self, figure: Figure, name: str) -> None:
        self._outbox.add(lambda: self._client.log_figure(self._run_id, figure, name))

    def log_text(self, text: str, name: str) -> None:
        self._outbox.add(lambda: self._client.log_text(self._run_id, text, name))

    def log_folder(self, path: Path, artifact_path: str) -> None:
        self._outbox.add(lambda: self._send_folder(path, artifact_path))

    def log_model(self, path: Path, artifact_path: str) -> None:
        self._outbox.add(lambda: self._send_folder(path, artifact_path))

    def lightning_logger(self, prefix: str = "") -> Logger:
        return lightning_logger(self, prefix)

    def register(self, artifact_path: str, name: str) -> str | None:
        try:
            if self._outbox.flush():
                tags = {key: f"{value:.4g}" for key, value in self._figures.items()}
                words = self._describe(self._figures)
                return register(self._client, name, self._run_id, artifact_path, tags, words)
            reason = "the model is not there yet"
        except failures() as error:
            reason = first_line(error)
        logger.warning("tracking at %s: no version of %s was registered: %s", self._uri, name, reason)
        return None

    def note(self) -> None:
        """Set the description that the run's page shows."""
        words = self._describe(self._figures)
        self._outbox.add(lambda: self._client.set_tag(self._run_id, "mlflow.note.content", words))

    def finish(self, status: str, patience_s: float) -> None:
        """Send what is left and end the run; says what could not be sent."""
        if not self._outbox.flush(patience_s):
            logger.warning(
                "tracking at %s stayed away: %d records of run %s are lost; the model directory is complete",
                self._uri,
                self._outbox.waiting,
                self._run_id,
            )
        try:
            self._client.set_terminated(self._run_id, status, self._now_ms())
        except failures() as error:
            logger.warning(
                "tracking at %s: run %s could not be ended as %s: %s",
                self._uri,
                self._run_id,
                status,
                first_line(error),
            )

    def _send_folder(self, path: Path, artifact_path: str) -> None:
        from medvision.tracking.packaging import packaged

        with packaged(path) as folder:
            self._client.log_artifacts(self._run_id, str(folder), artifact_path)

    def _send_child(self, name: str, metrics: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        parent = self._client.get_run(self._run_id).info
        tags = {"mlflow.parentRunId": self._run_id, "mlflow.user": getpass.getuser()}
        child = self._client.create_run(parent.experiment_id, run_name=name, tags=tags).info.run_id
        now = self._now_ms()
        self._client.log_batch(child, metrics=[Metric(key, float(v), now, 0) for key, v in metrics.items()])
        self._client.set_terminated(child)


@contextmanager
def start_run(
    settings: TrackingConfig,
    *,
    name: str,
    params: Mapping[str, Any],
    changed: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    remember: Path | None = None,
    resume: bool = False,
) -> Iterator[Run]:
    """Record what happens inside the block as one MLflow run.

    The run ends as FINISHED, as KILLED on Ctrl-C and SIGTERM, and as FAILED on any other exception. While the
    server does not answer, the block goes on and the records wait.

    Args:
        settings: where to record. Not enabled, or MLflow not installed: nothing is recorded.
        name: name of the run where the settings give none.
        params: what the run depends on; nested mappings become dotted names.
        changed: those of them that are not the default, for the description.
        tags: words to find the run by.
        remember: file that keeps the run's identifier, so that a later call can go on with the run.
        resume: go on with the run of that file, if it is still there.

    Raises:
        OutputError: the store cannot be opened or written.
    """
    client = open_store(settings.uri) if settings.enabled and is_installed() else None
    if client is None:
        yield _Unrecorded()
        return
    run_id = _reopened(client, remember) if resume and remember else None
    again = run_id is not None
    if run_id is None:
        run_id = _create_run(client, settings, settings.run_name or name, tags or {})
    if remember:
        write_text(remember, run_id + "\n")
    words = partial(describe, params, changed=dict(flatten(changed or {})))
    run = _MlflowRun(client, run_id, settings.uri, words)
    status, patience_s = "FAILED", 0.0
    try:
        with raise_when_terminated(), system_metrics(run_id, settings.uri, resume=again):
            _log_params(client, settings, run_id, params)
            yield run
            run.note()
        status, patience_s = "FINISHED", PATIENCE_S
    except (KeyboardInterrupt, Terminated):
        status = "KILLED"
        raise
    finally:
        run.finish(status, patience_s)


def _reopened(client: Any, remember: Path) -> str | None:  # noqa: ANN401  an MlflowClient
    """The run that a file names, running again; None where there is none any more."""
    from mlflow.exceptions import MlflowException

    if not remember.is_file():
        return None
    run_id = remember.read_text(encoding="utf-8").strip()
    try:
        client.update_run(run_id, status="RUNNING")
    except MlflowException as error:
        logger.warning("run %s cannot go on, a new one begins: %s", run_id, first_line(error))
        return None
    return run_id


def _create_run(client: Any, settings: TrackingConfig, name: str, tags: Mapping[str, str]) -> str:  # noqa: ANN401
    with one_line_errors(OutputError, f"cannot record the run at {settings.uri}"):
        experiment = client.get_experiment_by_name(settings.experiment)
        experiment_id = experiment.experiment_id if experiment else _create_experiment(client, settings)
        told = {"mlflow.user": getpass.getuser(), **source_tags(), **tags}
        return str(client.create_run(experiment_id, run_name=name, tags=told).info.run_id)


def _create_experiment(client: Any, settings: TrackingConfig) -> str:  # noqa: ANN401
    # The kind makes MLflow's pages show what belongs to training models instead of to language models.
    kind = {"mlflow.experimentKind": "custom_model_development"}
    return str(client.create_experiment(settings.experiment, _artifact_location(settings), kind))


def _artifact_location(settings: TrackingConfig) -> str | None:
    """Where a new experiment keeps its files: a SQLite store says nothing of its own, a server knows best."""
    if settings.artifact_location or not settings.uri.startswith(SQLITE):
        return settings.artifact_location
    database = sqlite_path(settings.uri).resolve()
    return database.with_name(f"{database.stem}-artifacts").as_uri()


def _log_params(client: Any, settings: TrackingConfig, run_id: str, params: Mapping[str, Any]) -> None:  # noqa: ANN401
    import yaml
    from mlflow.entities import Param

    told = ((key, value) for key, value in flatten(params) if key not in _WHERE)
    flat = [Param(key, str(value)[:_LONGEST_PARAMETER]) for key, value in told]
    with one_line_errors(OutputError, f"cannot record the run at {settings.uri}"):
        for start in range(0, len(flat), _PARAMETERS_A_BATCH):
            client.log_batch(run_id, params=flat[start : start + _PARAMETERS_A_BATCH])
        if params:
            words = yaml.safe_dump(dict(params), sort_keys=False, allow_unicode=True)
            client.log_text(run_id, words, "config.yaml")


def flatten(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings as dotted names: `{"a": {"b": 1}}` gives `("a.b", 1)`."""
    for key, value in params.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
