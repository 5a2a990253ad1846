"""MLflow runs and registered models: the only module that imports mlflow, and it works without it too."""

from __future__ import annotations

import getpass
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

from medvision import telemetry
from medvision.config.tracking import TrackingConfig, default_tracking_uri
from medvision.errors import MedvisionError, ModelError, OutputError
from medvision.files import make_folder

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

CHALLENGER = "challenger"
"""Alias of the newest registered version, which has not been promoted yet."""

BUNDLE = "monai-bundle:"
"""Before the path of a MONAI bundle's folder, or of its weights."""

_SQLITE = "sqlite:///"
_LONGEST_PARAMETER = 6000  # these two are limits of MLflow
_PARAMETERS_A_BATCH = 100


class Run(Protocol):
    """What a training says about itself while it runs."""

    @property
    def run_id(self) -> str | None:
        """MLflow's identifier of the run; None where nothing is recorded."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record numbers, as one point of a curve when a step is given."""

    def log_figure(self, figure: Figure, name: str) -> None:
        """Keep a picture, such as `froc.png`."""

    def log_text(self, text: str, name: str) -> None:
        """Keep a text file."""

    def log_folder(self, path: Path, artifact_path: str) -> None:
        """Keep a copy of a folder."""

    def lightning_logger(self) -> Logger | None:
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

    def log_figure(self, figure: Figure, name: str) -> None:
        pass

    def log_text(self, text: str, name: str) -> None:
        pass

    def log_folder(self, path: Path, artifact_path: str) -> None:
        pass

    def lightning_logger(self) -> None:
        return None

    def register(self, artifact_path: str, name: str) -> None:  # noqa: ARG002  a Run's signature
        return None


class _MlflowRun:
    """A run in MLflow. All calls name the run, so any thread may make them."""

    def __init__(self, client: Any, run_id: str) -> None:  # noqa: ANN401  an MlflowClient; mlflow may be absent
        self._client = client
        self._run_id = run_id

    @property
    def run_id(self) -> str | None:
        return self._run_id

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        points = [Metric(name, float(value), now, step or 0) for name, value in metrics.items()]
        self._client.log_batch(self._run_id, metrics=points)

    def log_figure(self, figure: Figure, name: str) -> None:
        self._client.log_figure(self._run_id, figure, name)

    def log_text(self, text: str, name: str) -> None:
        self._client.log_text(self._run_id, text, name)

    def log_folder(self, path: Path, artifact_path: str) -> None:
        self._client.log_artifacts(self._run_id, str(path), artifact_path)

    def lightning_logger(self) -> Logger:
        return _lightning_logger(self)

    def register(self, artifact_path: str, name: str) -> str:
        _create_model(self._client, name)
        source = f"{self._client.get_run(self._run_id).info.artifact_uri}/{artifact_path}"
        version = str(self._client.create_model_version(name, source, run_id=self._run_id).version)
        self._client.set_registered_model_alias(name, CHALLENGER, version)
        return version


@contextmanager
def start_run(
    settings: TrackingConfig, *, name: str, params: Mapping[str, Any], tags: Mapping[str, str] | None = None
) -> Iterator[Run]:
    """Record what happens inside the block as one MLflow run.

    The run ends as FINISHED, as KILLED on Ctrl-C and as FAILED on any other exception.

    Args:
        settings: where to record. Not enabled, or MLflow not installed: nothing is recorded.
        name: name of the run where the settings give none.
        params: what the run depends on; nested mappings become dotted names.
        tags: words to find the run by.

    Raises:
        OutputError: the store cannot be opened or written.
    """
    client = _open_store(settings.uri) if settings.enabled and _is_installed() else None
    if client is None:
        yield _Unrecorded()
        return
    run_id = _create_run(client, settings, settings.run_name or name, tags or {})
    status = "FAILED"
    try:
        _log_params(client, run_id, params)
        yield _MlflowRun(client, run_id)
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        client.set_terminated(run_id, status)


def resolve_model(reference: str, uri: str | None = None) -> Path:
    """Find the model directory that a reference means.

    Args:
        reference: a folder, `runs:/RUN_ID/PATH`, `models:/NAME@ALIAS` (or `/VERSION`) or `monai-bundle:PATH`.
        uri: tracking server; default MLFLOW_TRACKING_URI or `mlflow.db` in the working directory.

    Raises:
        ModelError: there is no such model.
    """
    if reference.startswith(("runs:/", "models:/")):
        return _fetch(reference, uri or default_tracking_uri())
    if reference.startswith(BUNDLE):
        return _existing_bundle(Path(reference.removeprefix(BUNDLE)))
    return _existing_folder(Path(reference), reference)


def _is_installed() -> bool:
    telemetry.switch_off()
    try:
        import mlflow  # noqa: F401
    except ImportError:
        logger.warning(
            "mlflow is not installed, so this run is not recorded; pip install 'medvision[mlflow]'"
        )
        return False
    return True


def _open_store(uri: str) -> Any:  # noqa: ANN401  an MlflowClient; mlflow may be absent
    from mlflow import MlflowClient

    if uri.startswith(_SQLITE):
        make_folder(_sqlite_path(uri).parent)
    for chatty in ("alembic", "mlflow.store.db.utils"):  # they tell every step of making the tables
        logging.getLogger(chatty).setLevel(logging.WARNING)
    with _one_line_errors(OutputError, f"cannot record the run at {uri}"):
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return client


def _create_run(client: Any, settings: TrackingConfig, name: str, tags: Mapping[str, str]) -> str:  # noqa: ANN401
    with _one_line_errors(OutputError, f"cannot record the run at {settings.uri}"):
        experiment = client.get_experiment_by_name(settings.experiment)
        experiment_id = experiment.experiment_id if experiment else _create_experiment(client, settings)
        told = {"mlflow.user": getpass.getuser(), "mlflow.source.name": "medvision train", **tags}
        return str(client.create_run(experiment_id, run_name=name, tags=told).info.run_id)


def _create_experiment(client: Any, settings: TrackingConfig) -> str:  # noqa: ANN401
    # The kind makes MLflow's pages show what belongs to training models instead of to language models.
    kind = {"mlflow.experimentKind": "custom_model_development"}
    return str(client.create_experiment(settings.experiment, _artifact_location(settings), kind))


def _artifact_location(settings: TrackingConfig) -> str | None:
    """Where a new experiment keeps its files: a SQLite store says nothing of its own, a server knows best."""
    if settings.artifact_location or not settings.uri.startswith(_SQLITE):
        return settings.artifact_location
    database = _sqlite_path(settings.uri).resolve()
    return database.with_name(f"{database.stem}-artifacts").as_uri()


def _sqlite_path(uri: str) -> Path:
    return Path(uri.removeprefix(_SQLITE))


def _log_params(client: Any, run_id: str, params: Mapping[str, Any]) -> None:  # noqa: ANN401
    from mlflow.entities import Param

    flat = [Param(key, str(value)[:_LONGEST_PARAMETER]) for key, value in flatten(params)]
    for start in range(0, len(flat), _PARAMETERS_A_BATCH):
        client.log_batch(run_id, params=flat[start : start + _PARAMETERS_A_BATCH])


def flatten(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings as dotted names: `{"a": {"b": 1}}` gives `("a.b", 1)`."""
    for key, value in params.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _create_model(client: Any, name: str) -> None:  # noqa: ANN401
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _fetch(reference: str, uri: str) -> Path:
    if not _is_installed():
        raise ModelError(f"model {reference} needs mlflow: pip install 'medvision[mlflow]', or give a folder")
    if uri.startswith(_SQLITE) and not _sqlite_path(uri).is_file():
        raise ModelError(f"model {reference}: no MLflow store at {uri}; set MLFLOW_TRACKING_URI")
    from mlflow import MlflowClient, artifacts

    with _one_line_errors(ModelError, f"model {reference} cannot be fetched from {uri}"):
        source = _source(MlflowClient(tracking_uri=uri, registry_uri=uri), reference)
        if source.startswith("file:"):
            return _existing_folder(Path(url2pathname(urlsplit(source).path)), reference)
        return Path(artifacts.download_artifacts(source, tracking_uri=uri))


def _source(client: Any, reference: str) -> str:  # noqa: ANN401  an MlflowClient
    """Where the files of `runs:/ID/PATH`, `models:/NAME@ALIAS` or `models:/NAME/VERSION` lie."""
    kind, _, rest = reference.partition(":/")
    name, _, path = rest.partition("/")
    if kind == "runs":
        return f"{client.get_run(name).info.artifact_uri}/{path}"
    name, at, alias = rest.partition("@")
    if at:
        return str(client.get_model_version_by_alias(name, alias).source)
    name, _, version = rest.rpartition("/")
    return str(client.get_model_version(name, version).source)


def _existing_bundle(path: Path) -> Path:
    if not path.exists():
        raise ModelError(f"bundle {path} is not there; give the folder of a MONAI bundle, or its model.pt")
    return path


def _existing_folder(folder: Path, reference: str) -> Path:
    if folder.is_dir():
        return folder
    what = "is a file, not a folder" if folder.exists() else "is not there"
    hint = "give a folder that `medvision train` wrote, runs:/RUN/PATH or models:/NAME@ALIAS"
    where = "" if reference == str(folder) else f" ({folder})"
    raise ModelError(f"model {reference}{where} {what}; {hint}")


@contextmanager
def _one_line_errors(kind: type[MedvisionError], what: str) -> Iterator[None]:
    """Turn what MLflow raises into one line that says what was tried."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise kind(f"{what}: {lines[0]}") from error


def _lightning_logger(run: Run) -> Logger:
    from lightning.pytorch.loggers import Logger

    class RunLogger(Logger):
        """Writes Lightning's metrics into a run that outlives the trainer."""

        name = "mlflow"
        version = run.run_id

        def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
            run.log_metrics(metrics, step)

        def log_hyperparams(self, *args: object, **kwargs: object) -> None:
            """The run knows its parameters since it started."""

    return RunLogger()
