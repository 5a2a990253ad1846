"""Deployment `infer`: scans and a model into reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow

from flows.tasks import find_nodules
from medvision.cli.options import count_workers
from medvision.errors import DataError
from medvision.tracking import resolve_model


@flow(name="infer", flow_run_name="reports in {out}")
def infer(sources: list[Path], model: str, out: Path, workers: int | None = None) -> dict[str, Any]:
    """Find nodules and write reports; goes on with what an earlier run has finished.

    Args:
        sources: files, folders, archives, or a STORE.
        model: model directory, `runs:/…` or `models:/name@alias`.
        out: folder of the reports.
        workers: processes to use; all cores when None.

    Raises:
        DataError: some series failed, which the flow run then shows.
    """
    result = find_nodules(sources, resolve_model(model), out, count_workers(workers), resume=True)
    if result["exit_code"]:
        raise DataError(f"some series failed, see {out / 'worklist.html'}: {result['counts']}")
    return result
