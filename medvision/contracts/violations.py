"""What breaks a contract: one violation, and where violations go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from medvision.errors import ContractError

KEPT_PER_RULE = 20
"""Violations of one rule in one file that are kept; the others are counted."""

VALUE_LENGTH = 80
PRIVATE = ("patient_id",)
"""Columns and keys whose values are never shown."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One place that breaks a contract.

    Attributes:
        source: the file.
        line: counted from 1 with the header; None where it has none.
        column: of a table, or the place in a document; empty where the file as a whole is meant.
        value: what stands there, shortened; None where the rule says it all.
        rule: what should, in words.
        contract: name and version.
    """

    source: str
    line: int | None
    column: str
    value: str | None
    rule: str
    contract: str

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}, line {self.line}"
        what = "" if self.value is None else f"column {self.column!r} is {self.value!r} and "
        return f"{place}: {what}{self.rule} [{self.contract}]"


def show_value(column: str, value: object) -> str:
    """A value as it may be shown: shortened, and hidden where it could name a patient."""
    text = str(value)
    if text and column.rpartition(".")[2] in PRIVATE:
        return "(hidden)"
    return text if len(text) <= VALUE_LENGTH else f"{text[:VALUE_LENGTH]}…"


class Sink(Protocol):
    """Takes violations of one rule in one file, in the order of their lines."""

    def tell(self, count: int, violations: Iterable[Violation]) -> None:
        """Take `count` violations; they are made only as far as they are asked for."""


class RaiseFirst:
    """Ends the check at the first violation."""

    def tell(self, count: int, violations: Iterable[Violation]) -> None:  # noqa: ARG002  a Sink
        """Raise the first one.

        Raises:
            ContractError: always, where there is one.
        """
        for violation in violations:
            raise ContractError(str(violation))


@dataclass(slots=True)
class Collect:
    """Counts all violations and keeps the first ones of each rule.

    Attributes:
        count: how many there are.
        kept: those that can be shown.
    """

    count: int = 0
    kept: list[Violation] = field(default_factory=list)
    _of_rule: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def tell(self, count: int, violations: Iterable[Violation]) -> None:
        """Count them and keep a few."""
        self.count += count
        for violation in violations:
            rule = (violation.source, violation.column, violation.rule)
            if self._of_rule[rule] >= KEPT_PER_RULE:
                return
            self._of_rule[rule] += 1
            self.kept.append(violation)

    def tell_one(self, violation: Violation) -> None:
        """Count and keep one."""
        self.tell(1, (violation,))
