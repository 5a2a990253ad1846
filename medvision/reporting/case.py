"""Write and read the folder of one case."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from medvision.errors import ConfigError
from medvision.files import make_folder, write_text
from medvision.reporting.build import read_report
from medvision.reporting.html import report_page
from medvision.reporting.report import Report
from medvision.reporting.tables import findings_csv
from medvision.volumes import Explanation, HeatMap, LungMask, Scan

__all__ = ["FORMATS", "check_formats", "read_report", "write_case"]

FORMATS = ("json", "csv", "html")


def check_formats(formats: Collection[str]) -> None:
    """Refuse formats that cannot be written, before anything heavy starts.

    Raises:
        ConfigError: naming the unknown one.
    """
    for name in formats:
        if name not in FORMATS:
            raise ConfigError(f"unknown report format {name!r}; choose from {', '.join(FORMATS)}")


def write_case(
    folder: Path,
    report: Report,
    scan: Scan,
    lungs: LungMask | None,
    heat_map: HeatMap | None,
    formats: Collection[str] = FORMATS,
    *,
    explanations: Sequence[Explanation] = (),
) -> None:
    """Write a case's files, each whole or not at all.

    `report.json` is always written, and last: where it is, the case is complete.

    Args:
        folder: the case's folder; made if absent.
        report: the result.
        scan: for the key images.
        lungs: for the overview; None where no lung was sought.
        heat_map: laid over the overview.
        formats: of "json", "csv", "html".
        explanations: one a finding, in the report's order, or none at all.

    Raises:
        ConfigError: an unknown format.
        OutputError: the folder cannot be written.
    """
    check_formats(formats)
    make_folder(folder)
    if "csv" in formats:
        write_text(folder / "findings.csv", findings_csv(report))
    if "html" in formats:
        write_text(folder / "report.html", report_page(report, scan, lungs, heat_map, explanations))
    write_text(folder / "report.json", report.to_json())
