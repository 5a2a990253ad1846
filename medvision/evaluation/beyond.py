"""What an evaluation tells beyond the LUNA16 script: kinds of nodules, scans as cases, JAFROC, boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from medvision.evaluation.bootstrap import FrocBand, mean_and_interval
from medvision.evaluation.boxes import OVERLAPS, AveragePrecision
from medvision.evaluation.curve import FrocCurve
from medvision.evaluation.jafroc import FigureOfMerit, jafroc
from medvision.evaluation.matching import Lesions, Matching
from medvision.evaluation.paired import Comparison
from medvision.evaluation.scan_level import ScanLevel, scan_level
from medvision.evaluation.strata import Attributes, Stratum, stratify


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The curve at a number of false positives a scan that was asked for.

    Attributes:
        fp_per_scan: false positives a scan.
        sensitivity: interpolated as LUNA16 does.
        sensitivity_lower: of the 95 % interval over bootstrapped cohorts; None without bootstrap.
        sensitivity_upper: of it.
    """

    fp_per_scan: float
    sensitivity: float
    sensitivity_lower: float | None
    sensitivity_upper: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Beyond:
    """All of it.

    Attributes:
        points: of the curve, where others than LUNA16's were asked for.
        scan_level: scans as cases.
        strata: by kind of nodule and of scan.
        jafroc: against scans without nodules; None where there are none.
        jafroc1: against all scans.
        boxes: average precision; None where the marks have no size.
        comparison: with other predictions; None where there are none.
    """

    points: tuple[CurvePoint, ...]
    scan_level: ScanLevel
    strata: tuple[Stratum, ...]
    jafroc: FigureOfMerit | None
    jafroc1: FigureOfMerit | None
    boxes: AveragePrecision | None = None
    comparison: Comparison | None = None

    def to_dict(self) -> dict[str, object]:
        """What `froc.json` says of it."""
        found: dict[str, object] = {
            "points": [asdict(point) for point in self.points] or None,
            "scan_level": self._scan_level(),
            "jafroc": _merit(self.jafroc),
            "jafroc1": _merit(self.jafroc1),
            "strata": [asdict(stratum) for stratum in self.strata] or None,
            "average_precision": None if self.boxes is None else _boxes(self.boxes),
            "comparison": None if self.comparison is None else _comparison(self.comparison),
        }
        return {name: value for name, value in found.items() if value is not None}

    def _scan_level(self) -> dict[str, object]:
        level = self.scan_level
        limits = level.limits()
        return {
            "fp_per_scan": list(level.fp_per_scan),
            "threshold": level.threshold.tolist(),
            "n_scans_with_nodules": level.n_scans_with_nodules,
            "sensitivity": list(level.sensitivity()),
            "sensitivity_lower": [lower for lower, _ in limits],
            "sensitivity_upper": [upper for _, upper in limits],
        }


def look_beyond(  # noqa: PLR0913  options of one look
    matching: Matching,
    curve: FrocCurve,
    nodules: Lesions,
    n_scans: int,
    *,
    rates: Sequence[float],
    points: Sequence[float] = (),
    band: FrocBand | None = None,
    known: Attributes | None = None,
    bootstrap: int = 0,
    seed: int = 0,
) -> Beyond:
    """Look at a matching from every side.

    Args:
        matching: what became of nodules and marks.
        curve: its FROC.
        nodules: in the matching's order.
        n_scans: scans.
        rates: false positives a scan for thresholds, kinds and scans.
        points: further false positives a scan to read the curve at.
        band: with the bootstrapped sensitivities at `points`; None without bootstrap.
        known: of nodules and scans.
        bootstrap: cohorts to draw for JAFROC's interval.
        seed: of the drawing.
    """
    return Beyond(
        _points(curve, points, band),
        scan_level(matching, n_scans, rates),
        stratify(matching, nodules, n_scans, rates, known or Attributes()),
        jafroc(matching, n_scans, bootstrap=bootstrap, seed=seed),
        jafroc(matching, n_scans, all_scans=True, bootstrap=bootstrap, seed=seed),
    )


def _points(curve: FrocCurve, points: Sequence[float], band: FrocBand | None) -> tuple[CurvePoint, ...]:
    if not points:
        return ()
    found = curve.at(points).tolist()
    none = [None] * len(points)
    limits = zip(none, none, strict=True) if band is None else zip(*_limits(band), strict=True)
    return tuple(
        CurvePoint(rate, sensitivity, lower, upper)
        for rate, sensitivity, (lower, upper) in zip(points, found, limits, strict=True)
    )


def _limits(band: FrocBand) -> tuple[list[float], list[float]]:
    _, lower, upper = mean_and_interval(band.at_points)
    return lower.tolist(), upper.tolist()


def _merit(merit: FigureOfMerit | None) -> Mapping[str, object] | None:
    if merit is None:
        return None
    return {name: value for name, value in asdict(merit).items() if value is not None}


def _boxes(boxes: AveragePrecision) -> dict[str, object]:
    return {
        "overlap": list(boxes.overlap),
        "ap": list(boxes.ap),
        "recall": list(boxes.recall),
        "ap_iou_0.10": boxes.ap[OVERLAPS.index(0.1)],
        "map_iou_0.10_0.50": boxes.mean,
        "mar_iou_0.10_0.50": float(np.mean(boxes.recall)),
    }


def _comparison(comparison: Comparison) -> dict[str, object]:
    return {
        "patients": comparison.patients,
        "bootstrap": comparison.bootstrap,
        "cpm": asdict(comparison.cpm),
        "fp_per_scan": list(comparison.fp_per_scan),
        "sensitivity": [asdict(difference) for difference in comparison.sensitivity],
    }
