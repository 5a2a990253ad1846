"""Tables of an evaluation as arrays; a submission of any length in bounded memory."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medvision.contracts import read_table
from medvision.contracts.tables import read_table_chunks
from medvision.errors import DataError
from medvision.evaluation.matching import MAX_MARKS_PER_SCAN, Lesions, Marks

logger = logging.getLogger(__name__)

COORDINATES = ("coordX", "coordY", "coordZ")
MOST_ROWS = 500_000
"""Rows held before those beyond the surest of each scan are let go."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Submission:
    """Marks of the listed scans.

    Attributes:
        marks: no more a scan than the rules look at, and one to tell where they end.
        diameter_mm: (n,) of each; None where the table does not say.
    """

    marks: Marks
    diameter_mm: Floats | None

    def look_like_voxels(self) -> bool:
        """Whether no mark has a negative coordinate: the origin of LPS lies near the patient's middle."""
        return bool(len(self.marks.scan)) and bool((self.marks.center_mm >= 0).all())


def read_submission(
    path: Path, index: Mapping[str, int], max_marks: int | None = MAX_MARKS_PER_SCAN, *, limits: bool = False
) -> Submission:
    """Read predictions chunk by chunk and keep what the rules look at.

    Args:
        path: CSV with seriesuid, coordX, coordY, coordZ, probability and, optionally, diameter_mm.
        index: Series Instance UID → index of the scan; rows of other Series are left out.
        max_marks: a scan; None: all.
        limits: whether a probability must lie in [0, 1]. Other detectors' scores may have any scale.

    Raises:
        ContractError: the table breaks its contract, naming file, line, column and value.
        DataError: it has rows, and none of them is of a listed Series.
    """
    held = _Held(max_marks)
    rows, first = 0, ""
    for columns in read_table_chunks(path, "predictions", limits=limits):
        first = first or (columns["seriesuid"][0] if len(columns["seriesuid"]) else "")
        rows += len(columns["seriesuid"])
        held.add(columns, index)
    table = held.whole()
    if rows and not held.known:
        raise DataError(
            f"{path}: none of its {rows} rows belongs to a listed series; the first is of {first!r}"
        )
    if held.known < rows:
        logger.info("%s: left out %d of %d rows, of series not listed", path, rows - held.known, rows)
    marks = Marks(table[:, 0].astype(np.int64), table[:, 1:4], table[:, 4])
    return Submission(marks, table[:, 5] if table.shape[1] > 5 else None)


def read_lesions(path: Path, index: Mapping[str, int]) -> Lesions:
    """Read annotations or excluded findings; those of Series that are not listed are left out.

    Raises:
        ContractError: the table breaks its contract, naming file, line, column and value.
    """
    table = read_table(path, "annotations")
    scan = _scans(table["seriesuid"], index)
    known = scan >= 0
    if not known.all():
        logger.info("%s: left out %d of %d rows, of series not listed", path, (~known).sum(), len(known))
    center = np.stack([table[name][known] for name in COORDINATES], axis=1)
    return Lesions(scan[known], center, table["diameter_mm"][known])


def no_lesions() -> Lesions:
    """An empty table."""
    return Lesions(np.empty(0, dtype=np.int64), np.empty((0, 3)), np.empty(0))


class _Held:
    """Rows so far: scan, x, y, z, probability and, where given, diameter."""

    def __init__(self, max_marks: int | None) -> None:
        self.max_marks, self.known = max_marks, 0
        self._parts: list[Floats] = []
        self._rows, self._limit = 0, MOST_ROWS

    def add(self, columns: Mapping[str, NDArray[np.generic]], index: Mapping[str, int]) -> None:
        scan = _scans(columns["seriesuid"], index)
        known = scan >= 0
        names = [*COORDINATES, "probability", *(name for name in ("diameter_mm",) if name in columns)]
        part = np.stack([scan, *(columns[name] for name in names)], axis=1)[known].astype(np.float64)
        self.known += len(part)
        self._parts.append(part)
        self._rows += len(part)
        if self.max_marks is not None and self._rows > self._limit:
            kept = _surest(np.concatenate(self._parts), self.max_marks + 1)
            self._parts, self._rows = [kept], len(kept)
            self._limit = max(MOST_ROWS, 2 * len(kept))

    def whole(self) -> Floats:
        return np.concatenate(self._parts)


def _surest(table: Floats, count: int) -> Floats:
    """The `count` rows of the highest probability in each scan, in the order of the table."""
    order = np.lexsort((-table[:, 4], table[:, 0]))
    scan = table[order, 0]
    start = np.flatnonzero(np.append(True, np.diff(scan) != 0))
    rank = np.arange(len(scan)) - np.repeat(start, np.diff(np.append(start, len(scan))))
    return table[np.sort(order[rank < count])]


def _scans(uids: NDArray[np.generic], index: Mapping[str, int]) -> NDArray[np.int64]:
    """Scan index of each row; −1 where the Series is not listed."""
    return np.fromiter((index.get(uid, -1) for uid in uids), np.int64, len(uids))


def series_of(path: Path, contract: str) -> tuple[str, ...]:
    """Series of a table of predictions or annotations, in its order.

    Raises:
        ContractError: the table breaks its contract.
    """
    found: dict[str, None] = {}
    for columns in read_table_chunks(path, contract, limits=False):
        found.update(dict.fromkeys(columns["seriesuid"]))
    return tuple(found)
