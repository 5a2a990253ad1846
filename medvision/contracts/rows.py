"""Rules over several columns of one row, as the contracts write them: SQL conditions, run by SQLite.

SQL is what the Open Data Contract Standard has for such rules; any of its tools runs the same text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.contracts.odcs import Column, Contract, RowRule

AFFINITY = {"number": "REAL", "integer": "INTEGER", "boolean": "INTEGER"}


def broken_rows(
    contract: Contract, arrays: Mapping[str, NDArray[Any]]
) -> list[tuple[RowRule, NDArray[np.int64]]]:
    """Which rows break which rule.

    Args:
        contract: its columns and rules.
        arrays: checked columns; those that are absent count as empty.

    Returns:
        A pair a broken rule: the rule, and the rows' indices from 0 in ascending order.
    """
    with closing(sqlite3.connect(":memory:")) as database:
        _load(database, contract, arrays)
        found = [(rule, _rows(database, contract, rule)) for rule in contract.rules]
    return [(rule, rows) for rule, rows in found if len(rows)]


def _load(database: sqlite3.Connection, contract: Contract, arrays: Mapping[str, NDArray[Any]]) -> None:
    declared = ", ".join(f'"{c.name}" {AFFINITY.get(c.logical_type, "TEXT")}' for c in contract.columns)
    database.execute(f'CREATE TABLE "{contract.name}" ({declared})')
    count = len(next(iter(arrays.values())))
    cells = [_cells(column, arrays.get(column.name), count) for column in contract.columns]
    marks = ", ".join("?" * len(cells))
    database.executemany(
        f'INSERT INTO "{contract.name}" VALUES ({marks})',  # noqa: S608  names are the contract's own
        zip(*cells, strict=True),
    )


def _cells(column: Column, array: NDArray[Any] | None, count: int) -> Sequence[object]:
    if array is None:
        return [None] * count
    if column.is_numeric:
        return [None if value != value else value for value in array.tolist()]  # noqa: PLR0124  NaN
    if column.logical_type == "boolean":
        return [text.lower() == "true" if text else None for text in array]
    return [text or None for text in array]


def _rows(database: sqlite3.Connection, contract: Contract, rule: RowRule) -> NDArray[np.int64]:
    query = f'SELECT rowid - 1 FROM "{contract.name}" WHERE {rule.broken_where} ORDER BY rowid'  # noqa: S608
    return np.array([row for (row,) in database.execute(query)], dtype=np.int64)
