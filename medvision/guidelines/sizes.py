"""Which sizes a measurement leaves open: one where it is to be trusted, else all that its limits allow."""

from __future__ import annotations

from collections.abc import Iterable

from medvision.guidelines.nodule import Nodule
from medvision.guidelines.tables import Bounds


def contains(bounds: Bounds, value: float) -> bool:
    """From the first bound on, up to but without the second."""
    low, high = bounds
    return low <= value and (high is None or value < high)


def open_sizes(nodule: Nodule, borders: Iterable[float]) -> tuple[float, ...]:
    """Mean diameters in mm that may be the true one: each reachable row of a table is met at least once.

    Args:
        nodule: its measurement.
        borders: where rows of the table begin.
    """
    if nodule.reliable:
        return (nodule.mean_diameter_mm,)
    return _between(*nodule.diameter_limits_mm, nodule.mean_diameter_mm, borders)


def open_cores(nodule: Nodule, borders: Iterable[float]) -> tuple[float, ...]:
    """The same for the solid component; without a measurement anything up to the whole nodule."""
    if nodule.density != "part_solid":
        return (0.0,)
    core, whole = nodule.core_mean_diameter_mm, nodule.mean_diameter_mm
    if core is None:
        return _between(0.0, max(open_sizes(nodule, ())), whole, borders)
    if nodule.reliable or whole <= 0:
        return (core,)
    lower, upper = (core * limit / whole for limit in nodule.diameter_limits_mm)
    return _between(lower, upper, core, borders)


def _between(lower: float, upper: float, measured: float, borders: Iterable[float]) -> tuple[float, ...]:
    inside = {border for border in borders if lower < border <= upper}
    return tuple(sorted({lower, measured, upper, *inside}))
