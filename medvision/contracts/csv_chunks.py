"""CSV files as people really have them: byte-order marks, semicolons, gzip; read in bounded memory."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import TextIO

from medvision.errors import ContractError

ROWS_PER_CHUNK = 5_000
"""Rows held as text at a time: memory stays bounded, and what is looked at stays in the cache."""


_LINE_BREAK = re.compile("\r\n|\r|\n")


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


OnRagged = Callable[[int, str], None]
"""Takes the line of a row with more or fewer cells than the header, and what is wrong in words."""


def read_chunks(
    path: Path, *, default_header: Sequence[str] = (), on_ragged: OnRagged | None = None
) -> Iterator[Chunk]:
    """Yield the rows of a CSV file; the first chunk comes even where there are no rows, for its header.

    Args:
        path: the file, optionally `.gz`.
        default_header: names of the first columns of a file whose first line holds none of them.
        on_ragged: told of rows with more or fewer cells than the header, which are then left out; without it
            the first one is an error.

    Raises:
        ContractError: the file cannot be read, is empty, or a row has more or fewer cells than the header.
    """
    with _open_text(path) as stream:
        first = stream.readline()
        if not first.strip():
            raise ContractError(f"{path} is empty: its first line must be a header")
        delimiter = _delimiter(first)
        header = _header(path, next(csv.reader([first], delimiter=delimiter)))
        lines: Iterator[str] = stream
        if default_header and not set(default_header) & set(header):
            lines, header = chain([first], stream), _default(default_header, len(header))
        rows = csv.reader(lines, delimiter=delimiter)
        offset = 1 if lines is stream else 0
        tell = on_ragged or partial(_refuse, path)
        while True:
            chunk, is_last = _chunk(header, rows, offset, tell, decimal_comma=delimiter == ";")
            yield chunk
            if is_last:
                return


def _default(names: Sequence[str], count: int) -> list[str]:
    return [*names[:count], *(f"column {number}" for number in range(len(names) + 1, count + 1))]


def _refuse(path: Path, line: int, words: str) -> None:
    raise ContractError(f"{path}, line {line}: {words}")


@contextmanager
def _open_text(path: Path) -> Iterator[TextIO]:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as stream:
            yield stream
    except UnicodeDecodeError as error:
        raise ContractError(
            f"{path} is not UTF-8 text: {error.reason} at byte {error.start}; save it as CSV UTF-8"
        ) from error
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


def _chunk(
    header: list[str], rows: Iterator[list[str]], offset: int, on_ragged: OnRagged, *, decimal_comma: bool
) -> tuple[Chunk, bool]:
    """The next rows, and whether they are the last ones."""
    before = offset + rows.line_num  # type: ignore[attr-defined]  # a csv.reader; its type is private
    table = list(islice(rows, ROWS_PER_CHUNK))
    after = offset + rows.line_num  # type: ignore[attr-defined]
    is_last = len(table) < ROWS_PER_CHUNK
    lines: Sequence[int] = range(before + 1, after + 1)
    if len(lines) != len(table):
        lines = _lines_of(table, before)
    if set(map(len, table)) - {len(header)}:
        lines, table = _without_ragged(header, lines, table, on_ragged)
    columns: dict[str, Sequence[str]] = dict(
        zip(header, zip(*table, strict=True) if table else [()] * len(header), strict=True)
    )
    return Chunk(lines, columns, decimal_comma), is_last


def _lines_of(table: list[list[str]], before: int) -> list[int]:
    """The last line of each row, where cells hold line breaks."""
    breaks = (1 + sum(len(_LINE_BREAK.findall(cell)) for cell in row) for row in table)
    return list(accumulate(breaks, initial=before))[1:]


def _without_ragged(
    header: list[str], lines: Sequence[int], table: list[list[str]], on_ragged: OnRagged
) -> tuple[list[int], list[list[str]]]:
    """Leave out empty lines, and rows that are longer or shorter than the header; those are told."""
    kept = []
    for line, row in zip(lines, table, strict=True):
        if len(row) == len(header):
            kept.append((line, row))
        elif row:
            on_ragged(line, f"{len(row)} values under {len(header)} column names")
    return [line for line, _ in kept], [row for _, row in kept]
