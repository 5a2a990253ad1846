"""What is known of nodules and scans, to look at kinds of them: from a table, `series.csv` or `truth.json`.

A table with coordinates tells of nodules, one without tells of scans. `patient_id` is no kind: it tells which
scans are of one patient.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.contracts import check_document
from medvision.contracts.csv_chunks import read_chunks
from medvision.errors import DataError
from medvision.evaluation.matching import Lesions
from medvision.evaluation.strata import Attributes, Labels, band
from medvision.files import read_json
from medvision.findings import UNKNOWN_DIAMETER_MM

COORDINATES = ("coordX", "coordY", "coordZ")
UIDS = ("seriesuid", "series_instance_uid")
PATIENT = "patient_id"
THICKNESS = "slice_thickness_mm"
THICKNESSES_MM = (1.5, 2.5, 3.5)
SCAN_COLUMNS = ("manufacturer", "kernel", THICKNESS)
"""Those of `series.csv` that are looked at; of another table all are."""
SAID_ELSEWHERE = frozenset({"diameter_mm", "volume_mm3", "probability", "annotation_id"})
"""Columns of a table of nodules that are no kinds."""
MOST_VALUES = 30
"""A column with more values than this is a number or an identifier, not a kind."""
NODULE_KEYS = ("density", "lobe", "attachment", "shape")
"""Those of `truth.json` that are looked at."""

Rows = list[dict[str, str]]


def read_attributes(paths: Sequence[Path], index: Mapping[str, int], nodules: Lesions) -> Attributes:
    """Read all that is known of the listed scans and of the nodules.

    Args:
        paths: tables with a column `seriesuid` or `series_instance_uid`, or `truth.json` of a simulation.
        index: Series Instance UID → index of the scan.
        nodules: the annotations; a row tells of the nearest one whose sphere holds its point.

    Raises:
        DataError: a file cannot be read, lacks the columns, or tells of none of the scans.
    """
    of_nodules: dict[str, Labels] = {}
    of_scans: dict[str, Labels] = {}
    patients = np.full(len(index), "", dtype=object)
    for path in paths:
        nodule_rows, scan_rows = _read(path)
        _refuse_strangers(path, [*nodule_rows, *scan_rows], index)
        _fill(of_nodules, nodule_rows, len(nodules.scan), _nearest(nodule_rows, index, nodules))
        _fill(of_scans, scan_rows, len(index), [index.get(row["seriesuid"], -1) for row in scan_rows])
    if PATIENT in of_nodules:
        _by_scan(patients, of_nodules.pop(PATIENT), nodules.scan)
    if PATIENT in of_scans:
        _by_scan(patients, of_scans.pop(PATIENT), np.arange(len(index)))
    return Attributes(
        _kinds(of_nodules), _kinds(of_scans), tuple(map(str, patients)) if any(patients) else ()
    )


def _read(path: Path) -> tuple[Rows, Rows]:
    """Rows of nodules and rows of scans, each with `seriesuid`."""
    if path.suffix == ".json":
        return _read_truth(path)
    rows: Rows = []
    for chunk in read_chunks(path):
        uid = next((name for name in UIDS if name in chunk.columns), None)
        if uid is None:
            raise DataError(f"{path}: column 'seriesuid' is missing (there are: {', '.join(chunk.columns)})")
        named = {"seriesuid" if name == uid else name: cells for name, cells in chunk.columns.items()}
        rows += [
            dict(zip(named, map(str.strip, cells), strict=True))
            for cells in zip(*named.values(), strict=True)
        ]
    if rows and set(COORDINATES) <= rows[0].keys():
        return [_without(row, SAID_ELSEWHERE) for row in rows], []
    if rows and {"study_instance_uid", "modality"} <= rows[0].keys():
        return [], [_only(row, ("seriesuid", PATIENT, *SCAN_COLUMNS)) for row in rows]
    return [], rows


def _read_truth(path: Path) -> tuple[Rows, Rows]:
    try:
        document: Any = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} is no truth.json that can be read; give one of `medvision simulate`"
        ) from error
    check_document(document, "truth", str(path))
    patients = document["patients"]
    nodules = [
        {"seriesuid": nodule.get("series_instance_uid", patient["series_instance_uid"])}
        | dict(zip(COORDINATES, map(str, nodule["center_lps_mm"]), strict=True))
        | {key: str(nodule.get(key) or "") for key in NODULE_KEYS}
        for patient in patients
        for nodule in patient["nodules"]
    ]
    return nodules, [_scan_of(patient) for patient in patients]


def _scan_of(patient: Mapping[str, Any]) -> dict[str, str]:
    acquisition = patient.get("acquisition") or {}
    return {
        "seriesuid": patient["series_instance_uid"],
        PATIENT: patient["patient_id"],
        "manufacturer": acquisition.get("manufacturer", ""),
        "kernel": acquisition.get("kernel", ""),
        THICKNESS: str(acquisition.get("slice_thickness_mm", "")),
    }


def _without(row: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: cell for name, cell in row.items() if name not in names}


def _only(row: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: row[name] for name in names if name in row}


def _refuse_strangers(path: Path, rows: Rows, index: Mapping[str, int]) -> None:
    if not any(row["seriesuid"] in index for row in rows):
        raise DataError(f"{path}: none of its {len(rows)} rows tells of a listed series")


def _nearest(rows: Rows, index: Mapping[str, int], nodules: Lesions) -> list[int]:
    """Index of the nodule that each row tells of; −1 where there is none."""
    radius = np.where(nodules.diameter_mm < 0, UNKNOWN_DIAMETER_MM, nodules.diameter_mm) / 2
    found = []
    for row in rows:
        of_scan = np.flatnonzero(nodules.scan == index.get(row["seriesuid"], -1))
        offset = nodules.center_mm[of_scan] - _point(row)
        distance = np.sqrt((offset**2).sum(axis=1))
        inside = distance <= radius[of_scan]
        found.append(int(of_scan[inside][np.argmin(distance[inside])]) if inside.any() else -1)
    return found


def _point(row: Mapping[str, str]) -> NDArray[np.float64]:
    try:
        return np.array([float(row[name].replace(",", ".")) for name in COORDINATES])
    except ValueError as error:
        raise DataError(f"series {row['seriesuid']}: coordinates must be numbers: {error}") from error


def _fill(columns: dict[str, Labels], rows: Rows, count: int, places: Sequence[int]) -> None:
    """Put each cell where it belongs; what is known already stays."""
    for row, place in zip(rows, places, strict=True):
        if place < 0:
            continue
        for name, cell in row.items():
            if name != "seriesuid" and name not in COORDINATES:
                column = columns.setdefault(name, np.full(count, "", dtype=object))
                column[place] = column[place] or cell


def _kinds(columns: Mapping[str, Labels]) -> dict[str, Labels]:
    kinds = {name: _thicknesses(cells) if name == THICKNESS else cells for name, cells in columns.items()}
    return {name: cells for name, cells in kinds.items() if any(cells) and len(set(cells)) <= MOST_VALUES}


def _thicknesses(cells: Labels) -> Labels:
    return band(np.array([_number(cell) for cell in cells]), THICKNESSES_MM)


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")


def _by_scan(patients: Labels, cells: Labels, scan: NDArray[np.int64]) -> None:
    for place, cell in zip(scan, cells, strict=True):
        patients[place] = patients[place] or cell
