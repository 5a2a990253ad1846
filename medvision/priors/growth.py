"""How a nodule has changed: growth and doubling time with 95 % limits, and whether it is more than error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medvision.findings import Measurement
from medvision.reporting.prior_records import Status

Z95 = 1.96


@dataclass(frozen=True, slots=True)
class Growth:
    """Change of a volume between two examinations.

    Attributes:
        status: growing or shrinking only where the 95 % limits leave no doubt; unclear where one of both
            measurements is not to be trusted and the limits do not settle it.
        percent: change of the volume; None where it cannot be told.
        lower_percent: lower 95 % limit.
        upper_percent: upper 95 % limit.
        doubling_days: time in which the volume doubles; None unless it grows.
        doubling_lower_days: lower 95 % limit.
        doubling_upper_days: upper 95 % limit; None where it may not grow at all.
    """

    status: Status
    percent: float | None = None
    lower_percent: float | None = None
    upper_percent: float | None = None
    doubling_days: float | None = None
    doubling_lower_days: float | None = None
    doubling_upper_days: float | None = None


def growth_between(then: Measurement, now: Measurement, days: int | None) -> Growth:
    """Compare two measurements of one nodule.

    Both errors are taken as independent and log-normal, as `measurement.uncertainty` has them, so that the
    standard error of the ratio's logarithm is the root of the sum of their squares.

    Args:
        then: in the earlier examination.
        now: in the current one.
        days: between both; None where a date is not known.
    """
    error_then, error_now = _log_error(then), _log_error(now)
    if error_then is None or error_now is None:
        return Growth("unclear")
    ratio = now.volume_mm3 / then.volume_mm3
    factor = float(np.exp(Z95 * np.hypot(error_then, error_now)))
    low, high = ratio / factor, ratio * factor
    status = _status(low, high, reliable=then.reliable and now.reliable)
    times: tuple[float | None, ...] = (None, None, None)
    if status == "growing" and days:
        times = tuple(_doubling_days(value, days) for value in (ratio, high, low))
    return Growth(status, _percent(ratio), _percent(low), _percent(high), *times)


def _status(low: float, high: float, *, reliable: bool) -> Status:
    if low > 1:
        return "growing"
    if high < 1:
        return "shrinking"
    return "stable" if reliable else "unclear"


def _log_error(measurement: Measurement) -> float | None:
    """Standard error of the volume's logarithm, from its limits."""
    low, high = measurement.volume_lower_mm3, measurement.volume_upper_mm3
    return float(np.log(high / low)) / (2 * Z95) if low and high else None


def _percent(ratio: float) -> float:
    return round(100 * (ratio - 1), 1)


def _doubling_days(ratio: float, days: int) -> float | None:
    """Schwartz, Cancer 1961: days · ln 2 / ln ratio."""
    return round(days * float(np.log(2) / np.log(ratio)), 1) if ratio > 1 else None
