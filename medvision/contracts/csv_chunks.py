"""CSV files as people really have them: byte-order marks, semicolons, gzip; read in bounded memory."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

from medvision.errors import ContractError

ROWS_PER_CHUNK = 100_000
"""Rows held as text at a time, so that a file of ten million rows needs no more memory than its numbers."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a table as text.

    Attributes:
        lines: line of each row in its file, counted from 1 with the header.
        columns: column name → one text a row.
        decimal_comma: whether numbers may be written with a comma.
    """

    lines: Sequence[int]
    columns: dict[str, Sequence[str]]
    decimal_comma: bool = False


def read_chunks(path: Path) -> Iterator[Chunk]:
    """Yield the rows of a CSV file; the first chunk comes even where there are no rows, for its header.

    Raises:
        ContractError: the file cannot be read, is empty, or a row has more or fewer cells than the header.
    """
    with _open_text(path) as stream:
        first = stream.readline()
        if not first.strip():
            raise ContractError(f"{path} is empty: its first line must be a header")
        delimiter = _delimiter(first)
        header = _header(path, next(csv.reader([first], delimiter=delimiter)))
        rows = csv.reader(stream, delimiter=delimiter)
        while True:
            chunk = _chunk(path, header, rows, decimal_comma=delimiter == ";")
            yield chunk
            if len(chunk.lines) < ROWS_PER_CHUNK:
                return


@contextmanager
def _open_text(path: Path) -> Iterator[TextIO]:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as stream:
            yield stream
    except UnicodeDecodeError as error:
        raise ContractError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except csv.Error as error:
        raise ContractError(f"{path} is not a CSV file: {error}") from error
    except (OSError, EOFError) as error:
        raise ContractError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _delimiter(header_line: str) -> str:
    return max(",;\t", key=header_line.count)


def _header(path: Path, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ContractError(f"{path}: column {twice[0]!r} comes twice in the header")
    return names


def _chunk(path: Path, header: list[str], rows: Iterator[list[str]], *, decimal_comma: bool) -> Chunk:
    lines: list[int] = []
    table: list[list[str]] = []
    reader = rows
    for row in islice((row for row in reader if row), ROWS_PER_CHUNK):
        line = 1 + reader.line_num  # type: ignore[attr-defined]  # a csv.reader; its type is private
        if len(row) != len(header):
            raise ContractError(f"{path}, line {line}: {len(row)} values under {len(header)} column names")
        lines.append(line)
        table.append(row)
    columns: dict[str, Sequence[str]] = dict(
        zip(header, zip(*table, strict=True) if table else [()] * len(header), strict=True)
    )
    return Chunk(lines, columns, decimal_comma)
