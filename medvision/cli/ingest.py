"""`medvision ingest`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from medvision.cli import options
from medvision.cli.console import show
from medvision.cli.places import PlaceType

if TYPE_CHECKING:
    from medvision.dicom.store import IngestResult
    from medvision.remote.places import Place


@click.command(
    short_help="Sort DICOM into series, write volumes in HU.",
    epilog=options.example("medvision ingest /data/ct /data/more.zip -o store"),
)
@options.sources
@click.option(
    "-o",
    "--out",
    "store",
    type=PlaceType(options.FOLDER),
    required=True,
    metavar="STORE",
    help="Folder, or address such as s3://bucket/store, to write.",
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
@options.index
@click.option("--deidentify", is_flag=True, help="Write nothing that says who the patients are (PS3.15).")
@click.option(
    "--deidentify-config",
    type=options.EXISTING_FILE,
    metavar="FILE",
    help="What may be kept, such as configs/deidentify.yaml.  [default: nothing]",
)
@click.option(
    "--key",
    type=options.EXISTING_FILE,
    metavar="FILE",
    help="Secret that pseudonyms follow from.  [default: $MEDVISION_DEIDENTIFY_KEY, else a key of your own]",
)
@click.option("--dicom-copies", is_flag=True, help="Write the de-identified images, too: STORE/dicom.")
@options.common
def ingest(  # noqa: PLR0913  one argument an option
    sources: tuple[Place, ...],
    store: Place,
    workers: int | None,
    min_slices: int,
    index: Path | None,
    deidentify_config: Path | None,
    key: Path | None,
    *,
    resume: bool,
    deidentify: bool,
    dicom_copies: bool,
    as_json: bool,
) -> int:
    """Sort files, folder trees and archives into CT series and write each as one volume in HU.

    Makes STORE/series.csv (every series seen: accepted or rejected, and why), problems.csv (every file that
    could not be used) and volumes/<series_instance_uid>.nii.gz. With --deidentify, under new UIDs, and
    deidentification.json says what happened to which attribute.
    """
    if not deidentify and (deidentify_config or key or dicom_copies):
        raise click.UsageError("--deidentify-config, --key and --dicom-copies need --deidentify beside them")

    from medvision.dicom.index import cached_index
    from medvision.dicom.staged_store import staged_store
    from medvision.remote.places import as_path

    if index is None and not deidentify and not isinstance(store, Path):
        index = cached_index(as_path(store))
    with staged_store(store) as (folder, written):
        run = (
            _deidentified(folder, deidentify_config, key, dicom_copies=dicom_copies)
            if deidentify
            else _plain(folder)
        )
        result = run(
            sources,
            folder,
            workers=options.count_workers(workers),
            min_slices=min_slices,
            resume=resume,
            index=index,
            written=written,
        )
    lines = [
        f"{result.n_accepted + result.n_warned} series accepted ({result.n_warned} with a remark), "
        f"{result.n_rejected} rejected, {result.n_failed} failed; {result.n_problems} files with a problem",
        f"store: {store}",
    ]
    show({**asdict(result), "store": str(store), "exit_code": result.exit_code}, lines, as_json=as_json)
    return result.exit_code


def _plain(store: Path) -> Callable[..., IngestResult]:
    from medvision.dicom.deidentify.record import refuse_deidentified
    from medvision.dicom.store import ingest as ingest_sources

    refuse_deidentified(store)
    return ingest_sources


def _deidentified(
    store: Path, file: Path | None, key: Path | None, *, dicom_copies: bool
) -> Callable[..., IngestResult]:
    from medvision.config.base import load_config
    from medvision.config.deidentification import DeidentificationConfig
    from medvision.dicom.deidentify import ingest_deidentified, load_key

    config = load_config(file, DeidentificationConfig) if file else DeidentificationConfig()
    if dicom_copies:
        config = config.model_copy(update={"dicom_copies": True})
    return partial(ingest_deidentified, key=load_key(key, store=store), config=config)
