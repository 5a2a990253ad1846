"""`medvision calibrate`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from medvision.cli import options
from medvision.cli.console import show

if TYPE_CHECKING:
    from medvision.evaluation.calibration import Method
    from medvision.models.card import DetectorCard

METHODS = ("auto", "temperature", "platt", "beta", "isotonic")
FIGURES = {"ece": "calibration error", "brier": "Brier score", "log_loss": "log loss"}


@click.command(
    short_help="Make a model's probabilities honest on local scans.",
    epilog=options.example(
        "medvision calibrate --model demo/model --predictions out/predictions.csv \\",
        "    --annotations local/annotations.csv --fp-per-scan 0.5 -o local-model",
    ),
)
@click.option("--model", required=True, metavar="MODEL", help="The model that predicted.")
@click.option(
    "--predictions",
    type=options.EXISTING_FILE,
    required=True,
    metavar="P.csv",
    help="What infer wrote with it for the labelled scans.",
)
@click.option(
    "--annotations", type=options.EXISTING_FILE, required=True, metavar="A.csv", help="The true nodules."
)
@click.option(
    "--excluded", type=options.EXISTING_FILE, metavar="E.csv", help="Findings that count neither way."
)
@click.option(
    "--seriesuids",
    type=options.EXISTING_FILE,
    metavar="S.csv",
    help="The labelled scans; needed where some have neither nodules nor marks.",
)
@click.option(
    "--patients",
    type=options.EXISTING_FILE,
    metavar="FILE",
    help="A table with seriesuid and patient_id, or truth.json.  [default: each scan is a patient]",
)
@click.option("-o", "--out", type=options.FOLDER, required=True, metavar="NEW", help="New model directory.")
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default="auto",
    show_default=True,
    help="How; auto takes what does best on patients held out.",
)
@options.fp_per_scan("Operating point of the new model: so many false positives a scan.")
@options.threshold("Operating point of the new model: this recalibrated probability.")
@options.seed
@options.common
def calibrate(  # noqa: PLR0913, PLR0917  one argument an option
    model: str,
    predictions: Path,
    annotations: Path,
    excluded: Path | None,
    seriesuids: Path | None,
    patients: Path | None,
    out: Path,
    method: Method | str,
    fp_per_scan: float | None,
    threshold: float | None,
    seed: int,
    *,
    as_json: bool,
) -> None:
    """Recalibrate a model's probabilities on local labelled scans, and measure its operating points there.

    Writes a new model directory with the same weights; its card says what was done, and infer applies it.
    """
    from medvision.tracking import resolve_model
    from medvision.training.local_calibration import LocalScans
    from medvision.training.local_calibration import calibrate as recalibrate

    card = recalibrate(
        resolve_model(model),
        LocalScans(predictions, annotations, seriesuids, patients, excluded),
        out,
        method=None if method == "auto" else method,  # type: ignore[arg-type]
        fp_per_scan=fp_per_scan,
        threshold=threshold,
        seed=seed,
    )
    record = {"model": str(out), "version": card.version, **card.model_dump(mode="json", include=_TOLD)}
    show(record, [*_lines(card), f"written to {out}"], as_json=as_json)


_TOLD = {"local_calibration", "operating_points", "chosen"}


def _lines(card: DetectorCard) -> Iterator[str]:
    from medvision.inference.operating_point import choose_operating_point
    from medvision.reporting.words import ENGLISH

    local = card.local_calibration
    if local is None:
        return
    yield (
        f"{local.candidates} candidates of {local.scans} scans ({local.patients} patients, "
        f"{local.nodules} nodules): {local.method or 'no map is better than the probabilities as they came'}"
    )
    for name, words in FIGURES.items():
        before, after = local.before[name], local.after[name]
        yield (
            f"{words:18} {before.value:.4f} ({before.lower:.4f} to {before.upper:.4f}) before, "
            f"{after.value:.4f} ({after.lower:.4f} to {after.upper:.4f}) after, on patients held out"
        )
    yield ENGLISH.operating(choose_operating_point(card))
