"""A cohort through a model, a task a case, shown on the flow run's page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.parameters import InferSettings
from flows.shown import read_rows, show_summary, show_worklist, showing_progress


@dataclass(frozen=True, slots=True)
class CohortResult:
    """What came of a cohort.

    Attributes:
        exit_code: as `medvision infer` would end.
        counts: series and findings, as `medvision infer` counts them.
        worklist: the page to open.
    """

    exit_code: int
    counts: dict[str, int]
    worklist: Path

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"exit_code": self.exit_code, "counts": self.counts, "worklist": str(self.worklist)}


def infer_cohort(
    sources: Sequence[Path], model: Path, out: Path, workers: int, settings: InferSettings
) -> CohortResult:
    """Write a report for every series; the same files as `medvision infer` writes."""
    from medvision.inference.cohort import infer

    with showing_progress("infer"):
        result = infer(sources, out, model=model, workers=workers, **settings.model_dump())
    return CohortResult(result.exit_code, dict(result.counts), result.worklist)


def show_cohort(result: CohortResult, out: Path) -> None:
    """Worklist, link, picture and summary."""
    show_worklist(out)
    show_summary(f"Reports in {out}", result.counts, read_rows(out / "problems.csv"))
