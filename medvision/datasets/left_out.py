"""Files and rows that a reader left out, each with its reason: nothing is dropped silently."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SHOWN = 3
"""So many are named in the log; all of them are in the reader's result."""


@dataclass(frozen=True, slots=True, order=True)
class LeftOut:
    """Something that cannot be used while the rest goes on.

    Attributes:
        path: the file.
        reason: what is wrong with it, in words.
    """

    path: Path
    reason: str


def tell_left_out(logger: logging.Logger, source: Path, left_out: Sequence[LeftOut], of: int) -> None:
    """Warn in one line that names the first few."""
    if not left_out:
        return
    named = "; ".join(f"{item.path}: {item.reason}" for item in left_out[:SHOWN])
    more = f"; and {len(left_out) - SHOWN} more" if len(left_out) > SHOWN else ""
    logger.warning("%s: %d of %d files are left out: %s%s", source, len(left_out), of, named, more)
