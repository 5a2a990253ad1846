"""One stack of a series: its verdict now, its voxels when asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from medvision.dicom.decode import Decoded, Voxels, combine_hashes, hash_files, read_voxels, slice_references
from medvision.dicom.grid import Grid
from medvision.dicom.headers import Header
from medvision.dicom.problems import Problem
from medvision.dicom.quality import gaps, look_at_voxels
from medvision.dicom.sources import SourceFile
from medvision.dicom.stacks import Stack, lay_grid
from medvision.dicom.tables import Fingerprint, ScanReading, SeriesRow, Status
from medvision.errors import DicomError, GeometryError
from medvision.geometry import spacing_mm
from medvision.volumes import QualityCheck, Scan


class SeriesError(DicomError):
    """A series that gives no Scan.

    Attributes:
        problems: its files that cannot be decoded.
    """

    def __init__(self, message: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message, problems)
        self.problems = problems

    def __str__(self) -> str:
        return str(self.args[0])


class RejectedSeriesError(SeriesError):
    """A series that is no chest CT or whose geometry or values cannot be trusted; not a failure."""


class UndecodableSeriesError(SeriesError):
    """A series accepted by its headers whose pixels cannot be decoded: a failure."""


@dataclass(frozen=True, slots=True)
class SeriesEntry:
    """One stack of a series in DICOM files; small, and can be sent to a worker.

    Attributes:
        name: Series Instance UID, made safe for file names; `_2`, `_3` … for further stacks.
        stack: its images, in order.
        grid: where they go; None when rejected.
        checks: what the headers alone show.
    """

    name: str
    stack: Stack
    grid: Grid | None
    checks: tuple[QualityCheck, ...]

    @property
    def status(self) -> Status:
        """Accepted, warned or rejected, from the headers alone."""
        return status_of(self.checks)

    @property
    def row(self) -> SeriesRow:
        """Its row of `series.csv`, without a volume."""
        return _row(self)

    @property
    def patient_id(self) -> str:
        """Patient ID (0010,0020); empty where absent. Keeps a patient's series together; never printed."""
        return self.stack.headers[0].patient_id

    def load(self) -> Scan:
        """Decode it.

        Raises:
            DicomError: one line that says what is wrong.
        """
        return self.read_scan().scan

    def read_scan(self) -> ScanReading:
        """Decode it, and name the slices that could not be.

        Raises:
            SeriesError: as `read`.
        """
        decoded, problems = self.read()
        fingerprint = Fingerprint(decoded.input_sha256, self.files, decoded.file_sha256)
        return ScanReading(decoded.to_scan(), fingerprint, problems)

    def read(self, threads: int | None = None) -> tuple[Decoded, tuple[Problem, ...]]:
        """Decode it; slices whose pixels are damaged are treated as missing, and named.

        Raises:
            RejectedSeriesError: the headers or the values say that it is no usable CT.
            UndecodableSeriesError: too few slices can be decoded; names the files.
        """
        return _read(self, threads)

    def fingerprint(self) -> Fingerprint:
        """Of its files, without decoding; those that an index knows are not read."""
        hashes = hash_files(self.stack.headers)
        return Fingerprint(combine_hashes(hashes.values()), self.files, hashes)

    def hash_input(self) -> str:
        """The `input_sha256` of its Scan, without decoding."""
        return self.fingerprint().input_sha256

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """Where it was read from."""
        return tuple({header.file.path: header.file for header in self.stack.headers}.values())


def status_of(checks: Iterable[QualityCheck]) -> Status:
    """The worst verdict of all checks, as `series.csv` says it."""
    verdicts = {check.verdict for check in checks}
    return "rejected" if "reject" in verdicts else "warned" if "warn" in verdicts else "accepted"


def reasons_of(checks: Sequence[QualityCheck]) -> str:
    """Why it is rejected, or what is warned about, in words."""
    remarks = [check for check in checks if check.verdict != "ok"]
    worst = [check for check in remarks if check.verdict == "reject"] or remarks
    return "; ".join(check.message for check in worst)


def _row(entry: SeriesEntry) -> SeriesRow:
    first = entry.stack.headers[0]
    attributes = dict(first.attributes)
    spacing = first.pixel_spacing_mm or (None, None)
    low, high = _z_range(entry.grid) if entry.grid else (None, None)
    return SeriesRow(
        series_instance_uid=first.series_instance_uid,
        study_instance_uid=first.study_instance_uid,
        modality=first.modality,
        n_files=entry.stack.n_files,
        n_slices=len(entry.stack.headers) if first.pixels else 0,
        rows=first.rows or None,
        columns=first.columns or None,
        spacing_x_mm=spacing[1],
        spacing_y_mm=spacing[0],
        spacing_z_mm=round(spacing_mm(entry.grid.affine)[0], 6) if entry.grid else None,
        status=entry.status,
        reasons=reasons_of(entry.checks),
        volume="",
        name=entry.name,
        slice_thickness_mm=first.slice_thickness_mm,
        manufacturer=attributes.get("Manufacturer", ""),
        model=attributes.get("ManufacturerModelName", ""),
        kernel=first.kernel,
        body_part=attributes.get("BodyPartExamined", ""),
        image_type="\\".join(first.image_type),
        z_low_mm=low,
        z_high_mm=high,
    )


def _z_range(grid: Grid) -> tuple[float, float]:
    """LPS z of the lowest and the highest voxel's centre, whatever plane the slices lie in."""
    steps = grid.affine[2, :3] * (np.array(grid.shape) - 1)
    start = float(grid.affine[2, 3])
    low, high = start + float(steps[steps < 0].sum()), start + float(steps[steps > 0].sum())
    return round(low, 3), round(high, 3)


def _read(entry: SeriesEntry, threads: int | None) -> tuple[Decoded, tuple[Problem, ...]]:
    if entry.grid is None:
        raise RejectedSeriesError(f"series {entry.name} is rejected: {reasons_of(entry.checks)}")
    headers, grid, checks = entry.stack.headers, entry.grid, list(entry.checks)
    voxels = read_voxels(headers, grid, threads)
    problems = voxels.problems
    if problems:
        headers, grid = _without_damaged(entry, problems)
        voxels = read_voxels(headers, grid, threads)
        checks = [gaps(grid) if check.name == gaps(grid).name else check for check in checks]
        checks.append(_damaged(len(problems)))
    checks += look_at_voxels(voxels.hu, grid.affine, voxels.padded_fraction, headers)
    if status_of(checks) == "rejected":
        raise RejectedSeriesError(f"series {entry.name} is rejected: {reasons_of(checks)}", problems)
    return _decoded(entry.name, headers, grid, voxels, tuple(checks)), problems


def _damaged(n_files: int) -> QualityCheck:
    message = f"files left out because they cannot be decoded: {n_files}"
    return QualityCheck("damaged files", "warn", str(n_files), "none", message)


def _without_damaged(entry: SeriesEntry, problems: Sequence[Problem]) -> tuple[tuple[Header, ...], Grid]:
    """Lay the grid again through the slices that can be decoded."""
    damaged = {problem.path for problem in problems}
    headers = tuple(header for header in entry.stack.headers if header.file.shown not in damaged)
    message = f"series {entry.name}: {len(damaged)} of {entry.stack.n_files} files cannot be decoded"
    if len(headers) < max(2, len(entry.stack.headers) // 2):
        raise UndecodableSeriesError(f"{message}: {problems[0].detail}", tuple(problems))
    try:
        return headers, lay_grid(headers)
    except GeometryError as error:
        raise UndecodableSeriesError(f"{message}, without them {error}", tuple(problems)) from error


def _decoded(
    name: str, headers: tuple[Header, ...], grid: Grid, voxels: Voxels, checks: tuple[QualityCheck, ...]
) -> Decoded:
    first = headers[0]
    return Decoded(
        name=name,
        series_instance_uid=first.series_instance_uid,
        study_instance_uid=first.study_instance_uid,
        patient_id=first.patient_id,
        hu=voxels.hu,
        affine=grid.affine,
        slices=slice_references(headers, grid),
        attributes=dict(first.attributes),
        checks=checks,
        input_sha256=combine_hashes(voxels.file_sha256.values()),
        file_sha256=voxels.file_sha256,
    )
