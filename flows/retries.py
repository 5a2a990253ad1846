"""When a task is tried again: where waiting may help, and nowhere else."""

from __future__ import annotations

import sqlite3
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

from medvision.errors import UsageError

if TYPE_CHECKING:
    from prefect import Task
    from prefect.client.schemas.objects import State, TaskRun

BACKOFF_SECONDS = [10.0, 60.0]
"""A share that is remounted, a lock that is given back: waited for twice."""

PASSING = (OSError, sqlite3.OperationalError, BrokenProcessPool)
"""A network or disk that does not answer, a database that is locked, a process that was killed."""

LASTING = (
    UsageError,
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
    TimeoutError,
)
"""The next attempt would end the same way; a time limit that was reached is not to be reached twice."""


def may_help(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001  Prefect's signature
    """Whether another attempt may end better than this one."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, PASSING) and not isinstance(error, LASTING)
