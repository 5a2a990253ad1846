"""Above which probability a candidate becomes a finding, and what is to be expected there."""

from __future__ import annotations

import numpy as np

from medvision.errors import UsageError
from medvision.models.directory import ModelCard
from medvision.reporting.report import OperatingPoint

DEFAULT_FP_PER_SCAN = 1.0
"""False positives a scan of the default operating point: the middle of LUNA16's seven."""


def choose_operating_point(
    card: ModelCard, *, fp_per_scan: float | None = None, threshold: float | None = None
) -> OperatingPoint:
    """Take a threshold as it is, or the model's threshold for a number of false positives a scan.

    Between the card's points the threshold is interpolated over the logarithm of the false positives; beyond
    them the nearest one holds.

    Raises:
        UsageError: the model has no operating points, so a threshold is needed.
    """
    if threshold is not None:
        return OperatingPoint(threshold=threshold, words="Threshold set by hand.")
    if not card.operating_points:
        raise UsageError(f"model {card.name} knows no operating points; give --threshold")
    wanted = DEFAULT_FP_PER_SCAN if fp_per_scan is None else fp_per_scan
    points = sorted(card.operating_points, key=lambda point: point.fp_per_scan)
    rates = np.log([point.fp_per_scan for point in points])
    found = [
        float(np.interp(np.log(wanted), rates, [getattr(point, name) for point in points]))
        for name in ("threshold", "sensitivity")
    ]
    words = (
        f"Measured on {card.metrics.get('validation/scans', 0):.0f} validation scans "
        f"with {card.metrics.get('validation/nodules', 0):.0f} nodules."
    )
    return OperatingPoint(threshold=found[0], fp_per_scan=wanted, sensitivity=found[1], words=words)
