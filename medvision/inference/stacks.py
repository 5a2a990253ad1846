"""One nodule in two stacks of a study whose slices overlap is one finding, not two.

Each stack keeps its own report, which can be read and replayed without the others. What is told, and counted
once, is which of its findings an earlier report holds already. Stacks of one study are taken to lie in one
frame of reference, as where they are chosen among (`dicom.choice`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

from medvision.findings import Point
from medvision.reporting.report import Report

LEAST_MM = 5.0
"""Two marks so near are of one nodule however small: breath holds differ by as much."""


@dataclass(frozen=True, slots=True)
class _Place:
    stack: str
    finding_id: str
    center_lps_mm: Point
    diameter_mm: float


@dataclass(slots=True)
class KnownNodules:
    """Findings of the stacks so far, by study."""

    _places: dict[str, list[_Place]] = field(default_factory=lambda: defaultdict(list))

    def note(self, report: Report) -> list[str]:
        """Remember a report's findings.

        Returns:
            A sentence for each that lies where another stack of the study has one.
        """
        series = report.series
        known = self._places[series.study_instance_uid or f"series {series.series_instance_uid}"]
        others = [place for place in known if place.stack != series.name]
        sentences = []
        for finding in report.findings:
            diameter_mm = finding.mean_diameter_mm or 0.0
            place = _Place(series.name, finding.finding_id, finding.center_lps_mm, diameter_mm)
            known.append(place)
            if (same := _nearest(place, others)) is not None:
                others.remove(same)
                sentences.append(
                    f"{finding.finding_id} is {same.finding_id} of {same.stack}, which overlaps: "
                    "one nodule, not two"
                )
        return sentences


def _nearest(place: _Place, others: list[_Place]) -> _Place | None:
    """The nearest one whose ball, or whose least distance, holds the place."""

    def distance(other: _Place) -> float:
        return math.dist(place.center_lps_mm, other.center_lps_mm)

    near = [
        other
        for other in others
        if distance(other) <= max(LEAST_MM, place.diameter_mm / 2, other.diameter_mm / 2)
    ]
    return min(near, key=distance, default=None)
