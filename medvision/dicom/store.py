"""The STORE: what ingest writes and everything after it reads, as good as the DICOM it came from.

STORE/series.csv  problems.csv
STORE/volumes/<name>.nii.gz       int16 HU
STORE/volumes/<name>.json         identifiers of the slices, attributes, checks, hash of the input
STORE/volumes/patients.csv        Patient ID of each volume, as in its sidecar (`patients`)
STORE/index.sqlite                what was read of each file (`index`); not when de-identifying
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from medvision.dicom.catalogue import MIN_SLICES, Catalogue, catalogue
from medvision.dicom.decode import Decoded
from medvision.dicom.entries import (
    RejectedSeriesError,
    SeriesEntry,
    UndecodableSeriesError,
    reasons_of,
    status_of,
)
from medvision.dicom.identity import Deidentifier
from medvision.dicom.index import INDEX, HeaderIndex
from medvision.dicom.patients import forget_patients, write_patients
from medvision.dicom.problems import Problem
from medvision.dicom.sidecar import (
    STORE_VERSION,
    VOLUMES,
    read_known,
    write_volume,
)
from medvision.dicom.stored import SERIES_CSV
from medvision.dicom.tables import (
    SeriesRow,
    write_problems_csv,
    write_series_csv,
)
from medvision.dicom.workers import Workers
from medvision.errors import UsageError
from medvision.exclusive import alone_in
from medvision.files import make_folder
from medvision.geometry import Affine, spacing_mm
from medvision.progress import track
from medvision.remote.places import Place
from medvision.volumes import QualityCheck

log = logging.getLogger(__name__)

EARLY_START_FILES = 1000
"""A single series has fewer; for it processes would be started in vain."""
PROBLEMS_CSV = "problems.csv"
EXIT_ALL_WELL, EXIT_SOME_FAILED, EXIT_NOTHING = 0, 3, 4


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What ingest did.

    Attributes:
        store: the folder.
        n_accepted: volumes without a remark.
        n_warned: volumes with one.
        n_rejected: series that are no usable chest CT; not failures.
        n_failed: series that looked usable and whose pixels could not be decoded.
        n_kept: volumes that were there already and are up to date (counted above, too).
        n_problems: files that could not be used.
    """

    store: Path
    n_accepted: int
    n_warned: int
    n_rejected: int
    n_failed: int
    n_kept: int
    n_problems: int

    @property
    def exit_code(self) -> int:
        """0 all well, 3 some series failed, 4 no series could be used."""
        if self.n_failed:
            return EXIT_SOME_FAILED
        return EXIT_ALL_WELL if self.n_accepted + self.n_warned else EXIT_NOTHING


@dataclass(frozen=True, slots=True)
class _Outcome:
    row: SeriesRow
    problems: tuple[Problem, ...] = ()
    failed: bool = False
    kept: bool = False
    file_sha256: Mapping[Path, str] = field(default_factory=dict)


def ingest(
    sources: Sequence[Place],
    store: Path,
    *,
    workers: int = 1,
    min_slices: int = MIN_SLICES,
    resume: bool = True,
    deidentify: Deidentifier | None = None,
    index: Path | None = None,
    written: Callable[[], None] = lambda: None,
) -> IngestResult:
    """Turn everything under the sources into a STORE.

    Args:
        sources: files, folders, archives; here or behind an address.
        store: folder to write; made where it is not there.
        workers: cores to use: a process each where there are several series, else threads.
        min_slices: stacks with fewer are rejected.
        resume: keep volumes whose input has not changed, and believe the index; False reads everything anew.
        deidentify: what everything passes through before it is written; None writes it as it is.
        index: the header index; None for STORE/index.sqlite, or for no index when de-identifying.
        written: called whenever a volume may have been completed.

    Raises:
        NothingToDoError: the sources hold no DICOM image.
        OutputError: the store cannot be written, or another ingest is at work there.
        UsageError: the index would bring identifiers into a de-identified STORE.
    """
    place = _place_of_index(store, index, identified=deidentify is None)
    make_folder(store / VOLUMES)
    with (
        alone_in(store, "ingest"),
        HeaderIndex(place, trusted=resume) as known,
        Workers(workers) as pool,
    ):
        forget_patients(store)
        expect = partial(_start_early, pool=pool)
        found = catalogue(sources, min_slices=min_slices, index=known, expect=expect)
        usable = [entry for entry in found.series if entry.status != "rejected"]
        threads = max(1, workers // max(1, len(usable)))
        work = partial(_ingest_one, store=store, resume=resume, threads=threads, deidentify=deidentify)
        outcomes = [_Outcome(entry.row) for entry in found.series if entry.status == "rejected"]
        done = track(pool.map(work, usable, _died), "writing volumes", total=len(usable))
        for entry, outcome in zip(usable, done, strict=True):
            known.note_hashes(entry.files, outcome.file_sha256)
            outcomes.append(replace(outcome, file_sha256={}))
            written()
        n_problems = _write_tables(store, found, outcomes, deidentify)
    return _count(store, outcomes, n_problems)


def _place_of_index(store: Path, index: Path | None, *, identified: bool) -> Path | None:
    if identified:
        return index or store / INDEX
    if index is not None and index.resolve().is_relative_to(store.resolve()):
        raise UsageError(f"index {index} holds identifiers and must not lie in the de-identified {store}")
    return index


def _write_tables(
    store: Path, found: Catalogue, outcomes: Sequence[_Outcome], deidentify: Deidentifier | None
) -> int:
    """Write the tables, and the audit; returns how many files have a problem."""
    problems = [*found.problems, *(problem for outcome in outcomes for problem in outcome.problems)]
    rows = [outcome.row for outcome in outcomes]
    if deidentify:
        problems = [deidentify.problem(problem) for problem in problems]
        rows = [_row_without_identity(row, deidentify) for row in rows]
    for outcome, row in zip(outcomes, rows, strict=True):
        if outcome.failed:
            log.warning("%s", row.reasons)
    write_problems_csv(problems, store / PROBLEMS_CSV)
    write_patients(store, (row.name for row in rows if row.volume))
    write_series_csv(rows, store / SERIES_CSV)
    if deidentify:
        deidentify.finish(store, found.series)
    return len(set(problems))


def _count(store: Path, outcomes: Sequence[_Outcome], n_problems: int) -> IngestResult:
    n_failed = sum(outcome.failed for outcome in outcomes)
    statuses = [outcome.row.status for outcome in outcomes]
    return IngestResult(
        store=store,
        n_accepted=statuses.count("accepted"),
        n_warned=statuses.count("warned"),
        n_rejected=statuses.count("rejected") - n_failed,
        n_failed=n_failed,
        n_kept=sum(outcome.kept for outcome in outcomes),
        n_problems=n_problems,
    )


def _died(entry: SeriesEntry) -> _Outcome:
    return _failed(entry, f"series {entry.name}: its worker died of a damaged file or lack of memory")


def _start_early(n_files: int, pool: Workers) -> None:
    """So many files are several series: let the workers import while the headers are read."""
    if n_files >= EARLY_START_FILES:
        pool.start(_import_all)


def _import_all() -> None:
    """What a worker calls first; that it can, means that this module and all it needs are imported."""


def _ingest_one(
    entry: SeriesEntry, store: Path, *, resume: bool, threads: int, deidentify: Deidentifier | None
) -> _Outcome:
    """One series; whatever is wrong with it stays with it."""
    try:
        if deidentify:
            deidentify.check(entry)
        if resume and (kept := _kept(entry, store, deidentify)):
            return kept
        decoded, problems = entry.read(threads)
        write_volume(_without_identity(decoded, deidentify), store, threads)
    except RejectedSeriesError as error:
        return _Outcome(_rejected(entry, str(error)), error.problems)
    except UndecodableSeriesError as error:
        return _failed(entry, str(error), error.problems)
    except MemoryError:
        return _failed(entry, f"series {entry.name}: there is not enough memory for it")
    except OSError as error:
        make_folder(store / VOLUMES)  # where nothing can be written any more, no further series is read
        return _failed(entry, f"series {entry.name}: {error}")
    return _Outcome(
        _accepted(entry.row, decoded.affine, decoded.hu.shape, decoded.checks),
        problems,
        file_sha256=decoded.file_sha256,
    )


def _row_without_identity(row: SeriesRow, deidentify: Deidentifier) -> SeriesRow:
    row = deidentify.row(row)
    return replace(row, volume=_volume_of(row.name) if row.volume else "")


def _without_identity(decoded: Decoded, deidentify: Deidentifier | None) -> Decoded:
    if deidentify is None:
        return decoded
    return replace(deidentify.decoded(decoded), input_sha256=deidentify.digest(decoded.input_sha256))


def _failed(entry: SeriesEntry, reasons: str, problems: tuple[Problem, ...] = ()) -> _Outcome:
    return _Outcome(_rejected(entry, reasons), problems, failed=True)


def _rejected(entry: SeriesEntry, reasons: str) -> SeriesRow:
    return replace(entry.row, status="rejected", reasons=reasons)


def _accepted(
    row: SeriesRow, affine: Affine, shape: tuple[int, ...], checks: tuple[QualityCheck, ...]
) -> SeriesRow:
    """The row with what decoding has shown."""
    dz, dy, dx = (round(length, 6) for length in spacing_mm(affine))
    return replace(
        row,
        n_slices=shape[0], rows=shape[1], columns=shape[2],
        spacing_x_mm=dx, spacing_y_mm=dy, spacing_z_mm=dz,
        status=status_of(checks), reasons=reasons_of(checks),
        volume=_volume_of(row.name),
    )  # fmt: skip


def _volume_of(name: str) -> str:
    """Path of a volume, relative to the table."""
    return f"{VOLUMES}/{name}.nii.gz"


def _kept(entry: SeriesEntry, store: Path, deidentify: Deidentifier | None) -> _Outcome | None:
    """The outcome of an earlier run, where input, settings and version are the same."""
    known = read_known(store, deidentify.row(entry.row).name if deidentify else entry.name)
    if known is None or entry.grid is None or known.store_version != STORE_VERSION:
        return None
    if known.checks[: len(entry.checks)] != entry.checks:
        return None
    found = entry.fingerprint()
    digest = deidentify.digest(found.input_sha256) if deidentify else found.input_sha256
    if known.input_sha256 != digest:
        return None
    row = _accepted(entry.row, entry.grid.affine, entry.grid.shape, known.checks)
    return _Outcome(row, kept=True, file_sha256=found.file_sha256)
