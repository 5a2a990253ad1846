"""Above which probability a candidate becomes a finding, and what is to be expected there."""

from __future__ import annotations

import numpy as np

from medvision.errors import UsageError
from medvision.models.card import DetectorCard
from medvision.reporting.report import OperatingPoint

DEFAULT_FP_PER_SCAN = 1.0
"""False positives a scan of the default operating point: the middle of LUNA16's seven."""
Z = 1.96
"""Of the normal distribution's central 95 %."""


def choose_operating_point(
    card: DetectorCard, *, fp_per_scan: float | None = None, threshold: float | None = None
) -> OperatingPoint:
    """Take a threshold as it is, or the model's threshold for a number of false positives a scan.

    Between the card's points the threshold is interpolated over the logarithm of the false positives; beyond
    them the nearest one holds.

    Raises:
        UsageError: the model has no operating points, so a threshold is needed.
    """
    if threshold is not None:
        return OperatingPoint(threshold=threshold, words="Threshold set by hand.")
    if not card.operating_points and fp_per_scan is None and card.default_threshold is not None:
        return OperatingPoint(
            threshold=card.default_threshold,
            words="The model names no operating point; what to expect at this threshold is not known.",
        )
    if not card.operating_points:
        raise UsageError(f"model {card.name} knows no operating points; give --threshold")
    wanted = DEFAULT_FP_PER_SCAN if fp_per_scan is None else fp_per_scan
    points = sorted(card.operating_points, key=lambda point: point.fp_per_scan)
    rates = np.log([point.fp_per_scan for point in points])
    found = [
        float(np.interp(np.log(wanted), rates, [getattr(point, name) for point in points]))
        for name in ("threshold", "sensitivity")
    ]
    nodules = card.metrics.get("validation/nodules", 0)
    lower, upper = sensitivity_limits(found[1], nodules)
    words = (
        f"Measured on {card.metrics.get('validation/scans', 0):.0f} validation scans "
        f"with {nodules:.0f} nodules."
    )
    return OperatingPoint(
        threshold=found[0],
        fp_per_scan=wanted,
        sensitivity=found[1],
        sensitivity_lower=lower,
        sensitivity_upper=upper,
        words=words,
    )


def sensitivity_limits(sensitivity: float, nodules: float) -> tuple[float | None, float | None]:
    """95 % limits of a share found among so many nodules (Wilson, J Am Stat Assoc 1927;22:209-212).

    Nodules of one scan count as independent, as on the model's card; None where their number is not known.
    """
    if nodules <= 0:
        return None, None
    middle = (sensitivity + Z**2 / (2 * nodules)) / (1 + Z**2 / nodules)
    spread = sensitivity * (1 - sensitivity) / nodules + Z**2 / (4 * nodules**2)
    half = Z * float(np.sqrt(spread)) / (1 + Z**2 / nodules)
    return round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4)
