"""One case, one task: with its name, its reason where it failed, and further attempts where they may help."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import State, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import task_run
from prefect.states import Completed

from flows.retries import BACKOFF_SECONDS, may_help
from medvision.dicom.entries import RejectedSeriesError

if TYPE_CHECKING:
    from medvision.inference.working import Attempt, Outcome, Perform

CASE_SECONDS = 1800.0
"""A scan takes seconds to minutes; one that takes half an hour hangs."""

GPU = "gpu"
"""Tag of tasks that use one; `python -m flows.setup` limits how many run at a time."""

REJECTED = "Rejected"
HEAD, TAIL = 8, 6
"""Letters of a long name that are shown."""


class CaseTasks:
    """Turns cases into tasks.

    Attributes:
        done: names of those that were carried out.
    """

    def __init__(self, out: Path) -> None:
        self.done: list[str] = []
        self._out = out

    def on(self, device: str) -> Perform:
        """How a case is carried out on a device: as a task, on a GPU as one of a limited number.

        Prefect asks the server about every tag of a task, so others have none.
        """
        chosen = infer_case.with_options(tags={GPU}) if device.startswith("cuda") else infer_case

        def perform(name: str, attempt: Attempt) -> Outcome:
            work = CaseWork(attempt)
            chosen(name, self._out / name, work)
            self.done.append(name)
            return work.outcome()

        return perform


class CaseWork:
    """Attempts at a case, and what came of the last one.

    The outcome stays here: what a task returns, Prefect keeps until the flow ends.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._outcome: Outcome | None = None
        self._rejection: RejectedSeriesError | None = None

    def __call__(self) -> str:
        """Do it; returns why the series was rejected, or nothing."""
        try:
            self._outcome = self._attempt()
        except RejectedSeriesError as error:
            self._rejection = error
            return str(error)
        return ""

    def outcome(self) -> Outcome:
        """What came of it.

        Raises:
            RejectedSeriesError: the series is no usable chest CT, as only its pixels show.
        """
        if self._outcome is None:
            raise self._rejection or RuntimeError("the task did not call its work")
        return self._outcome


def short_name(name: str) -> str:
    """A name that fits a list: its beginning and its end."""
    return name if len(name) <= HEAD + TAIL + 3 else f"{name[:HEAD]}...{name[-TAIL:]}"


def _task_run_name() -> str:
    return f"infer {short_name(task_run.parameters['name'])}"


@task(
    task_run_name=_task_run_name,
    retries=len(BACKOFF_SECONDS),
    retry_delay_seconds=BACKOFF_SECONDS,
    retry_condition_fn=may_help,
    timeout_seconds=CASE_SECONDS,
    cache_policy=NO_CACHE,  # what is finished lies in OUT, and is not asked for
    persist_result=False,
)
def infer_case(name: str, folder: Path, work: CaseWork) -> State[Any] | None:
    """Read, find and write one series into its folder; a rejection is no failure."""
    why = work()
    if why:
        return Completed(name=REJECTED, message=why)
    get_run_logger().info("series %s: %s", name, folder)
    return None
