"""Rounding as guidelines mean it: a half goes up, in decimal figures."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal


def to_tenth(value: float) -> float:
    """Millimetres to one decimal, as Lung-RADS v2022 measures."""
    return float(Decimal(str(value)).quantize(Decimal("0.1"), ROUND_HALF_UP))


def to_whole(value: float) -> int:
    """Whole millimetres, as Fleischner 2017 measures; whole cubic millimetres for both."""
    return int(Decimal(str(value)).quantize(Decimal(1), ROUND_HALF_UP))
