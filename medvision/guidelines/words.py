"""Sentences for a reader: what a guideline suggests, never a diagnosis."""

from __future__ import annotations

from collections.abc import Sequence

from medvision.findings import Density
from medvision.guidelines.nodule import Nodule
from medvision.guidelines.tables import FleischnerRow, lung_rads_table

DENSITY: dict[Density, str] = {
    "solid": "solid",
    "part_solid": "part-solid",
    "ground_glass": "ground-glass",
    "calcified": "calcified",
}


def nodule_words(nodule: Nodule) -> str:
    """Density and size, such as "part-solid, mean diameter 8.4 mm, solid component 3.1 mm"."""
    text = f"{DENSITY[nodule.density]}, mean diameter {nodule.mean_diameter_mm:.1f} mm"
    if not nodule.reliable:
        lower, upper = nodule.diameter_limits_mm
        text += f" ({lower:.1f} to {upper:.1f} mm)" if upper > lower else ""
    if nodule.density == "part_solid" and nodule.core_mean_diameter_mm is not None:
        text += f", solid component {nodule.core_mean_diameter_mm:.1f} mm"
    return text


def lung_rads_words(possible: Sequence[str]) -> str:
    """What the category means; of a range, of its ends."""
    table = {category.code: category for category in lung_rads_table().categories}
    first, last = table[possible[0]], table[possible[-1]]
    name = lung_rads_table().name
    if first is last:
        return f"Suggests category {first.code} by {name} ({first.meaning}): {first.management}."
    return (
        f"Suggests category {first.code} to {last.code} by {name}, which the facts leave open; "
        f"for {last.code} ({last.meaning}): {last.management}."
    )


def fleischner_words(name: str, rows: Sequence[FleischnerRow], risk: str | None) -> str:
    """What is suggested, for the patient's risk or, where that is not known, for both."""
    first, last = rows[0], rows[-1]
    if first is last:
        return f"Suggests by {name}: {_for_risk(first, risk)}."
    return f"Suggests by {name} from: {_for_risk(first, risk)}; up to: {_for_risk(last, risk)}."


def _for_risk(row: FleischnerRow, risk: str | None) -> str:
    if row.low == row.high or risk == "low":
        return row.low
    if risk == "high":
        return row.high
    return f"{row.low} at low risk, {row.high} at high risk"


def category_label(possible: Sequence[str]) -> str:
    """One category, or the ends of a range."""
    return possible[0] if len(possible) == 1 else f"{possible[0]} to {possible[-1]}"
