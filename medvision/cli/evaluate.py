"""`medvision evaluate`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from medvision.cli import options
from medvision.cli.console import show

if TYPE_CHECKING:
    from medvision.evaluation.froc import FrocResult
    from medvision.evaluation.paired import Difference

DRAWN_TO_COMPARE = 1000


def _numbers(_: click.Context, parameter: click.Parameter, text: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError as error:
        raise click.BadParameter(f"{text!r} must be numbers such as 0.5,1,3", param=parameter) from error


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
    metavar="N",
    help="Resamplings of the scans for 95 % intervals, such as 1000.  [default: 0]",
)
@click.option(
    "--model", metavar="MODEL", help="The model that predicted: tells which of the scans it was trained on."
)
@click.option(
    "--fp-per-scan",
    "points",
    callback=_numbers,
    metavar="X,Y,…",
    help="False positives a scan to look at in place of LUNA16's seven, such as 0.5,1,3.",
)
@click.option(
    "--strata",
    type=options.EXISTING_FILE,
    multiple=True,
    metavar="FILE",
    help="Also by kind of nodule and scan: a table with seriesuid (and coordX, coordY, coordZ), an ingest's "
    "series.csv, or truth.json; a column patient_id tells whose scan it is. Can be given again.",
)
@click.option(
    "--compare",
    "other",
    type=options.EXISTING_FILE,
    metavar="B.csv",
    help="Other predictions: the difference, its interval and p-value, drawing patients.  "
    "[draws 1000 unless --bootstrap says otherwise]",
)
@options.seed
@options.common
def evaluate(  # noqa: PLR0913, PLR0917  one argument an option
    predictions: Path,
    annotations: Path,
    excluded: Path | None,
    seriesuids: Path,
    out: Path,
    bootstrap: int | None,
    points: tuple[float, ...],
    strata: tuple[Path, ...],
    other: Path | None,
    seed: int,
    model: str | None,
    *,
    as_json: bool,
) -> None:
    """Score predictions as the LUNA16 challenge does: FROC and CPM.

    Makes DIR/froc.json, froc.csv, froc.png, strata.csv (kinds of nodules and scans) and scans.csv.
    """
    from medvision.evaluation.luna16 import evaluate as evaluate_luna16

    result = evaluate_luna16(
        predictions,
        annotations,
        seriesuids,
        out,
        excluded=excluded,
        bootstrap=DRAWN_TO_COMPARE if bootstrap is None and other else bootstrap or 0,
        seed=seed,
        model=_resolve(model),
        points=points,
        strata=strata,
        other=other,
    )
    lines = [*_curve_lines(result), _describe_cpm(result), *_beyond_lines(result), f"written to {out}"]
    show(result.to_dict(), lines, as_json=as_json)


def _curve_lines(result: FrocResult) -> Iterator[str]:
    if result.beyond is not None and result.beyond.points:
        for point in result.beyond.points:
            yield _point(
                point.fp_per_scan, point.sensitivity, point.sensitivity_lower, point.sensitivity_upper
            )
        return
    none = (None,) * len(result.fp_per_scan)
    bounds = (result.sensitivity_lower or none, result.sensitivity_upper or none)
    for rate, found, lower, upper in zip(result.fp_per_scan, result.sensitivity, *bounds, strict=True):
        yield _point(rate, found, lower, upper)


def _point(rate: float, sensitivity: float, lower: float | None, upper: float | None) -> str:
    return f"{rate:6g} false positives a scan: sensitivity {sensitivity:.3f}{_limits(lower, upper)}"


def _limits(lower: float | None, upper: float | None) -> str:
    return "" if lower is None or upper is None else f" (95 %: {lower:.3f} to {upper:.3f})"


def _beyond_lines(result: FrocResult) -> Iterator[str]:
    beyond = result.beyond
    if beyond is None:
        return
    for name, merit in (("JAFROC", beyond.jafroc), ("JAFROC1", beyond.jafroc1)):
        if merit is not None:
            yield f"{name} {merit.value:.3f}{_limits(merit.lower, merit.upper)} ({merit.n_scans} scans)"
    if beyond.boxes is not None:
        yield f"AP {beyond.boxes.ap[0]:.3f} at IoU 0.1, mAP {beyond.boxes.mean:.3f} over IoU 0.1 to 0.5"
    if beyond.comparison is not None:
        yield f"CPM less that of the other: {_difference(beyond.comparison.cpm)}"
        for rate, at_point in zip(beyond.comparison.fp_per_scan, beyond.comparison.sensitivity, strict=True):
            yield f"{rate:6g} false positives a scan: {_difference(at_point)}"


def _difference(found: Difference) -> str:
    limits = f"95 %: {found.lower:+.3f} to {found.upper:+.3f}, p = {found.p_value:.3g}"
    return f"{found.first:.3f} - {found.second:.3f} = {found.difference:+.3f} ({limits})"


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
