"""How much memory a network's maps may take. It depends on the machine, never on what else runs there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from medvision.errors import UsageError

GIB = 2**30
MEMORY = "MEDVISION_MEMORY_GIB"
"""Environment variable with another budget."""

MOST_BYTES = 1.5 * GIB
"""Enough for the lungs of nearly everybody in one piece."""

SHARE = 0.25
"""Of the memory there is; the scan, the next one and the libraries need the rest."""

CONTAINER_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),  # version 2
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),  # version 1
)


def map_budget() -> int:
    """Bytes that a network's maps may take: `MEDVISION_MEMORY_GIB`, else 1.5 GiB or a quarter of the memory.

    Raises:
        UsageError: the variable holds no positive number.
    """
    if given := os.environ.get(MEMORY):
        return _given(given)
    there = memory_limit()
    return int(MOST_BYTES if there is None else min(MOST_BYTES, SHARE * there))


def memory_limit() -> int | None:
    """Bytes that this process may use: the machine's, or its container's limit; None where unknown."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    limit = container_limit()
    return min(total, limit) if limit else total


def container_limit(places: Sequence[Path] = CONTAINER_LIMITS) -> int | None:
    """What the control group allows; None where it sets no limit."""
    for place in places:
        try:
            text = place.read_text(encoding="ascii").strip()
        except OSError:
            continue
        return int(text) if text.isdecimal() else None
    return None


def _given(text: str) -> int:
    try:
        budget = int(float(text) * GIB)
    except (ValueError, OverflowError):
        budget = 0
    if budget <= 0:
        raise UsageError(f"{MEMORY}={text}: give gibibytes as a positive number, such as 1.5")
    return budget
