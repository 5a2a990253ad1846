"""From `models:/NAME@ALIAS` and its like to a model directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from medvision.config.tracking import default_tracking_uri
from medvision.errors import ModelError
from medvision.tracking.store import one_line_errors, open_existing_store

BUNDLE = "monai-bundle:"
"""Before the path of a MONAI bundle's folder, or of its weights."""

INSIDE = Path("artifacts") / "model"
"""The model directory inside what MLflow keeps as a model."""


def resolve_model(reference: str, uri: str | None = None) -> Path:
    """Find the model directory that a reference means.

    Args:
        reference: a folder, `runs:/RUN_ID/PATH`, `models:/NAME@ALIAS` (or `/VERSION`) or `monai-bundle:PATH`.
        uri: tracking server; default MLFLOW_TRACKING_URI or `mlflow.db` in the working directory.

    Raises:
        ModelError: there is no such model.
    """
    if reference.startswith(("runs:/", "models:/")):
        _refuse_paths(reference)
        return _model_directory(_fetch(reference, uri or default_tracking_uri()))
    if reference.startswith(BUNDLE):
        return _existing_bundle(Path(reference.removeprefix(BUNDLE)))
    return _model_directory(_existing_folder(Path(reference), reference))


def _refuse_paths(reference: str) -> None:
    """A name is no path, and a path inside a run stays inside."""
    parts = unquote(unquote(reference)).replace("\\", "/").split("/")
    if ".." in parts or not reference.isprintable() or set(reference) & set("?#\\"):
        raise ModelError(
            f"model {reference!r} leads out of the store; give runs:/RUN/PATH or models:/NAME@ALIAS"
        )


def _model_directory(folder: Path) -> Path:
    """The model directory itself where a folder is what MLflow keeps of it."""
    return folder / INSIDE if (folder / "MLmodel").is_file() else folder


def _fetch(reference: str, uri: str) -> Path:
    client = open_existing_store(reference, uri)
    from mlflow import artifacts

    with one_line_errors(ModelError, f"model {reference} cannot be fetched from {uri}"):
        source = _source(client, reference)
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
