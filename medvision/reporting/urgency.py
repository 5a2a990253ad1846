"""Which finding, and which patient, a reader should see first."""

from __future__ import annotations

from collections.abc import Iterable

from medvision.reporting.report import FindingRecord, Report

LUNG_RADS = "Lung-RADS"
RANKS = {code: rank for rank, code in enumerate(("1", "2", "3", "4A", "4B", "4X"), 1)}
"""Of Lung-RADS v2022, the higher the more urgent."""


def by_urgency(findings: Iterable[FindingRecord]) -> list[FindingRecord]:
    """The most urgent first: by category, then by probability; the report's own order settles ties."""
    return sorted(findings, key=_urgency)


def _urgency(finding: FindingRecord) -> tuple[int, float]:
    suggested = (one.category for one in finding.categories if one.guideline.startswith(LUNG_RADS))
    return -max(map(lung_rads_rank, suggested), default=0), -finding.probability


def lung_rads_rank(category: str) -> int:
    """0 without a category; of a range such as "3 to 4A" the upper end counts."""
    return RANKS.get(category.rpartition(" to ")[2], 0)


def lung_rads_suggested(report: Report) -> str:
    """Of the whole examination; empty where none is suggested, or where the guideline does not apply."""
    for suggestion in report.guidelines:
        if suggestion.guideline.startswith(LUNG_RADS) and suggestion.applies != "no":
            return suggestion.category
    return ""
