"""Who works on the cases: this process, or Dask's workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

from medvision.errors import UsageError
from medvision.inference.detectors import Detector, open_detector
from medvision.inference.runner_names import LOCAL, check_runner, scheduler_address
from medvision.inference.working import Case, Job, Outcome, Perform, perform_once, work_through


class Runner(Protocol):
    """Works on cases.

    Attributes:
        predictor: the model, whose card decides about the run; a runner that sends cases away does not
            predict with it.
    """

    @property
    def predictor(self) -> Detector:
        """The model."""

    def run(self, cases: Iterable[Case], job: Job) -> Iterator[tuple[Case, Outcome]]:
        """What came of each case, in order."""


class LocalRunner:
    """Works here, one case after another, and reads ahead meanwhile.

    Args:
        predictor: the loaded model.
        ahead: scans that are read meanwhile.
        perform: how each case that is not finished is carried out.
    """

    def __init__(self, predictor: Detector, ahead: int, perform: Perform = perform_once) -> None:
        self.predictor = predictor
        self._ahead = ahead
        self._perform = perform

    def run(self, cases: Iterable[Case], job: Job) -> Iterator[tuple[Case, Outcome]]:
        """What came of each case, in order."""
        return work_through(cases, job, self.predictor, ahead=self._ahead, perform=self._perform)


def choose_runner(
    name: str | Runner, model: Path | Detector, device: str, workers: int
) -> AbstractContextManager[Runner]:
    """Load the model and, where Dask is asked for, reach its cluster or start one that ends with the block.

    Args:
        name: `local`, `dask`, or a scheduler's address; or a runner, which is taken as it is.
        model: model directory, or one that is loaded, which stays here.
        device: `auto`, `cpu`, `cuda` or `cuda:n`.
        workers: scans read ahead; worker processes of a cluster that is started.

    Raises:
        ModelError: the model cannot be read.
        NetworkError: the scheduler does not answer.
        UsageError: there is no such runner or device, Dask is not installed, or it was given a loaded model.
    """
    if not isinstance(name, str):
        return nullcontext(name)
    if check_runner(name) == LOCAL:
        predictor = open_detector(model, device) if isinstance(model, Path) else model
        return nullcontext(LocalRunner(predictor, workers))
    if not isinstance(model, Path):
        raise UsageError(f"runner {name}: its workers load the model themselves; give the model's directory")
    from medvision.inference.dask_runner import open_dask

    return open_dask(scheduler_address(name), model, device, workers)
