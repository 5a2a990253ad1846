"""Write and read the folder of one case."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medvision.errors import ConfigError
from medvision.files import make_folder, sync, write_text
from medvision.measurement.nodule import NoduleMask
from medvision.reporting.build import read_report
from medvision.reporting.html import report_page
from medvision.reporting.languages import LanguageCode
from medvision.reporting.report import Report
from medvision.reporting.tables import findings_csv
from medvision.reporting.thumbnails import write_thumbnail
from medvision.volumes import Explanation, HeatMap, LungMask, Scan

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["DEFAULT_FORMATS", "DICOM_FORMATS", "FORMATS", "check_formats", "read_report", "write_case"]

DEFAULT_FORMATS = ("json", "csv", "html")
DICOM_FORMATS = ("seg", "labelmap", "sr", "sc", "kos")
FORMATS = (*DEFAULT_FORMATS, *DICOM_FORMATS)


def check_formats(formats: Collection[str]) -> None:
    """Refuse formats that cannot be written, before anything heavy starts.

    Raises:
        ConfigError: naming the unknown one.
    """
    for name in formats:
        if name not in FORMATS:
            raise ConfigError(f"unknown report format {name!r}; choose from {', '.join(FORMATS)}")


def write_case(  # noqa: PLR0913  what a report is made of
    folder: Path,
    report: Report,
    scan: Scan,
    lungs: LungMask | None,
    heat_map: HeatMap | None,
    formats: Collection[str] = DEFAULT_FORMATS,
    *,
    explanations: Sequence[Explanation] = (),
    masks: Sequence[NoduleMask] = (),
    prior_scan: Scan | None = None,
    language_code: LanguageCode = "en",
    header: Dataset | None = None,
) -> None:
    """Write a case's files, each whole or not at all.

    `report.json` is always written, and last: where it is, the case is complete.

    Args:
        folder: the case's folder; made if absent.
        report: the result.
        scan: for the key images.
        lungs: for the overview; None where no lung was sought.
        heat_map: laid over the overview.
        formats: of `FORMATS`.
        explanations: one a finding, in the report's order, or none at all.
        masks: where each finding lies, in the report's order, or none at all.
        prior_scan: the earlier examination that the report speaks of, shown beside; None without one.
        language_code: of the page.
        header: of a source image, for DICOM results; None for a scan from a STORE.

    Raises:
        ConfigError: an unknown format.
        OutputError: the folder cannot be written.
    """
    check_formats(formats)
    make_folder(folder)
    if "csv" in formats:
        write_text(folder / "findings.csv", findings_csv(report))
    if "html" in formats:
        page = report_page(
            report,
            scan,
            lungs,
            heat_map,
            explanations,
            masks=masks,
            prior_scan=prior_scan,
            language_code=language_code,
        )
        write_text(folder / "report.html", page)
        write_thumbnail(folder, report, scan)
    if set(formats) & set(DICOM_FORMATS):
        from medvision.reporting.dicom_results.write import write_dicom_results  # only who asks pays

        write_dicom_results(folder, report, scan, masks, formats, header)
    sync(*folder.rglob("*"), folder)  # a power cut leaves no complete case with an empty file
    write_text(folder / "report.json", report.to_json())
