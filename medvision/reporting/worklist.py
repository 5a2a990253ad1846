"""The worklist: one row a Series, what needs a reader first on top."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal

from medvision.files import make_folder, write_text
from medvision.reporting.html import render
from medvision.reporting.keyimages import webp_uri
from medvision.reporting.languages import LanguageCode
from medvision.reporting.languages.catalogue import mark
from medvision.reporting.prior_records import EARLIER_CHECK
from medvision.reporting.report import Report
from medvision.reporting.tables import csv_text
from medvision.reporting.thumbnails import THUMBNAIL
from medvision.reporting.urgency import lung_rads_rank, lung_rads_suggested
from medvision.reporting.words import DASH, category

WorklistVerdict = Literal["ok", "warn", "reject", "failed", "skipped"]
MOST_THUMBNAIL_BYTES = 1_500_000
"""Rows further down have no picture: the page stays small however many there are."""


@dataclass(frozen=True, slots=True)
class WorklistRow:
    """One Series.

    Attributes:
        name: key of the volume, and its folder's name.
        series_instance_uid: (0020,000E).
        study_instance_uid: (0020,000D).
        patient_reference: pseudonym; empty where unknown.
        study_date: ISO date; empty where unknown.
        verdict: of the scan's quality, or "failed", or "skipped" for a better series of the same study.
        findings: how many; None where not analysed.
        highest_probability: of a finding; None without findings.
        category: the largest finding in words, such as "solid 8 mm"; a dash without findings.
        reason: why not analysed, or what to mind; empty when all is well.
        link: path to the report, relative to the worklist; empty where there is none.
        lung_rads: category that Lung-RADS suggests for the most suspicious finding, or a range such as
            "3 to 4A"; empty where none.
    """

    name: str
    series_instance_uid: str
    study_instance_uid: str
    patient_reference: str
    study_date: str
    verdict: WorklistVerdict
    findings: int | None
    highest_probability: float | None
    category: str
    reason: str
    link: str
    lung_rads: str = ""


def row_from_report(report: Report, *, page: str = "report.html") -> WorklistRow:
    """The row of a case that has a report.

    Args:
        report: the result; reading it back from `report.json` gives the same row.
        page: file in the case's folder to link to.
    """
    series = report.series
    messages = [
        check.message
        for check in report.quality.checks
        if check.message and (check.verdict != "ok" or check.name == EARLIER_CHECK)
    ]
    return WorklistRow(
        name=series.name,
        series_instance_uid=series.series_instance_uid,
        study_instance_uid=series.study_instance_uid,
        patient_reference=series.patient_reference,
        study_date=series.study_date or "",
        verdict=report.quality.verdict,
        findings=len(report.findings),
        highest_probability=report.findings[0].probability if report.findings else None,
        category=category(report),
        reason="; ".join(messages),
        link=f"{series.name}/{page}",
        lung_rads=lung_rads_suggested(report),
    )


def row_from_failure(
    series_instance_uid: str,
    reason: str,
    *,
    verdict: Literal["reject", "failed", "skipped"] = "failed",
    study_instance_uid: str = "",
    name: str = "",
) -> WorklistRow:
    """The row of a Series that was rejected, failed or skipped.

    Args:
        series_instance_uid: (0020,000E).
        reason: one line in words.
        verdict: "reject" (not fit, no failure), "failed", or "skipped" (fit, but another one was chosen).
        study_instance_uid: (0020,000D), where known.
        name: key of the volume; the Series Instance UID by default.
    """
    return WorklistRow(
        name=name or series_instance_uid,
        series_instance_uid=series_instance_uid,
        study_instance_uid=study_instance_uid,
        patient_reference="",
        study_date="",
        verdict=verdict,
        findings=None,
        highest_probability=None,
        category=DASH,
        reason=reason,
        link="",
    )


def write_worklist(rows: Iterable[WorklistRow], out: Path, language_code: LanguageCode = "en") -> None:
    """Write `worklist.html` and `worklist.csv`, sorted by urgency.

    Args:
        rows: one a Series.
        out: folder to write; the cases' folders in it hold the thumbnails.
        language_code: of the page; the table is English.

    Raises:
        OutputError: the folder cannot be written.
        ConfigError: there is no such language.
    """
    ordered = sorted(rows, key=_urgency)
    make_folder(out)
    header = [field.name for field in fields(WorklistRow)]
    write_text(out / "worklist.csv", csv_text(header, [astuple(row) for row in ordered]))
    page = render(
        "worklist.html",
        language_code,
        groups=_groups(ordered),
        total=len(ordered),
        thumbnails=_thumbnails(ordered, out),
    )
    write_text(out / "worklist.html", page)


def _urgency(row: WorklistRow) -> tuple[int, int, float, str]:
    return _group(row), -lung_rads_rank(row.lung_rads), -(row.highest_probability or 0.0), row.name


def _group(row: WorklistRow) -> int:
    """With findings, failed (nobody has looked), without findings, skipped, rejected."""
    unused = {"failed": 1, "skipped": 3, "reject": 4}
    if row.verdict in unused:
        return unused[row.verdict]
    return 0 if row.findings else 2


GROUPS = (
    (mark("With findings"), mark("The most urgent first: by suggested category, then by probability.")),
    (mark("Failed"), mark("These series were not analysed: no statement is made about them.")),
    (mark("No finding above the operating point"), mark("This does not exclude a nodule.")),
    (mark("Passed over"), mark("Fit to be analysed; the remark says why it was not.")),
    (mark("Not analysed"), mark("Not a chest CT that this can read, or not fit for it.")),
)


def _groups(ordered: Sequence[WorklistRow]) -> list[tuple[str, str, list[WorklistRow]]]:
    groups = [(*words_, [row for row in ordered if _group(row) == i]) for i, words_ in enumerate(GROUPS)]
    return [group for group in groups if group[2]]


def _thumbnails(ordered: Sequence[WorklistRow], out: Path) -> dict[str, str]:
    """Pictures as data URIs, the most urgent rows first, as long as there is room."""
    pictures: dict[str, str] = {}
    room = MOST_THUMBNAIL_BYTES
    for row in ordered:
        path = out / row.name / THUMBNAIL
        if not row.findings or not path.is_file():
            continue
        content = path.read_bytes()
        room -= len(content)
        if room < 0:
            break
        pictures[row.name] = webp_uri(content)
    return pictures
