"""Which finding is which earlier one: one-to-one, by distance, size and density."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from medvision.findings import Point

REACH_MM = 10.0
"""Two findings further apart, once aligned, are not the same one; large ones may be by half their size."""
SIZE_WEIGHT, DENSITY_WEIGHT = 0.25, 0.15
"""Cost of a volume e times as large, and of 200 HU, against one of a whole reach."""
HU_SCALE = 200.0
FORBIDDEN = 1e3


@dataclass(frozen=True, slots=True)
class Seen:
    """A finding as it matters for matching.

    Attributes:
        center_lps_mm: in the frame in which both are compared.
        diameter_mm: mean diameter.
        mean_hu: mean HU inside; None where not measured.
    """

    center_lps_mm: Point
    diameter_mm: float
    mean_hu: float | None = None


def match(current: Sequence[Seen], earlier: Sequence[Seen]) -> dict[int, int]:
    """Pair findings one-to-one at the least total cost (Kuhn, Naval Research Logistics Quarterly 1955).

    Args:
        current: findings now.
        earlier: findings then, in the same frame.

    Returns:
        Index of a current finding to the index of the earlier one; what has no partner is not in it.
    """
    if not current or not earlier:
        return {}
    cost = np.array([[_cost(now, then) for then in earlier] for now in current])
    rows, columns = linear_sum_assignment(cost)
    return {int(i): int(j) for i, j in zip(rows, columns, strict=True) if cost[i, j] < FORBIDDEN}


def reach_mm(diameter_mm: float) -> float:
    """How far apart two findings may lie and still be the same one."""
    return max(REACH_MM, diameter_mm / 2)


def distance_mm(one: Point, other: Point) -> float:
    """Euclidean distance of two places."""
    return float(np.linalg.norm(np.subtract(one, other)))


def _cost(now: Seen, then: Seen) -> float:
    reach = reach_mm(max(now.diameter_mm, then.diameter_mm))
    distance = distance_mm(now.center_lps_mm, then.center_lps_mm)
    if distance > reach:
        return FORBIDDEN
    sizes = 3 * abs(float(np.log(max(now.diameter_mm, 0.1) / max(then.diameter_mm, 0.1))))
    cost = distance / reach + SIZE_WEIGHT * sizes
    if now.mean_hu is not None and then.mean_hu is not None:
        cost += DENSITY_WEIGHT * abs(now.mean_hu - then.mean_hu) / HU_SCALE
    return cost
