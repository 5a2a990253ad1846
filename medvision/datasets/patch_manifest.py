"""The rows of a patch manifest, and which of them are positive, negative or neither."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from medvision.contracts import check_table
from medvision.contracts.csv_chunks import read_chunks
from medvision.datasets.conditions import Condition, parse_condition
from medvision.errors import ContractError, DataError

PATH, PATIENT = "path", "patient_id"
IS_POSITIVE, IS_NEGATIVE = "==1", "==0"
"""Without conditions a label is 1 or 0."""

_NO_LABEL = ("", "nan", "na", "n/a", "none", "null")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a manifest.

    Attributes:
        line: in the file.
        path: the patch.
        columns: every column as text.
    """

    line: int
    path: Path
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Rule:
    """Which labels are positive and which negative.

    Attributes:
        positive: the one condition.
        negative: the other; None means every label that is not positive.
    """

    positive: Condition
    negative: Condition | None

    @property
    def words(self) -> str:
        """Both, for messages."""
        return (
            f"positive {self.positive.text!r}, negative {self.negative.text if self.negative else 'others'!r}"
        )

    def target(self, label: str) -> int | None:
        """1, 0, or None for a label that is neither.

        Raises:
            ValueError: it cannot be compared, or is both.
        """
        is_positive = self.positive.holds(label)
        is_negative = not is_positive if self.negative is None else self.negative.holds(label)
        if is_positive and is_negative:
            raise ValueError("it is both")
        return 1 if is_positive else 0 if is_negative else None


def make_rule(positive: str | None, negative: str | None) -> Rule:
    """Read the conditions; without any a label is 1 or 0, with one the others are the other.

    Raises:
        ConfigError: a condition that cannot be read.
    """
    if positive is None and negative is None:
        return Rule(parse_condition(IS_POSITIVE), parse_condition(IS_NEGATIVE))
    return Rule(parse_condition(positive or IS_POSITIVE), parse_condition(negative) if negative else None)


def read_rows(manifest: Path, label: str, root: Path) -> Iterator[Row]:
    """Yield the rows of a manifest that keeps its contract.

    Raises:
        ContractError: a column is missing, a path or patient is empty, or a patch comes twice.
    """
    check_table(manifest, "patches")
    for chunk in read_chunks(manifest):
        if label not in chunk.columns:
            there = ", ".join(chunk.columns)
            raise ContractError(f"{manifest}: column {label!r} is missing (there are: {there})")
        for line, cells in zip(chunk.lines, zip(*chunk.columns.values(), strict=True), strict=True):
            columns = dict(zip(chunk.columns, map(str.strip, cells), strict=True))
            if chunk.decimal_comma:
                columns[label] = columns[label].replace(",", ".")
            yield Row(line, root / columns[PATH].replace("\\", "/"), columns)


def has_label(row: Row, label: str) -> bool:
    """Whether the label's cell says anything."""
    return row.columns[label].casefold() not in _NO_LABEL


def target_of(manifest: Path, row: Row, label: str, rule: Rule) -> int | None:
    """1, 0, or None for a label that is neither.

    Raises:
        DataError: naming the line, the label and the conditions.
    """
    text = row.columns[label]
    try:
        return rule.target(text)
    except ValueError as error:
        raise DataError(
            f"{manifest}, line {row.line}: column {label!r} is {text[:40]!r}: {error} ({rule.words})"
        ) from error
