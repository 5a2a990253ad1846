"""Where a run is recorded when nothing is said."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from medvision.config.tracking import DEFAULT_URI, TrackingConfig


def test_the_environment_names_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.hospital:5000")

    assert TrackingConfig().uri == "http://mlflow.hospital:5000"
    assert TrackingConfig(uri="sqlite:///mine.db").uri == "sqlite:///mine.db"


def test_without_one_it_is_a_file_in_the_working_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    assert TrackingConfig().uri == DEFAULT_URI
    with pytest.raises(ValidationError):
        TrackingConfig(uri="")
