"""`medvision evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from medvision.cli import options
from medvision.cli.console import show

if TYPE_CHECKING:
    from medvision.evaluation.froc import FrocResult


@click.command(
    epilog=options.example(
        "medvision evaluate out/predictions.csv --annotations cohort/annotations.csv \\",
        "    --seriesuids cohort/seriesuids.csv -o evaluation --bootstrap 1000",
    )
)
@click.argument("predictions", metavar="PREDICTIONS.csv", type=options.EXISTING_FILE)
@click.option(
    "--annotations", type=options.EXISTING_FILE, required=True, metavar="A.csv", help="The true nodules."
)
@click.option(
    "--excluded", type=options.EXISTING_FILE, metavar="E.csv", help="Findings that count neither way."
)
@click.option(
    "--seriesuids", type=options.EXISTING_FILE, required=True, metavar="S.csv", help="The scans that count."
)
@click.option("-o", "--out", type=options.FOLDER, required=True, metavar="DIR", help="Folder to write.")
@click.option(
    "--bootstrap",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Resamplings of the scans for 95 % intervals, such as 1000.",
)
@click.option(
    "--model", metavar="MODEL", help="The model that predicted: tells which of the scans it was trained on."
)
@options.seed
@options.common
def evaluate(  # noqa: PLR0913  one argument an option
    predictions: Path,
    annotations: Path,
    excluded: Path | None,
    seriesuids: Path,
    out: Path,
    bootstrap: int,
    seed: int,
    model: str | None,
    *,
    as_json: bool,
) -> None:
    """Score predictions as the LUNA16 challenge does: FROC and CPM.

    Makes DIR/froc.json, froc.csv and froc.png.
    """
    from medvision.evaluation.luna16 import evaluate as evaluate_luna16

    result = evaluate_luna16(
        predictions,
        annotations,
        seriesuids,
        out,
        excluded=excluded,
        bootstrap=bootstrap,
        seed=seed,
        model=_resolve(model),
    )
    lines = [
        f"{rate:6g} false positives a scan: sensitivity {sensitivity:.3f}"
        for rate, sensitivity in zip(result.fp_per_scan, result.sensitivity, strict=True)
    ]
    show(result.to_dict(), [*lines, _describe_cpm(result), f"written to {out}"], as_json=as_json)


def _resolve(model: str | None) -> Path | None:
    if model is None:
        return None
    from medvision.tracking import resolve_model

    return resolve_model(model)


def _describe_cpm(result: FrocResult) -> str:
    text = f"CPM {result.cpm:.3f} ({result.n_nodules} nodules in {result.n_scans} scans)"
    if result.cpm_interval is None:
        return text
    mean, lower, upper = result.cpm_interval
    return f"{text}, bootstrap mean {mean:.3f}, 95 % interval {lower:.3f} to {upper:.3f}"
