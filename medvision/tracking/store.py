"""An open MLflow store, and what it complains about in one line."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medvision import telemetry
from medvision.errors import MedvisionError, ModelError, OutputError
from medvision.files import make_folder

logger = logging.getLogger(__name__)

SQLITE = "sqlite:///"
_HABITS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""MLflow would ask a server that is away for minutes, and draw bars in logs; what the user has set stays."""
_CAUSE = re.compile(r"""\(Caused by \w+\(["']?(.+?)["']?\)\)$""")
"""The end of what urllib3 says of a server that does not answer, after its address in three ways."""
_SYSTEM_ERROR = re.compile(r"""\w+Error\(\d+, ["'](.+?)["']\)""")
"""The repr of an error of the system within it: of a connection that was cut in the middle."""
_CHATTY = ("alembic", "mlflow.models", "mlflow.pyfunc")
"""Their loggers tell every step of what they do."""
_ECHOES = ("mlflow.store.db.utils", "mlflow.system_metrics")
"""They complain, with tracebacks, of a store that is locked or away: who asked it for something says so."""


def is_installed() -> bool:
    """Whether mlflow can be imported; its telemetry is switched off first."""
    telemetry.switch_off()
    try:
        import mlflow  # noqa: F401
    except ImportError:
        logger.warning(
            "mlflow is not installed, so this run is not recorded; pip install 'medvision[mlflow]'"
        )
        return False
    return True


def open_store(uri: str) -> Any:  # noqa: ANN401  an MlflowClient; mlflow may be absent
    """A client of a store that answers; a SQLite file is made.

    Raises:
        OutputError: it cannot be reached, opened or read.
    """
    _calm_down()
    from mlflow import MlflowClient

    if uri.startswith(SQLITE):
        make_folder(sqlite_path(uri).parent)
    with one_line_errors(OutputError, f"cannot record the run at {uri}"):
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return client


def open_existing_store(reference: str, uri: str) -> Any:  # noqa: ANN401  an MlflowClient; mlflow may be absent
    """A client to look for a model with; makes nothing.

    Raises:
        ModelError: mlflow is not installed, or there is no such store.
    """
    if not is_installed():
        raise ModelError(f"model {reference} needs mlflow: pip install 'medvision[mlflow]', or give a folder")
    if uri.startswith(SQLITE) and not sqlite_path(uri).is_file():
        raise ModelError(f"model {reference}: no MLflow store at {uri}; set MLFLOW_TRACKING_URI")
    _calm_down()
    from mlflow import MlflowClient

    with one_line_errors(ModelError, f"model {reference} cannot be fetched from {uri}"):
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _calm_down() -> None:
    for name, value in _HABITS.items():
        os.environ.setdefault(name, value)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _ECHOES:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def sqlite_path(uri: str) -> Path:
    """The file of a `sqlite:///` address."""
    return Path(uri.removeprefix(SQLITE))


def failures() -> tuple[type[Exception], ...]:
    """What a store or the place of its files raises when it does not do what it is asked.

    ImportError is for drivers: of PostgreSQL, of S3.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import (
        SQLAlchemyError,  # comes with mlflow, which lets some through, such as of a lock
    )

    usual = (MlflowException, SQLAlchemyError, OSError, ImportError)
    try:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        return usual
    return (*usual, Boto3Error, BotoCoreError, ClientError)


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    cause = _CAUSE.search(lines[0])
    said = cause[1] if cause else lines[0]
    system = _SYSTEM_ERROR.search(said)
    return system[1] if system else said


@contextmanager
def one_line_errors(kind: type[MedvisionError], what: str) -> Iterator[None]:
    """Turn what MLflow raises into one line that says what was tried."""
    try:
        yield
    except failures() as error:
        raise kind(f"{what}: {first_line(error)}") from error
