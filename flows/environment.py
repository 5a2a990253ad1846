"""Settings that Prefect reads when it is imported, so this module must not import it."""

from __future__ import annotations

import os
from pathlib import Path

from medvision import telemetry
from medvision.files import make_folder

STARTUP_SECONDS = 300
"""The first start in a new home makes a database, which takes a slow machine a minute."""


def use_embedded_server(home: Path) -> None:
    """Let flows of this process run on a server of their own, which keeps everything in `home`.

    Call it before prefect is imported.

    Raises:
        OutputError: `home` cannot be made.
    """
    make_folder(home)
    telemetry.switch_off()
    for name in ("PREFECT_API_URL", "PREFECT_PROFILE"):  # a server that the user runs is none of our business
        os.environ.pop(name, None)
    os.environ |= {
        "PREFECT_HOME": str(home.resolve()),
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(STARTUP_SECONDS),
        "PREFECT_LOGGING_EXTRA_LOGGERS": "medvision",
    }
