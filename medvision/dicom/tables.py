"""`series.csv` and `problems.csv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal, Protocol

from medvision.dicom.problems import Problem
from medvision.dicom.sources import SourceFile
from medvision.files import plain_cell, safe_cell, write_text
from medvision.volumes import Scan

Status = Literal["accepted", "warned", "rejected"]


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """One row of `series.csv`: a stack of a series; numbers that are not known are None (empty).

    Attributes:
        reasons: why it was warned about or rejected, in words, separated by semicolons.
        volume: path of the volume, relative to the table; empty when rejected.
        image_type: Image Type (0008,0008) of its first slice, parts separated by backslashes.
        z_low_mm: LPS z of its lowest voxel; None where it has no grid.
        z_high_mm: LPS z of its highest voxel.
    """

    series_instance_uid: str
    study_instance_uid: str
    modality: str
    n_files: int
    n_slices: int
    rows: int | None
    columns: int | None
    spacing_x_mm: float | None
    spacing_y_mm: float | None
    spacing_z_mm: float | None
    status: Status
    reasons: str
    volume: str
    name: str
    slice_thickness_mm: float | None
    manufacturer: str
    model: str
    kernel: str
    body_part: str
    image_type: str = ""
    z_low_mm: float | None = None
    z_high_mm: float | None = None


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Whether a series is the same as in an earlier run.

    Attributes:
        input_sha256: hash of the content of all its files; empty where it cannot be told.
        files: the files, where it was read from DICOM.
        file_sha256: hash of each of them.
    """

    input_sha256: str
    files: tuple[SourceFile, ...] = ()
    file_sha256: Mapping[Path, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScanReading:
    """A decoded series, and its files that could not be used."""

    scan: Scan
    fingerprint: Fingerprint
    problems: tuple[Problem, ...] = ()


class ScanSource(Protocol):
    """What a cohort is made of: a series in DICOM files, or in a store."""

    @property
    def name(self) -> str:
        """Series Instance UID, with `_2`, `_3` … for further stacks."""

    @property
    def status(self) -> Status:
        """Accepted, warned or rejected."""

    @property
    def row(self) -> SeriesRow:
        """Its row of `series.csv`."""

    @property
    def patient_id(self) -> str:
        """Patient ID (0010,0020); empty where absent. Keeps a patient's series together; never printed."""

    def load(self) -> Scan:
        """Decode it.

        Raises:
            DicomError: one line that says what is wrong.
        """

    def fingerprint(self) -> Fingerprint:
        """Of its input, without decoding."""

    def hash_input(self) -> str:
        """The `input_sha256` of its Scan, without decoding; empty where it cannot be told."""

    def read_scan(self) -> ScanReading:
        """Decode it, and say what was met on the way.

        Raises:
            SeriesError: one line that says what is wrong.
        """


def write_series_csv(rows: Iterable[SeriesRow | ScanSource], path: Path) -> None:
    """Write `series.csv` whole, sorted by name."""
    plain = [row if isinstance(row, SeriesRow) else row.row for row in rows]
    ordered = sorted(plain, key=lambda row: (row.series_instance_uid, len(row.name), row.name))
    _write(path, [each.name for each in fields(SeriesRow)], [asdict(row) for row in ordered])


def write_problems_csv(problems: Iterable[Problem], path: Path) -> None:
    """Write `problems.csv` whole, sorted by path."""
    columns = [each.name for each in fields(Problem)]
    _write(path, columns, [asdict(problem) for problem in sorted(set(problems))])


def read_series_csv(path: Path) -> list[SeriesRow]:
    """Read what `write_series_csv` wrote.

    Raises:
        OSError: it cannot be read.
        ContractError: it breaks the contract "series".
    """
    from medvision.contracts import check_table  # only who reads a table pays for the import

    check_table(path, "series")
    with path.open(newline="", encoding="utf-8") as stream:
        return [_parse(row) for row in csv.DictReader(stream)]


def _parse(row: dict[str, str]) -> SeriesRow:
    values: dict[str, object] = {}
    for column in fields(SeriesRow):
        if column.name not in row and column.default is not MISSING:
            continue  # a table that an earlier version wrote
        text, kind = row[column.name], str(column.type)
        if kind.startswith("float"):
            values[column.name] = float(text) if text else None
        elif kind.startswith("int"):
            values[column.name] = int(text) if text else None
        else:
            values[column.name] = plain_cell(text)
    return SeriesRow(**values)  # type: ignore[arg-type]


def _write(path: Path, columns: list[str], rows: list[dict[str, object]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: safe_cell(value) for name, value in row.items()} for row in rows)
    write_text(path, text.getvalue())
