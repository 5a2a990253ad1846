"""What the terminal gets: results on stdout, logs and errors on stderr."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from medvision.cli.printable import OneLineFormatter, printable

LOG_FORMAT = "MEDVISION_LOG_FORMAT"
"""Environment variable: `text` for people (default), `json` for programs that collect logs."""

TRACEBACK = logging.DEBUG - 5
"""Log level of tracebacks: only -vv goes that low."""

_LEVELS = {-1: logging.WARNING, 0: logging.INFO, 1: logging.DEBUG}
# Lightning sets the level of its own loggers when it is imported, but not of these.
_NOISY_LIBRARIES = (
    "alembic",
    "highdicom",
    "lightning.fabric.utilities.rank_zero",
    "lightning.fabric.utilities.seed",
    "lightning.pytorch.utilities.rank_zero",
    "monai",
    "pydicom",
)


class _ToStderr(logging.StreamHandler[Any]):
    """Writes to what sys.stderr is at that moment, which tests and progress bars exchange."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(OneLineFormatter())
        if _as_json_lines():
            from medvision.cli.json_lines import JsonLines

            self.setFormatter(JsonLines())

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def set_verbosity(verbosity: int) -> None:
    """Choose what is logged.

    Args:
        verbosity: -2 errors, -1 warnings, 0 progress, 1 details and the libraries' own words, 2 tracebacks.
    """
    package = logging.getLogger("medvision")
    package.setLevel(_LEVELS.get(verbosity, TRACEBACK if verbosity > 0 else logging.ERROR))
    package.propagate = False
    package.handlers = [one for one in package.handlers if not isinstance(one, _ToStderr)]
    package.addHandler(_ToStderr())
    for name in _NOISY_LIBRARIES:
        logging.getLogger(name).setLevel(logging.INFO if verbosity > 0 else logging.ERROR)
    warnings.simplefilter("default" if verbosity > 0 else "ignore")


def show(record: Mapping[str, Any], lines: Iterable[str], *, as_json: bool) -> None:
    """Print lines for a person or, with --json, one JSON object as the last line."""
    if as_json:
        print(json.dumps(record, default=str))
    else:
        print(printable("\n".join(lines)))


def show_error(message: str, exit_code: int, *, as_json: bool) -> int:
    """Print an error on stderr, with --json as an object on stdout too; returns the exit code."""
    if _as_json_lines():
        logging.getLogger("medvision").error("%s", message)
    else:
        print(printable(f"medvision: {message}"), file=sys.stderr)
    if as_json:
        print(json.dumps({"error": message, "exit_code": exit_code}))
    return exit_code


def _as_json_lines() -> bool:
    return os.environ.get(LOG_FORMAT, "text") == "json"
