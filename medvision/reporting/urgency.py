"""Which finding a reader should see first."""

from __future__ import annotations

from collections.abc import Iterable

from medvision.reporting.report import FindingRecord


def by_urgency(findings: Iterable[FindingRecord]) -> list[FindingRecord]:
    """The most urgent first: by category, then by probability; the report's own order settles ties."""
    return sorted(findings, key=_urgency)


def _urgency(finding: FindingRecord) -> tuple[float]:
    return (-finding.probability,)
