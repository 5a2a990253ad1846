"""Settings that Prefect reads when it is imported, so this module must not import it."""

from __future__ import annotations

import os
from pathlib import Path

from medvision import telemetry
from medvision.errors import UsageError
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


def server_address() -> str:
    """Where the Prefect server is, as the environment or the profile says.

    Raises:
        UsageError: neither does, so that Prefect would start one that ends with the command.
    """
    from prefect.settings import PREFECT_API_URL

    address: str | None = PREFECT_API_URL.value()
    if not address:
        raise UsageError(
            "which Prefect server? start one (prefect server start) and set PREFECT_API_URL, such as "
            "http://127.0.0.1:4200/api"
        )
    return address
