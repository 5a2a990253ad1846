"""Registered models: versions, and the aliases that say which one is in use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medvision.errors import ModelError
from medvision.tracking.store import first_line, one_line_errors, open_existing_store

CHALLENGER = "challenger"
"""Alias of the newest registered version, which has not been promoted yet."""
CHAMPION = "champion"
"""Alias of the version in use."""
FORMER_CHAMPION = "former_champion"
"""Alias of the version that was in use before, to go back to."""


@dataclass(frozen=True, slots=True)
class Registry:
    """The versions of one registered model."""

    client: Any
    name: str
    uri: str

    @classmethod
    def open(cls, name: str, uri: str) -> Registry:
        """Find a registered model.

        Raises:
            ModelError: mlflow is not installed, or there is no such store or model.
        """
        client = open_existing_store(f"models:/{name}", uri)
        with one_line_errors(ModelError, f"no registered model {name} at {uri}"):
            client.get_registered_model(name)
        return cls(client, name, uri)

    def version_of(self, alias: str) -> str | None:
        """The version that an alias means; None where it means none.

        Raises:
            ModelError: the store does not answer.
        """
        with one_line_errors(ModelError, f"cannot read the aliases of {self.name} at {self.uri}"):
            aliases = self.client.get_registered_model(self.name).aliases
        return str(aliases[alias]) if alias in aliases else None

    def tag(self, version: str, tags: Mapping[str, str]) -> None:
        """Note something about a version.

        Raises:
            ModelError: the store cannot be written.
        """
        with one_line_errors(ModelError, f"cannot tag {self.name} version {version} at {self.uri}"):
            for key, value in tags.items():
                self.client.set_model_version_tag(self.name, version, key, value)

    def crown(self, challenger: str, *, challenger_alias: str = CHALLENGER) -> None:
        """Put a version into use; the one before stays at hand as `former_champion`.

        Raises:
            ModelError: the store cannot be written.
        """
        before = self.version_of(CHAMPION)
        with one_line_errors(ModelError, f"cannot move the aliases of {self.name} at {self.uri}"):
            if before is not None:
                self.client.set_registered_model_alias(self.name, FORMER_CHAMPION, before)
            self.client.set_registered_model_alias(self.name, CHAMPION, challenger)
            if self.version_of(challenger_alias) == challenger:
                self.client.delete_registered_model_alias(self.name, challenger_alias)


def register(
    client: Any,  # noqa: ANN401  an MlflowClient
    name: str,
    run_id: str,
    artifact_path: str,
    tags: Mapping[str, str],
    description: str,
) -> str:
    """Make a run's folder a new version of a registered model, with the alias `challenger`.

    Returns:
        The version.
    """
    _create_model(client, name)
    source = f"{client.get_run(run_id).info.artifact_uri}/{artifact_path}"
    told = {"tags": dict(tags), "description": description}
    version = str(client.create_model_version(name, source, run_id=run_id, **told).version)
    client.set_registered_model_alias(name, CHALLENGER, version)
    return version


def _create_model(client: Any, name: str) -> None:  # noqa: ANN401  an MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise MlflowException(first_line(error)) from error
