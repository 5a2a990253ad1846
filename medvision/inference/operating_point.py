"""Above which probability a candidate becomes a finding, and what is to be expected there."""

from __future__ import annotations

import numpy as np

from medvision.errors import UsageError
from medvision.evaluation.intervals import wilson
from medvision.models.card import DetectorCard
from medvision.models.card import OperatingPoint as CardPoint
from medvision.reporting.report import OperatingPoint

DEFAULT_FP_PER_SCAN = 1.0
"""False positives a scan of the default operating point: the middle of LUNA16's seven."""


def choose_operating_point(
    card: DetectorCard, *, fp_per_scan: float | None = None, threshold: float | None = None
) -> OperatingPoint:
    """Take a threshold as it is, or the model's threshold for a number of false positives a scan.

    Between the card's points the threshold is interpolated over the logarithm of the false positives; beyond
    them the nearest one holds. Where neither is asked for, the point counts that a local calibration chose.

    Raises:
        UsageError: the model has no operating points, so a threshold is needed.
    """
    if threshold is not None:
        return _by_hand(card, threshold)
    if fp_per_scan is None and card.chosen is not None:
        return _measured(card, card.chosen)
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
    return _measured(card, CardPoint(fp_per_scan=wanted, threshold=found[0], sensitivity=found[1]))


def _by_hand(card: DetectorCard, threshold: float) -> OperatingPoint:
    """What the card's points tell of a threshold between them; of one beyond them nobody knows."""
    points = sorted(card.operating_points, key=lambda point: point.threshold)
    if not points or not points[0].threshold <= threshold <= points[-1].threshold:
        return OperatingPoint(threshold=threshold, words="Threshold set by hand.")
    limits = [point.threshold for point in points]
    rate = float(np.exp(np.interp(threshold, limits, np.log([point.fp_per_scan for point in points]))))
    sensitivity = float(np.interp(threshold, limits, [point.sensitivity for point in points]))
    return _measured(
        card, CardPoint(fp_per_scan=round(rate, 4), threshold=threshold, sensitivity=sensitivity)
    )


def _measured(card: DetectorCard, point: CardPoint) -> OperatingPoint:
    scans, nodules, words = _basis(card)
    lower, upper = sensitivity_limits(point.sensitivity, nodules)
    return OperatingPoint(
        threshold=point.threshold,
        fp_per_scan=point.fp_per_scan,
        sensitivity=point.sensitivity,
        sensitivity_lower=lower,
        sensitivity_upper=upper,
        words=words.format(scans=scans, nodules=nodules),
    )


def _basis(card: DetectorCard) -> tuple[float, float, str]:
    """On how many scans and nodules the card's points rest, and how to say so."""
    local = card.local_calibration
    if local is not None:
        return local.scans, local.nodules, "Measured on {scans:.0f} local scans with {nodules:.0f} nodules."
    scans, nodules = (card.metrics.get(f"validation/{name}", 0) for name in ("scans", "nodules"))
    return scans, nodules, "Measured on {scans:.0f} validation scans with {nodules:.0f} nodules."


def sensitivity_limits(sensitivity: float, nodules: float) -> tuple[float | None, float | None]:
    """95 % limits of a share found among so many nodules (Wilson, J Am Stat Assoc 1927;22:209-212).

    Nodules of one scan count as independent, as on the model's card; None where their number is not known.
    """
    if nodules <= 0:
        return None, None
    lower, upper = wilson(sensitivity, nodules)
    return round(lower, 4), round(upper, 4)
