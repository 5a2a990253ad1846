"""How a flow run over a cohort ends: `Completed`, or in a state whose name says what happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect import State
from prefect.states import Completed, Failed

from flows.parameters import WhenSomeFail
from medvision.errors import DataError, NothingToDoError
from medvision.remote.places import Place

WITH_FAILURES = "WithFailures"
SOME_FAILED = "SomeFailed"
NOTHING_USABLE = "NothingUsable"
NOTHING_NEW = "NothingNew"
NOT_NEEDED = "NotNeeded"
REFUSED = "Refused"

EXIT_ALL_WELL, EXIT_NOTHING = 0, 4


def conclude(
    record: Mapping[str, Any], failed: int, where: Place, when_some_fail: WhenSomeFail = "fail"
) -> State[Any]:
    """The state that a cohort's result deserves.

    Args:
        record: what the run returns, with the `exit_code` of the command.
        failed: series that failed.
        where: what to look at for the reasons.
        when_some_fail: policy.
    """
    if record["exit_code"] == EXIT_NOTHING:
        message = f"no series could be used, see {where}"
        return Failed(name=NOTHING_USABLE, message=message, data=NothingToDoError(message))
    if not failed:
        return Completed(data=dict(record))
    message = f"{failed} series failed, see {where}"
    if when_some_fail == "complete":
        return Completed(name=WITH_FAILURES, message=message, data=dict(record))
    return Failed(name=SOME_FAILED, message=message, data=DataError(message))


def nothing_to_do(name: str, why: str) -> State[Any]:
    """All is well, and nothing was done."""
    return Completed(name=name, message=why, data={"exit_code": EXIT_ALL_WELL, "why": why})
