"""Nothing is sent anywhere unless the user asks for it."""

from __future__ import annotations

import os

_OFF = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}


def switch_off() -> None:
    """Turn off the telemetry of MLflow and Prefect, before they are imported; what the user has set stays."""
    for name, value in _OFF.items():
        os.environ.setdefault(name, value)
