"""What happened to which attribute, and how often; never a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from medvision.dicom.deidentify.actions import Action

PRIVATE = "private attributes"


@dataclass(slots=True)
class Audit:
    """Counts by tag, keyword and action; attributes inside sequences count under their own tag."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, tag: int, keyword: str, action: Action, count: int = 1) -> None:
        """Note what happened to an attribute."""
        self.counts[f"({tag >> 16:04X},{tag & 0xFFFF:04X})", keyword, str(action)] += count

    def add_private(self) -> None:
        """Note a private attribute; which one it was can say whose scanner it was."""
        self.counts["(gggg,eeee)", PRIVATE, str(Action.REMOVE)] += 1

    def merge(self, other: Audit) -> None:
        """Add another one's counts."""
        self.counts.update(other.counts)

    def as_rows(self) -> list[Mapping[str, Any]]:
        """One mapping an attribute and action, sorted by tag."""
        return [
            {"tag": tag, "keyword": keyword, "action": action, "count": count}
            for (tag, keyword, action), count in sorted(self.counts.items())
        ]

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Self:
        """The inverse of `as_rows`.

        Raises:
            KeyError: a row lacks a column.
        """
        return cls(Counter({(row["tag"], row["keyword"], row["action"]): row["count"] for row in rows}))
