"""Conditions on a label, such as `>=4`, `<=2`, `malignant` or `1,2`."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from medvision.errors import ConfigError

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_ORDERED = re.compile(r"(>=|<=|>|<)(.*)")
_VALUES = re.compile(r"(==|=|!=)?([^<>=!]+)")


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that a label fulfils or not.

    Attributes:
        text: as it was written.
        operator: `>=`, `<=`, `>`, `<`, `==` or `!=`.
        values: what to compare with; one number for the ordered four.
    """

    text: str
    operator: str
    values: tuple[str, ...]

    def holds(self, label: str) -> bool:
        """Whether a label fulfils it.

        Raises:
            ValueError: an ordered comparison with a label that is no number.
        """
        if self.operator in _COMPARISONS:
            return _COMPARISONS[self.operator](float(label), float(self.values[0]))
        among = any(_same(label, value) for value in self.values)
        return among if self.operator == "==" else not among


def parse_condition(text: str) -> Condition:
    """Read a condition: `>=4`, `<2.5`, `==1`, `!=0`, a value, or several with commas between.

    Raises:
        ConfigError: it is none.
    """
    plain = str(text).strip()
    if (match := _ORDERED.fullmatch(plain)) and _is_number(match[2]):
        return Condition(plain, match[1], (match[2].strip(),))
    if match := _VALUES.fullmatch(plain):
        values = tuple(value.strip() for value in match[2].split(",") if value.strip())
        if values:
            return Condition(plain, "!=" if match[1] == "!=" else "==", values)
    raise ConfigError(f"condition {text!r} is none; write such as '>=4', '<=2', '==1', 'malignant' or '1,2'")


def _same(label: str, value: str) -> bool:
    """Equal as numbers where both are, so that 5 is 5.0; else as text."""
    if _is_number(label) and _is_number(value):
        return float(label) == float(value)
    return label.strip().casefold() == value.casefold()


def _is_number(text: str) -> bool:
    try:
        return not math.isnan(float(text))
    except ValueError:
        return False
