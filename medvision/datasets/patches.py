"""Labelled patches: a manifest CSV `path,patient_id,<label columns>`, and one small cubic volume a row."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medvision.datasets.left_out import LeftOut, tell_left_out
from medvision.datasets.patch_files import PatchHeader, read_patch, read_patch_header
from medvision.datasets.patch_manifest import (
    PATIENT,
    Row,
    Rule,
    has_label,
    make_rule,
    read_rows,
    target_of,
)
from medvision.errors import DataError, NothingToDoError
from medvision.progress import track

logger = logging.getLogger(__name__)

UNSURE = -1
"""Target of a label that is neither positive nor negative."""


@dataclass(frozen=True, slots=True)
class PatchRecord:
    """One patch; small, and can be sent to a worker.

    Attributes:
        path: the file.
        patient_id: keeps a patient's patches together in splits. Never printed.
        target: 1 positive, 0 negative, -1 neither.
        columns: all columns of its row as text, the known and the unknown ones.
        shape: slices, rows, columns; all the same.
        spacing_mm: along slice, row and column; None where the file does not say (`.npy`).
    """

    path: Path
    patient_id: str
    target: int
    columns: Mapping[str, str] = field(repr=False)
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float] | None

    def load(self) -> NDArray[np.float32]:
        """Read the patch: (slices, rows, columns), values as stored.

        Raises:
            DataError: it cannot be read, or holds values that are not finite.
        """
        return read_patch(self.path)


@dataclass(frozen=True, slots=True)
class PatchSet:
    """A manifest, read.

    Attributes:
        manifest: where it came from.
        label: name of the label's column.
        records: the rows that can be learnt from, in the order of the manifest.
        n_neither: rows whose label is neither positive nor negative.
        n_unlabelled: rows without a label.
        left_out: rows whose file cannot be used, and why.
        unsure: rows whose label is neither, with a target of -1, where they were asked for.
    """

    manifest: Path
    label: str
    records: tuple[PatchRecord, ...]
    n_neither: int
    n_unlabelled: int
    left_out: tuple[LeftOut, ...]
    unsure: tuple[PatchRecord, ...] = ()

    @property
    def targets(self) -> NDArray[np.int64]:
        """1 or 0 for each record."""
        return np.array([record.target for record in self.records], dtype=np.int64)

    @property
    def patients(self) -> tuple[str, ...]:
        """The patient of each record."""
        return tuple(record.patient_id for record in self.records)


def read_patches(
    manifest: Path,
    *,
    label: str,
    positive: str | None = None,
    negative: str | None = None,
    root: Path | None = None,
    keep_unsure: bool = False,
) -> PatchSet:
    """Read a manifest and the headers of its patches; no voxel is read yet.

    Args:
        manifest: CSV with a header: `path`, `patient_id` and one label column or more; separated by commas,
            semicolons or tabs.
        label: the column to learn.
        positive: which labels are positive, such as `>=4`, `malignant` or `1,2`; without it `==1`.
        negative: which are negative, such as `<=2`; without it every label that is not positive, or `==0`
            where `positive` is not given either.
        root: what relative paths are relative to; the manifest's folder if None.
        keep_unsure: read rows whose label is neither, too.

    Raises:
        ConfigError: a condition that cannot be read.
        ContractError: a column that is missing, a row without path or patient, a patch that comes twice.
        DataError: a label that cannot be compared, or is both positive and negative.
        NothingToDoError: no patch that can be learnt from.
    """
    rule = make_rule(positive, negative)
    rows = list(read_rows(manifest, label, root or manifest.parent))
    labelled = [row for row in rows if has_label(row, label)]
    judged = [(row, target_of(manifest, row, label, rule)) for row in labelled]
    chosen = [(row, target) for row, target in judged if target is not None]
    records, left_out = _with_headers(chosen)
    neither = [(row, UNSURE) for row, target in judged if target is None] if keep_unsure else []
    found = PatchSet(
        manifest,
        label,
        tuple(records),
        n_neither=len(labelled) - len(chosen),
        n_unlabelled=len(rows) - len(labelled),
        left_out=tuple(left_out),
        unsure=tuple(_with_headers(neither)[0]),
    )
    _tell(found, rule)
    return found


def _with_headers(rows: Sequence[tuple[Row, int]]) -> tuple[list[PatchRecord], list[LeftOut]]:
    records, left_out = [], []
    for row, target in track(rows, "read patch headers", len(rows)):
        try:
            header = read_patch_header(row.path)
        except DataError as error:
            left_out.append(LeftOut(row.path, str(error).removeprefix(f"{row.path}: ")))
        else:
            records.append(_record(row, target, header))
    return records, left_out


def _record(row: Row, target: int, header: PatchHeader) -> PatchRecord:
    return PatchRecord(row.path, row.columns[PATIENT], target, row.columns, header.shape, header.spacing_mm)


def _tell(found: PatchSet, rule: Rule) -> None:
    """Say what is used, what is not and why.

    Raises:
        NothingToDoError: nothing is used.
    """
    tell_left_out(logger, found.manifest, found.left_out, len(found.records) + len(found.left_out))
    counts = (
        f"{found.n_neither} rows are neither, {found.n_unlabelled} have no label, "
        f"{len(found.left_out)} have no usable file ({rule.words})"
    )
    if not found.records:
        raise NothingToDoError(f"{found.manifest}: no patch to learn {found.label!r} from: {counts}")
    positive = int(found.targets.sum())
    logger.info(
        "%s: %d positive, %d negative; %s", found.manifest, positive, len(found.records) - positive, counts
    )
