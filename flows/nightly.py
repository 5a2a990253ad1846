"""Deployment `nightly`: what has come since last time, into reports, a worklist and a message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import State, flow

from flows import events
from flows.cohort import infer_cohort, show_cohort
from flows.endings import NOTHING_NEW, conclude, nothing_to_do
from flows.parameters import InferSettings, WhenSomeFail
from flows.shown import showing_progress
from flows.tasks import compare_with_reference, ingest_scans
from medvision.cli.options import count_workers
from medvision.errors import NothingToDoError
from medvision.tracking import resolve_model


@flow(name="nightly", flow_run_name="nightly of {inbox}", persist_result=True, result_serializer="json")
def nightly(
    inbox: Path,
    store: Path,
    out: Path,
    model: str,
    workers: int | None = None,
    settings: InferSettings = InferSettings(),  # noqa: B008  immutable
    reference: Path | None = None,
    when_some_fail: WhenSomeFail = "complete",
) -> State[Any]:
    """Ingest and analyse the new studies of a folder that keeps what came, and announce the worklist.

    Args:
        inbox: folder that studies arrive in, such as that of `medvision listen`; what is in it stays.
        store: STORE to go on with.
        out: folder of the reports.
        model: model directory, `runs:/…` or `models:/name@alias`.
        workers: processes to use; one a core when empty.
        settings: as the options of `medvision infer`.
        reference: STORE or OUT of earlier times, to look for drift against; no look when empty.
        when_some_fail: what the flow run is where some series failed.
    """
    cores = count_workers(workers)
    try:
        with showing_progress("ingest"):
            ingested = ingest_scans([inbox], store, cores)
    except NothingToDoError as error:
        return nothing_to_do(NOTHING_NEW, str(error))
    result = infer_cohort([store], resolve_model(model), out, cores, settings)
    show_cohort(result, out, store)
    events.announce(events.WORKLIST, f"worklist.{out.name}", result.to_dict())
    if reference is not None and compare_with_reference(reference, store, out / "drift") == "drift":
        events.announce(events.DRIFT, f"store.{store.name}", {"page": str(out / "drift" / "drift.html")})
    failed = ingested["n_failed"] + result.counts["failed"]
    return conclude(result.to_dict(), failed, result.worklist, when_some_fail)
