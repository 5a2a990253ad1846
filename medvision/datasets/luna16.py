"""LUNA16 as downloaded: `subset0` … `subset9` with `.mhd` volumes, and the tables of its challenge.

Setio et al.: Validation, comparison, and combination of algorithms for automatic detection of pulmonary
nodules in computed tomography images, Medical Image Analysis 42:1-13 (2017); https://luna16.grand-challenge.org.
The ten subsets are the folds of its cross-validation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medvision.contracts.csv_chunks import Chunk, read_chunks
from medvision.datasets.labelled import LabelledSeries
from medvision.datasets.tables import Annotations, find_table, read_annotations, read_excluded
from medvision.datasets.volume_files import load_scan, read_volume_grid
from medvision.errors import ContractError, DataError, NothingToDoError

LUNG_MASKS = "seg-lungs-LUNA16"
"""LUNA16's folder of lung masks, whose files bear the names of the scans."""
ANNOTATIONS, EXCLUDED = "annotations.csv", "annotations_excluded.csv"
CANDIDATES = "candidates_V2.csv"

_SUBSET = re.compile(r"subset(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class Luna16Candidates:
    """`candidates_V2.csv`: what the false-positive reduction track starts from.

    Attributes:
        series_instance_uids: (N,) one UID a candidate.
        centers_lps_mm: (N, 3).
        is_nodule: (N,) its class.
    """

    series_instance_uids: NDArray[np.object_]
    centers_lps_mm: NDArray[np.float64]
    is_nodule: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Luna16:
    """A LUNA16 download; no volume has been read.

    Attributes:
        folder: where it lies.
        series: one a volume, in the order of their UIDs; LUNA16 names no patients, so each counts as one.
    """

    folder: Path
    series: tuple[LabelledSeries, ...]

    @property
    def folds(self) -> dict[int, tuple[LabelledSeries, ...]]:
        """The published folds that are there: number of the subset → its series."""
        numbers = sorted({item.fold for item in self.series if item.fold is not None})
        return {number: tuple(item for item in self.series if item.fold == number) for number in numbers}

    def candidates(self) -> Luna16Candidates:
        """Read `candidates_V2.csv`.

        Raises:
            DataError: it is not there, or a row cannot be read.
        """
        path = find_table(self.folder, CANDIDATES)
        if path is None:
            raise DataError(f"{self.folder} has no {CANDIDATES}; download it with LUNA16")
        return read_candidates(path)


def read_luna16(folder: Path) -> Luna16:
    """Find LUNA16's volumes and tables; the tables may lie beside the subsets or in their own folders.

    Raises:
        DataError: no annotations, or a volume that comes twice.
        ContractError: a table breaks its contract.
        NothingToDoError: no volume.
    """
    path = find_table(folder, ANNOTATIONS)
    if path is None:
        raise DataError(f"{folder} has no {ANNOTATIONS}; download it with LUNA16")
    excluded = find_table(folder, EXCLUDED)
    volumes = find_volumes(folder)
    if not volumes:
        raise NothingToDoError(f"{folder} has no .mhd volumes; unpack subset0.zip and the others there")
    series = label_volumes(volumes, read_annotations(path), read_excluded(excluded) if excluded else {})
    return Luna16(folder, tuple(sorted(series, key=lambda item: item.series_instance_uid)))


def find_volumes(folder: Path) -> dict[str, Path]:
    """Series Instance UID → `.mhd` file, in the folder and below.

    Raises:
        DataError: two files of the same Series.
    """
    volumes: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.mhd")):
        if LUNG_MASKS in path.parts:
            continue
        if path.stem in volumes:
            raise DataError(f"series {path.stem} comes twice: {volumes[path.stem]} and {path}")
        volumes[path.stem] = path
    return volumes


def label_volumes(
    volumes: Mapping[str, Path], annotations: Annotations, excluded: Annotations
) -> tuple[LabelledSeries, ...]:
    """One `LabelledSeries` a volume. LUNA16 names no patients, so each Series counts as one."""
    return tuple(
        LabelledSeries(
            uid,
            uid,
            tuple(annotations.get(uid, ())),
            partial(load_scan, path),
            tuple(excluded.get(uid, ())),
            fold=_fold(path),
            image=path,
            grid_reader=partial(read_volume_grid, path),
        )
        for uid, path in volumes.items()
    )


def read_candidates(path: Path) -> Luna16Candidates:
    """Read a table `seriesuid,coordX,coordY,coordZ,class`.

    Raises:
        ContractError: a column is missing, or a cell cannot be read.
    """
    known: dict[str, str] = {}
    uids, centers, classes = [], [], []
    for chunk in read_chunks(path):
        missing = {"seriesuid", "coordX", "coordY", "coordZ", "class"} - chunk.columns.keys()
        if missing:
            raise ContractError(f"{path}: column {min(missing)!r} is missing")
        # One string for the many rows of a series keeps 754,975 rows small.
        uids.append(np.array([known.setdefault(uid, uid) for uid in chunk.columns["seriesuid"]], object))
        centers.append(np.stack([_floats(path, chunk, f"coord{axis}") for axis in "XYZ"], axis=1))
        classes.append(_floats(path, chunk, "class") == 1)
    return Luna16Candidates(np.concatenate(uids), np.concatenate(centers), np.concatenate(classes))


def _floats(path: Path, chunk: Chunk, name: str) -> NDArray[np.float64]:
    cells = chunk.columns[name]
    try:
        numbers = np.array(cells, dtype=np.float64)
    except ValueError as error:
        raise ContractError(f"{path}, lines {chunk.lines[0]} on: column {name!r}: {error}") from error
    if not np.isfinite(numbers).all():
        line = chunk.lines[int(np.argmin(np.isfinite(numbers)))]
        raise ContractError(f"{path}, line {line}: column {name!r} is no finite number")
    return numbers


def _fold(path: Path) -> int | None:
    found = [match[1] for part in path.parts if (match := _SUBSET.fullmatch(part))]
    return int(found[-1]) if found else None
