"""CSV files that are safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from medvision.files import safe_cell
from medvision.guidelines.tables import fleischner_table, lung_rads_table
from medvision.reporting.report import FindingRecord, Report

FINDING_COLUMNS = tuple(FindingRecord.model_fields)
SEVERAL = {
    "center_lps_mm": ("center_x_mm", "center_y_mm", "center_z_mm"),
    "index_vox": ("slice_vox", "row_vox", "column_vox"),
    "categories": ("lung_rads", "fleischner"),
    "cancer_risk": ("cancer_risk_model", "cancer_risk_lower", "cancer_risk_upper"),
    "prior": ("prior_status", "prior_volume_mm3", "growth_percent", "doubling_time_days"),
}
"""Columns of the table for what the report holds as one."""


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV (RFC 4180, but with line feeds)."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([[safe_cell(value) for value in row] for row in rows])
    return buffer.getvalue()


def findings_csv(report: Report) -> str:
    """One row a finding; positions in three columns each."""
    header = ["series_instance_uid", *(name for column in FINDING_COLUMNS for name in _names(column))]
    rows = [
        [
            report.series.series_instance_uid,
            *(cell for column in FINDING_COLUMNS for cell in _cells(row, column)),
        ]
        for row in report.findings
    ]
    return csv_text(header, rows)


def _names(column: str) -> tuple[str, ...]:
    return SEVERAL.get(column, (column,))


def _cells(finding: FindingRecord, column: str) -> tuple[object, ...]:
    if column == "categories":
        by_guideline = {category.guideline: category.category for category in finding.categories}
        return tuple(by_guideline.get(table.name) for table in (lung_rads_table(), fleischner_table()))
    if column == "cancer_risk":
        risk = finding.cancer_risk
        return (None,) * 3 if risk is None else (risk.model, risk.lower, risk.upper)
    if column == "prior":
        then = finding.prior
        if then is None:
            return (None,) * 4
        return then.status, then.volume_mm3, then.growth_percent, then.doubling_time_days
    value = getattr(finding, column)
    return value if isinstance(value, tuple) else (value,)
