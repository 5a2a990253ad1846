"""Check a table against its contract, column by column, and hand it on as arrays."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.contracts.csv_chunks import Chunk, read_chunks
from medvision.contracts.odcs import Column, Contract, load_contract
from medvision.contracts.rows import broken_rows
from medvision.contracts.violations import Collect, RaiseFirst, Sink, Violation, show_value
from medvision.errors import ContractError

NOT_EMPTY = "must not be empty"

Rows = Iterable[Mapping[str, object]]
Table = Path | Rows
ColumnArray = NDArray[Any]
"""One value a row: float64 for numbers (NaN where empty), object for text ("" where empty)."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Values that a column may have.

    Attributes:
        values: those of the table that is referred to.
        words: where they stand, such as "series.csv, column name".
    """

    values: Container[str]
    words: str


References = Mapping[str, Reference]
"""Column → the values of another table that it may have."""


def check_table(table: Table, name: str) -> int:
    """Check a CSV file, or rows in memory, against a table contract; further columns are allowed.

    Returns:
        How many rows there are.

    Raises:
        ContractError: naming the table, line, column, value, rule and contract.
    """
    checker = _Checker(_source(table), load_contract(name), RaiseFirst())
    return sum(len(chunk.lines) for chunk, _ in checker.run(table))


def read_table(table: Table, name: str, *, limits: bool = True) -> dict[str, ColumnArray]:
    """Check a table and return the contract's columns that it has.

    Args:
        table: a CSV file (optionally `.gz`), or rows in memory.
        name: the contract.
        limits: also check minimum and maximum.

    Raises:
        ContractError: naming the table, line, column, value, rule and contract.
    """
    checker = _Checker(_source(table), load_contract(name), RaiseFirst(), limits=limits)
    parts = [arrays for _, arrays in checker.run(table)]
    return {column: np.concatenate([part[column] for part in parts]) for column in parts[0]}


def read_table_chunks(path: Path, name: str, *, limits: bool = True) -> Iterator[dict[str, ColumnArray]]:
    """As `read_table`, some rows at a time, for tables of any length.

    Raises:
        ContractError: naming the table, line, column, value, rule and contract.
    """
    checker = _Checker(str(path), load_contract(name), RaiseFirst(), limits=limits)
    return (arrays for _, arrays in checker.run(path))


def collect_violations(
    path: Path,
    name: str,
    found: Collect,
    *,
    references: References | None = None,
    keep: Callable[[Mapping[str, ColumnArray]], None] | None = None,
) -> int:
    """Check a CSV file and collect all that is wrong, in bounded memory.

    Args:
        path: the file.
        name: the contract.
        found: takes the violations.
        references: values of other tables that its columns must have.
        keep: called with the columns of each chunk of rows.

    Returns:
        How many rows could be read.
    """
    contract = load_contract(name)
    checker = _Checker(str(path), contract, found, references=references or {})
    count = 0
    try:
        for chunk, arrays in checker.run(path):
            count += len(chunk.lines)
            if keep is not None:
                keep(arrays)
    except ContractError as error:
        words = str(error).replace(str(path), "the file")
        found.tell_one(Violation(str(path), None, "", None, words, contract.words))
    return count


def _source(table: Table) -> str:
    return str(table) if isinstance(table, Path) else "table"


def _memory_chunk(rows: Rows, contract: Contract) -> Iterator[Chunk]:
    table = list(rows)
    names = table[0].keys() if table else [column.name for column in contract.columns]
    columns: dict[str, Sequence[str]] = {
        name: ["" if (value := row.get(name)) is None else str(value) for row in table] for name in names
    }
    yield Chunk(range(1, len(table) + 1), columns)


@dataclass(slots=True)
class _Checker:
    """Checks chunk after chunk of one table; remembers the values of unique columns."""

    source: str
    contract: Contract
    sink: Sink
    limits: bool = True
    references: References = field(default_factory=dict)
    _strings: dict[str, str] = field(default_factory=dict)
    _seen: dict[str, dict[str, int]] = field(default_factory=dict)
    _is_bad: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))

    def run(self, table: Table) -> Iterator[tuple[Chunk, dict[str, ColumnArray]]]:
        for number, chunk in enumerate(self._chunks(table)):
            if number == 0:
                self._check_header(chunk)
            yield chunk, self._check(chunk)

    def _chunks(self, table: Table) -> Iterator[Chunk]:
        if not isinstance(table, Path):
            return _memory_chunk(table, self.contract)
        names = [column.name for column in self.contract.columns] if self.contract.header_optional else []
        return read_chunks(table, default_header=names, on_ragged=self._tell_ragged)

    def _tell_ragged(self, line: int, words: str) -> None:
        self.sink.tell(1, [Violation(self.source, line, "", None, words, self.contract.words)])

    def _check_header(self, chunk: Chunk) -> None:
        there = ", ".join(chunk.columns)
        missing = [c for c in self.contract.columns if c.name not in chunk.columns and not c.absent_allowed]
        for column in missing:
            words = f"column {column.name!r} is missing (there are: {there})"
            self.sink.tell(1, [Violation(self.source, None, column.name, None, words, self.contract.words)])

    def _check(self, chunk: Chunk) -> dict[str, ColumnArray]:
        self._is_bad = np.zeros(len(chunk.lines), dtype=np.bool_)
        arrays = {
            column.name: self._check_column(column, chunk)
            for column in self.contract.columns
            if column.name in chunk.columns
        }
        if self.limits and self.contract.rules and len(chunk.lines) and arrays:
            self._check_rules(chunk, arrays)
        return arrays

    def _check_column(self, column: Column, chunk: Chunk) -> ColumnArray:
        if column.unique:
            self._check_unique(column, chunk)
        return self._check_numbers(column, chunk) if column.is_numeric else self._check_texts(column, chunk)

    def _check_texts(self, column: Column, chunk: Chunk) -> ColumnArray:
        # A UID comes on many rows: one string and one look for all of them keeps long tables small and fast.
        raw = chunk.columns[column.name]
        clean = {cell: self._strings.setdefault(text := cell.strip(), text) for cell in set(raw)}
        texts = set(clean.values())
        cells = [clean[cell] for cell in raw]
        if column.required:
            self._refuse(column, chunk, _among(cells, texts & {""}), NOT_EMPTY)
        self._refuse(column, chunk, _among(cells, _bad_texts(column, texts)), f"must be {column.rule}")
        if reference := self.references.get(column.name):
            strangers = {text for text in texts if text and text not in reference.values}
            if strangers:
                indices = np.flatnonzero(_among(cells, strangers))
                self._tell(column, chunk, indices, f"must be in {reference.words}")
        return np.array(cells, dtype=object)

    def _check_numbers(self, column: Column, chunk: Chunk) -> NDArray[np.float64]:
        cells = chunk.columns[column.name]
        numbers = _numbers(cells, decimal_comma=chunk.decimal_comma)
        bad = np.isnan(numbers) if column.infinite_allowed else ~np.isfinite(numbers)
        empty = np.zeros_like(bad)
        empty[bad] = [not cells[index].strip() for index in np.flatnonzero(bad).tolist()]
        if column.required:
            self._refuse(column, chunk, empty, NOT_EMPTY)
        if column.logical_type == "integer":
            bad |= numbers != np.floor(numbers)
        if self.limits and column.minimum is not None:
            bad |= numbers < column.minimum
        if self.limits and column.maximum is not None:
            bad |= numbers > column.maximum
        self._refuse(column, chunk, bad & ~empty, f"must be {column.rule}")
        return numbers

    def _check_unique(self, column: Column, chunk: Chunk) -> None:
        seen = self._seen.setdefault(column.name, {})
        for index, cell in enumerate(map(str.strip, chunk.columns[column.name])):
            line = chunk.lines[index]
            first = seen.setdefault(cell, line)
            if first != line and cell:
                self._tell(column, chunk, np.array([index]), f"must be unique, but line {first} has it too")

    def _check_rules(self, chunk: Chunk, arrays: Mapping[str, ColumnArray]) -> None:
        """Rows that break a column's own rule are told already, and left out here."""
        good = np.flatnonzero(~self._is_bad)
        if not len(good):
            return
        for rule, rows in broken_rows(self.contract, {name: array[good] for name, array in arrays.items()}):
            words = f"{rule.description} ({rule.name})"
            lines = [chunk.lines[index] for index in good[rows].tolist()]
            self.sink.tell(
                len(lines),
                (Violation(self.source, line, "", None, words, self.contract.words) for line in lines),
            )

    def _refuse(self, column: Column, chunk: Chunk, bad: NDArray[np.bool_], rule: str) -> None:
        if bad.any():
            self._is_bad |= bad
            self._tell(column, chunk, np.flatnonzero(bad), rule)

    def _tell(self, column: Column, chunk: Chunk, indices: NDArray[np.int64], rule: str) -> None:
        cells = chunk.columns[column.name]
        self.sink.tell(
            len(indices),
            (
                Violation(
                    self.source,
                    chunk.lines[index],
                    column.name,
                    show_value(column.name, cells[index].strip()),
                    rule,
                    self.contract.words,
                )
                for index in map(int, indices)
            ),
        )


def _numbers(cells: Sequence[str], *, decimal_comma: bool) -> NDArray[np.float64]:
    """Float64 of every cell; NaN where it is none."""
    if decimal_comma:
        cells = [cell.replace(",", ".") for cell in cells]
    try:
        return np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return np.fromiter(map(_number, cells), np.float64, len(cells))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _among(cells: Sequence[str], bad: Set[str]) -> NDArray[np.bool_]:
    if not bad:
        return np.zeros(len(cells), dtype=np.bool_)
    return np.array([cell in bad for cell in cells], dtype=np.bool_)


def _bad_texts(column: Column, texts: Set[str]) -> set[str]:
    """Those that break the column's rule; empty ones do not."""
    tests: list[Callable[[str], bool]] = []
    if column.logical_type == "boolean":
        tests.append(lambda text: text.lower() in ("true", "false"))
    if column.allowed:
        tests.append(lambda text: text in column.allowed)
    if column.pattern is not None:
        pattern = re.compile(column.pattern)
        tests.append(lambda text: pattern.fullmatch(text) is not None)
    return {text for text in texts if text and not all(test(text) for test in tests)}
