"""`seriesuids.csv`: which scans count in an evaluation."""

from __future__ import annotations

import re
from pathlib import Path

from medvision.errors import DataError

HEADERS = ("seriesuid", "series_instance_uid", "seriesuids")
"""Column names that tell a header from a first UID; LUNA16's own file has none."""


def read_series_uids(path: Path) -> tuple[str, ...]:
    """Read the first column: one Series Instance UID a line, with or without a header.

    Raises:
        DataError: the file cannot be read, is empty, or lists a Series twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    line_of: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        uid = re.split(r"[,;\t]", line, maxsplit=1)[0].strip().strip('"')
        if not uid or (not line_of and uid.lower() in HEADERS):
            continue
        if uid in line_of:
            raise DataError(f"{path}, line {number}: series {uid} is listed on line {line_of[uid]} already")
        line_of[uid] = number
    if not line_of:
        raise DataError(f"{path} lists no series: it needs one Series Instance UID a line")
    return tuple(line_of)
