"""Telemetry is off, unless the user has turned it on."""

from __future__ import annotations

import subprocess
import sys

import pytest

from medvision import telemetry


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", environment := {"DO_NOT_TRACK": "0"})

    telemetry.switch_off()

    assert environment["DO_NOT_TRACK"] == "0"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_mlflow_and_prefect_understand_it() -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("prefect")
    code = """
from medvision import telemetry
telemetry.switch_off()
from mlflow.environment_variables import MLFLOW_DISABLE_TELEMETRY
from prefect.settings import get_current_settings
print(MLFLOW_DISABLE_TELEMETRY.get(), get_current_settings().server.analytics_enabled)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
