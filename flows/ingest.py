"""Deployment `ingest`: DICOM of any kind into a STORE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import State, flow

from flows.endings import conclude
from flows.parameters import WhenSomeFail
from flows.shown import read_rows, show_summary, showing_progress
from flows.tasks import ingest_scans
from medvision.cli.options import count_workers


@flow(name="ingest", flow_run_name="ingest into {store}", persist_result=True, result_serializer="json")
def ingest(
    sources: list[Path], store: Path, workers: int | None = None, when_some_fail: WhenSomeFail = "fail"
) -> State[Any]:
    """Turn files, folders and archives into volumes; returns how many series became what.

    Args:
        sources: files, folders, archives.
        store: STORE to write or to go on with.
        workers: processes to use; one a core when empty.
        when_some_fail: what the flow run is where some series failed.

    Raises:
        DataError: some series failed, where that is to fail the run.
        NothingToDoError: no series could be used.
    """
    with showing_progress("ingest"):
        result = ingest_scans(sources, store, count_workers(workers))
    figures = {name: value for name, value in result.items() if name.startswith("n_")}
    show_summary(f"Volumes in {store}", figures, read_rows(store / "problems.csv"))
    return conclude(result, result["n_failed"], store / "problems.csv", when_some_fail)
