"""Check a table against its contract, column by column, and hand it on as arrays."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.contracts.csv_chunks import Chunk, read_chunks
from medvision.contracts.odcs import Column, Contract, load_contract
from medvision.errors import ContractError

NOT_EMPTY = "must not be empty"

Rows = Iterable[Mapping[str, object]]
ColumnArray = NDArray[Any]
"""One value a row: float64 for numbers (NaN where empty), object for text ("" where empty)."""


def check_table(table: Path | Rows, name: str) -> int:
    """Check a CSV file, or rows in memory, against a table contract; further columns are allowed.

    Returns:
        How many rows there are.

    Raises:
        ContractError: naming the table, line, column, value, rule and contract.
    """
    return sum(len(chunk.lines) for chunk, _ in _checked_chunks(table, load_contract(name), limits=True))


def read_table(table: Path | Rows, name: str, *, limits: bool = True) -> dict[str, ColumnArray]:
    """Check a table and return the contract's columns that it has.

    Args:
        table: a CSV file (optionally `.gz`), or rows in memory.
        name: the contract.
        limits: also check minimum and maximum.

    Raises:
        ContractError: naming the table, line, column, value, rule and contract.
    """
    parts = [arrays for _, arrays in _checked_chunks(table, load_contract(name), limits=limits)]
    return {column: np.concatenate([part[column] for part in parts]) for column in parts[0]}


def _checked_chunks(
    table: Path | Rows, contract: Contract, *, limits: bool
) -> Iterator[tuple[Chunk, dict[str, ColumnArray]]]:
    checker = _Checker(str(table) if isinstance(table, Path) else "table", contract, limits=limits)
    chunks = read_chunks(table) if isinstance(table, Path) else _memory_chunk(table, contract)
    for chunk in chunks:
        yield chunk, checker.check(chunk)


def _memory_chunk(rows: Rows, contract: Contract) -> Iterator[Chunk]:
    table = list(rows)
    names = table[0].keys() if table else [column.name for column in contract.columns]
    columns: dict[str, Sequence[str]] = {
        name: ["" if (value := row.get(name)) is None else str(value) for row in table] for name in names
    }
    yield Chunk(range(1, len(table) + 1), columns)


class _Checker:
    """Checks chunk after chunk of one table; remembers the values of unique columns."""

    def __init__(self, source: str, contract: Contract, *, limits: bool) -> None:
        self._source = source
        self._contract = contract
        self._limits = limits
        self._strings: dict[str, str] = {}
        self._seen: dict[str, dict[str, int]] = {c.name: {} for c in contract.columns if c.unique}

    def check(self, chunk: Chunk) -> dict[str, ColumnArray]:
        arrays = {}
        for column in self._contract.columns:
            if column.name in chunk.columns:
                arrays[column.name] = self._check_column(column, chunk)
            elif not column.absent_allowed:
                there = ", ".join(chunk.columns)
                raise ContractError(
                    f"{self._source}: column {column.name!r} is missing (there are: {there}) {self._words}"
                )
        return arrays

    @property
    def _words(self) -> str:
        return f"[contract {self._contract.name} {self._contract.version}]"

    def _check_column(self, column: Column, chunk: Chunk) -> ColumnArray:
        if column.unique:
            self._check_unique(column, chunk)
        return self._check_numbers(column, chunk) if column.is_numeric else self._check_texts(column, chunk)

    def _check_texts(self, column: Column, chunk: Chunk) -> ColumnArray:
        # A UID comes on many rows: one string for all of them keeps long tables small.
        cells = [self._strings.setdefault(cell, cell) for cell in map(str.strip, chunk.columns[column.name])]
        if column.required:
            self._refuse(column, chunk, np.array([not cell for cell in cells], dtype=bool), NOT_EMPTY)
        self._refuse(column, chunk, _bad_texts(column, cells), f"must be {column.rule}")
        return np.array(cells, dtype=object)

    def _check_numbers(self, column: Column, chunk: Chunk) -> NDArray[np.float64]:
        cells = chunk.columns[column.name]
        numbers = _numbers(cells, decimal_comma=chunk.decimal_comma)
        bad = ~np.isfinite(numbers)
        empty = np.zeros_like(bad)
        empty[bad] = [not cells[index].strip() for index in np.flatnonzero(bad).tolist()]
        if column.required:
            self._refuse(column, chunk, empty, NOT_EMPTY)
        if column.logical_type == "integer":
            bad |= numbers != np.floor(numbers)
        if self._limits and column.minimum is not None:
            bad |= numbers < column.minimum
        if self._limits and column.maximum is not None:
            bad |= numbers > column.maximum
        self._refuse(column, chunk, bad & ~empty, f"must be {column.rule}")
        return numbers

    def _check_unique(self, column: Column, chunk: Chunk) -> None:
        seen = self._seen[column.name]
        for line, cell in zip(chunk.lines, map(str.strip, chunk.columns[column.name]), strict=True):
            first = seen.setdefault(cell, line)
            if first != line:
                self._fail(column, line, cell, f"must be unique, but line {first} has it too")

    def _refuse(self, column: Column, chunk: Chunk, bad: NDArray[np.bool_], rule: str) -> None:
        if bad.any():
            index = int(np.argmax(bad))
            self._fail(column, chunk.lines[index], chunk.columns[column.name][index].strip(), rule)

    def _fail(self, column: Column, line: int, text: str, rule: str) -> None:
        raise ContractError(
            f"{self._source}, line {line}: column {column.name!r} is {text[:80]!r} and {rule} {self._words}"
        )


def _numbers(cells: Sequence[str], *, decimal_comma: bool) -> NDArray[np.float64]:
    """Float64 of every cell; NaN where it is none."""
    if decimal_comma:
        cells = [cell.replace(",", ".") for cell in cells]
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError:
        return np.array([_number(cell) for cell in cells], dtype=np.float64)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _bad_texts(column: Column, texts: list[str]) -> NDArray[np.bool_]:
    tests: list[Callable[[str], bool]] = []
    if column.logical_type == "boolean":
        tests.append(lambda text: text.lower() in ("true", "false"))
    if column.allowed:
        tests.append(lambda text: text in column.allowed)
    if column.pattern is not None:
        pattern = re.compile(column.pattern)
        tests.append(lambda text: pattern.fullmatch(text) is not None)
    return np.array([bool(text) and not all(test(text) for test in tests) for text in texts], dtype=bool)
