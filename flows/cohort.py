"""A cohort through a model, a task a case, shown on the flow run's page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.cases import CaseTasks
from flows.parameters import InferSettings
from flows.shown import read_rows, show_summary, show_worklist, showing_progress
from medvision.inference.runner_names import LOCAL
from medvision.remote.places import Place

if TYPE_CHECKING:
    from medvision.inference.runners import Runner


@dataclass(frozen=True, slots=True)
class CohortResult:
    """What came of a cohort.

    Attributes:
        exit_code: as `medvision infer` would end.
        counts: series and findings, as `medvision infer` counts them.
        worklist: the page to open.
        new: names of the series that were analysed now; None where Dask's workers did it.
    """

    exit_code: int
    counts: dict[str, int]
    worklist: Place
    new: tuple[str, ...] | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"exit_code": self.exit_code, "counts": self.counts, "worklist": str(self.worklist)}


def infer_cohort(
    sources: Sequence[Path], model: Path, out: Path, workers: int, settings: InferSettings
) -> CohortResult:
    """Write a report for every series; the same files as `medvision infer` writes.

    Each series that is not finished is a task; those that go to Dask's workers are none, because a hundred
    thousand would hurt the server.
    """
    from medvision.inference.cohort import infer

    options = settings.model_dump(exclude={"device", "runner"})
    tasks = CaseTasks(out)
    with showing_progress("infer"):
        runner = settings.runner if settings.runner != LOCAL else _runner(model, settings, workers, tasks)
        result = infer(
            sources, out, model=model, device=settings.device, workers=workers, runner=runner, **options
        )
    new = tuple(tasks.done) if settings.runner == LOCAL else None
    return CohortResult(result.exit_code, dict(result.counts), result.worklist, new)


def show_cohort(result: CohortResult, out: Path, *stores: Path) -> None:
    """Worklist, link, picture and summary, with the problems of the stores that were made on the way."""
    show_worklist(out, result.new)
    problems = [row for folder in (*stores, out) for row in read_rows(folder / "problems.csv")]
    show_summary(f"Reports in {out}", result.counts, problems)


def _runner(model: Path, settings: InferSettings, workers: int, tasks: CaseTasks) -> Runner:
    from medvision.inference.detectors import open_detector
    from medvision.inference.runners import LocalRunner

    predictor = open_detector(model, settings.device)
    return LocalRunner(predictor, workers, tasks.on(predictor.device))
