"""`medvision simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from medvision.cli import options
from medvision.cli.console import show


def _split_kinds(_: click.Context, __: click.Parameter, text: str) -> tuple[str, ...]:
    return tuple(kind.strip().replace("-", "_") for kind in text.split(",") if kind.strip())


@click.command(
    short_help="Write a synthetic chest-CT cohort as DICOM.",
    epilog=options.example("medvision simulate -o cohort --patients 4 --seed 1 --size small"),
)
@click.option("-o", "--out", type=options.FOLDER, required=True, metavar="DIR", help="Folder to write.")
@click.option("--patients", type=click.IntRange(min=1), required=True, metavar="N", help="How many patients.")
@options.seed
@click.option(
    "--size", type=click.Choice(["full", "small"]), default="full", show_default=True, help="Matrix size."
)
@click.option(
    "--dirt",
    is_flag=False,
    flag_value="all",
    default="",
    metavar="LIST",
    callback=_split_kinds,
    help="Spoil series as real ones are: all, or some of missing_slice,duplicated_slice,tilted,mixed_series,"
    "truncated_file.  [default: none; alone: all]",
)
@options.workers
@options.common
def simulate(
    out: Path,
    patients: int,
    seed: int,
    size: Literal["full", "small"],
    dirt: tuple[str, ...],
    workers: int | None,
    *,
    as_json: bool,
) -> None:
    """Write a synthetic chest-CT cohort as DICOM, with the truth about every nodule.

    Makes DIR/dicom, annotations.csv and seriesuids.csv (LUNA16 format) and truth.json. Same seed, same bytes.
    """
    from medvision.simulation.cohort import simulate_cohort

    simulate_cohort(
        out, patients=patients, seed=seed, size=size, dirt=dirt, workers=options.count_workers(workers)
    )
    record = {"cohort": out, "patients": patients, "seed": seed}
    show(record, [f"{patients} patients in {out}"], as_json=as_json)
