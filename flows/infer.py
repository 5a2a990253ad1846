"""Deployment `infer`: scans and a model into reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import State, flow

from flows.cohort import infer_cohort, show_cohort
from flows.endings import conclude
from flows.parameters import InferSettings, WhenSomeFail
from medvision.cli.options import count_workers
from medvision.tracking import resolve_model


@flow(name="infer", flow_run_name="reports in {out}", persist_result=True, result_serializer="json")
def infer(
    sources: list[Path],
    model: str,
    out: Path,
    workers: int | None = None,
    settings: InferSettings = InferSettings(),  # noqa: B008  immutable
    when_some_fail: WhenSomeFail = "fail",
) -> State[Any]:
    """Find nodules and write reports; goes on with what an earlier run has finished.

    Args:
        sources: files, folders, archives, or a STORE.
        model: model directory, `runs:/…` or `models:/name@alias`.
        out: folder of the reports.
        workers: scans read ahead; one a core when empty.
        settings: as the options of `medvision infer`.
        when_some_fail: what the flow run is where some series failed.

    Raises:
        DataError: some series failed, where that is to fail the run.
        NothingToDoError: no series could be used.
    """
    result = infer_cohort(sources, resolve_model(model), out, count_workers(workers), settings)
    show_cohort(result, out)
    return conclude(result.to_dict(), result.counts["failed"], result.worklist, when_some_fail)
