"""`medvision ingest`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from medvision.cli import options
from medvision.cli.console import show


@click.command(
    short_help="Sort DICOM into series, write volumes in HU.",
    epilog=options.example("medvision ingest /data/ct /data/more.zip -o store"),
)
@options.sources
@click.option(
    "-o", "--out", "store", type=options.FOLDER, required=True, metavar="STORE", help="Folder to write."
)
@options.workers
@click.option(
    "--min-slices",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="Reject a series with fewer slices.",
)
@options.resume
@options.common
def ingest(
    sources: tuple[Path, ...],
    store: Path,
    workers: int | None,
    min_slices: int,
    *,
    resume: bool,
    as_json: bool,
) -> int:
    """Sort files, folder trees and archives into CT series and write each as one volume in HU.

    Makes STORE/series.csv (every series seen: accepted or rejected, and why), problems.csv (every file that
    could not be used) and volumes/<series_instance_uid>.nii.gz.
    """
    from medvision.dicom.store import ingest as ingest_sources

    result = ingest_sources(
        sources, store, workers=options.count_workers(workers), min_slices=min_slices, resume=resume
    )
    lines = [
        f"{result.n_accepted + result.n_warned} series accepted ({result.n_warned} with a remark), "
        f"{result.n_rejected} rejected, {result.n_failed} failed; {result.n_problems} files with a problem",
        f"store: {store}",
    ]
    show({**asdict(result), "exit_code": result.exit_code}, lines, as_json=as_json)
    return result.exit_code
