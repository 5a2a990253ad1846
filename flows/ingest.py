"""Deployment `ingest`: DICOM of any kind into a STORE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow

from flows.tasks import ingest_scans
from medvision.cli.options import count_workers
from medvision.errors import DataError


@flow(name="ingest", flow_run_name="ingest into {store}")
def ingest(sources: list[Path], store: Path, workers: int | None = None) -> dict[str, Any]:
    """Turn files, folders and archives into volumes; returns how many series became what.

    Args:
        sources: files, folders, archives.
        store: STORE to write or to go on with.
        workers: processes to use; all cores when None.

    Raises:
        DataError: some series failed, which the flow run then shows.
    """
    result = ingest_scans(sources, store, count_workers(workers))
    if result["exit_code"]:
        raise DataError(f"some series failed, see {store / 'problems.csv'}: {result}")
    return result
