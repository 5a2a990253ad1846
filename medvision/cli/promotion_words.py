"""What the gate found, for a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medvision.evaluation.promotion import Check
    from medvision.tracking.promotion import Promotion

_TITLES = {
    "sensitivity": "sensitivity",
    "false_positives": "false positives a scan",
    "calibration": "calibration error",
    "time": "seconds a scan",
}


def promotion_lines(result: Promotion) -> Iterator[str]:
    """A line a figure, then the verdict."""
    yield f"cohort {result.cohort[:12]}: {_count(result)}"
    for check in result.checks:
        yield _line(check)
    yield _verdict(result)


def _count(result: Promotion) -> str:
    return f"{result.scans} scans of {result.patients} patients with {result.nodules} nodules"


def _line(check: Check) -> str:
    change = "better by" if check.worse_by < 0 else "worse by"
    form = "{:.1%}" if check.name == "time" else "{:.3f}"
    worst, allowed = form.format(max(0.0, check.upper)), form.format(check.margin)
    return (
        f"{_TITLES[check.name]:24}{check.champion:.3f} -> {check.challenger:.3f}, {change} "
        f"{form.format(abs(check.worse_by))}, at worst {worst} (allowed {allowed}): {check.verdict}"
    )


def _verdict(result: Promotion) -> str:
    who = f"{result.model} version {result.challenger}"
    if result.seen:
        return (
            f"refused: {who} knows {result.seen} of these {result.scans} scans from its training; "
            "give a cohort that it has not seen"
        )
    if result.champion is None:
        return f"promoted: {who} is the first champion; nothing to compare it with"
    if result.promoted:
        return f"promoted: {who} is the champion now, version {result.champion} the former_champion"
    failed = ", ".join(_TITLES[check.name] for check in result.checks if check.verdict != "passed")
    return f"refused: {who} is not shown to be as good as version {result.champion}: {failed}"
