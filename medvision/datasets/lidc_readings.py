"""Readers' marks from files, folders and archives, as they come."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medvision.datasets.left_out import LeftOut, tell_left_out
from medvision.datasets.lidc_xml import Reading, parse_lidc_xml
from medvision.dicom.archives import is_archive
from medvision.dicom.sources import gather
from medvision.errors import DataError
from medvision.progress import track

logger = logging.getLogger(__name__)

XML = ".xml"


@dataclass(frozen=True, slots=True)
class Readings:
    """What was found.

    Attributes:
        by_series: Series Instance UID → marks of its readers.
        n_files: XML files that were looked at.
        n_doubled: readings of a Series that another file has already.
        n_radiographs: LIDC-IDRI's readings of chest X-rays, which have no outlines.
        n_others: XML files that are no reading.
        left_out: files that cannot be used, each with its reason.
    """

    by_series: Mapping[str, Reading]
    n_files: int
    n_doubled: int
    n_radiographs: int
    n_others: int
    left_out: tuple[LeftOut, ...]


def read_readings(path: Path) -> Readings:
    """Read all of LIDC-IDRI's XML under a path.

    Args:
        path: an `.xml` file, an archive (`.zip`, `.tar.*`), or a folder: its `.xml` files at any depth and
            the archives that have "xml" in their names, such as LIDC-XML-only.zip.

    Returns:
        One reading a Series; of several files of one Series the one with most marks. A damaged file is named
        in `left_out` and in the log, and the others go on.

    Raises:
        DataError: the path does not exist.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist: it should hold LIDC-IDRI's XML files")
    files, problems = gather(_sources(path))
    xml = [file for file in files if file.shown.lower().endswith(XML)]
    left_out = [LeftOut(Path(problem.path), problem.detail) for problem in problems]
    by_series: dict[str, Reading] = {}
    counts: Counter[str] = Counter()
    for file in track(xml, "reading XML"):
        try:
            found = parse_lidc_xml(file.path.read_bytes())
        except (OSError, DataError) as error:
            left_out.append(LeftOut(Path(file.shown), str(error)))
            continue
        if isinstance(found, Reading):
            counts["doubled"] += found.series_instance_uid in by_series
            _keep(found, by_series)
        else:
            counts[found] += 1
    tell_left_out(logger, path, left_out, len(xml))
    return Readings(
        by_series, len(xml), counts["doubled"], counts["radiograph"], counts["other"], tuple(left_out)
    )


def _sources(path: Path) -> list[Path]:
    """A folder's archives of scans are not opened: that would unpack them only to look for XML."""
    if not path.is_dir():
        return [path]
    below = sorted(item for item in path.rglob("*") if item.is_file())
    return [item for item in below if item.suffix.lower() == XML or _may_hold_xml(item)]


def _may_hold_xml(path: Path) -> bool:
    return is_archive(path.name) and "xml" in path.name.lower()


def _keep(found: Reading, by_series: dict[str, Reading]) -> None:
    known = by_series.get(found.series_instance_uid)
    if known is None or len(found.marks) > len(known.marks):
        by_series[found.series_instance_uid] = found
    if known and len(found.marks) != len(known.marks):
        logger.warning(
            "series %s is read twice, with %d and with %d marks; the reading with most counts",
            found.series_instance_uid, len(known.marks), len(found.marks),
        )  # fmt: skip
