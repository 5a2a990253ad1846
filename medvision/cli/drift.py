"""`medvision drift`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from medvision.cli import options
from medvision.cli.console import show

if TYPE_CHECKING:
    from medvision.evaluation.drift.document import DriftDocument, FeatureRecord

COHORT = click.Path(path_type=Path, exists=True, file_okay=False)
WORDS = {
    "stable": "stable",
    "unclear": "may be chance",
    "drift": "DRIFT",
    "too_few": "too few scans",
    "absent": "not in both",
}
VERDICT = {
    "stable": "no drift beyond the limits",
    "drift": "drift beyond the limits",
    "too_few": "too few scans to tell",
}


@click.command(
    short_help="Compare two cohorts: scanners, pictures, findings.",
    epilog=options.example("medvision drift store-2024 store-2025 -o drift"),
)
@click.argument("reference", type=COHORT)
@click.argument("current", type=COHORT)
@click.option(
    "-o",
    "--out",
    type=options.FOLDER,
    default=Path("drift"),
    show_default=True,
    metavar="DIR",
    help="Folder to write.",
)
@click.option(
    "--limit",
    type=click.FloatRange(min=0, min_open=True),
    default=0.2,
    show_default=True,
    metavar="PSI",
    help="Population stability index above which a feature has drifted …",
)
@click.option(
    "--p-value",
    type=click.FloatRange(min=0, max=1, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    metavar="P",
    help="… if its p-value, corrected for all features, is below.",
)
@click.option(
    "--pixels/--no-pixels",
    default=True,
    show_default=True,
    help="Read voxels of 100 scans a STORE: intensity, noise, lungs.",
)
@options.seed
@options.common
def drift(
    reference: Path,
    current: Path,
    out: Path,
    limit: float,
    p_value: float,
    seed: int,
    *,
    pixels: bool,
    as_json: bool,
) -> int:
    """Compare the scans of CURRENT with those of REFERENCE; each is a STORE or an OUT folder.

    Makes DIR/drift.html and drift.json. Ends with 3 where a feature has drifted beyond the limits.
    """
    from medvision.evaluation.drift import PIXEL_SCANS, Limits, compare
    from medvision.reporting.drift import write_drift

    result = compare(
        reference,
        current,
        limits=Limits(psi=limit, p_value=p_value),
        pixel_scans=PIXEL_SCANS if pixels else 0,
        seed=seed,
        threads=options.count_workers(None),
    )
    write_drift(result, out)
    lines = [*_table(result), f"{VERDICT[result.verdict]}; written to {out / 'drift.html'}"]
    show({**result.model_dump(mode="json"), "exit_code": result.exit_code}, lines, as_json=as_json)
    return result.exit_code


def _table(result: DriftDocument) -> list[str]:
    header = ("", "reference", "current", "PSI", "KS", "p", "")
    rows = [header, *(_row(feature) for feature in result.features if feature.status != "absent")]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    absent = [feature.title.lower() for feature in result.features if feature.status == "absent"]
    return lines + ([f"not in both: {', '.join(absent)}"] if absent else [])


def _row(feature: FeatureRecord) -> tuple[str, ...]:
    title = f"{feature.title} ({feature.unit})" if feature.unit else feature.title
    numbers = (_figure(value) for value in (feature.psi, feature.ks, feature.p_adjusted))
    return (title, feature.reference, feature.current, *numbers, WORDS[feature.status])


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}" if value < 0.1 else f"{value:.2f}"
