"""The scans of a STORE or an OUT folder as values to compare."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from medvision.contracts import read_table
from medvision.dicom.sidecar import read_described
from medvision.dicom.stored import StoreEntry, is_store, open_store
from medvision.dicom.tables import SeriesRow, read_series_csv
from medvision.errors import ContractError, DataError, DicomError
from medvision.evaluation.drift.features import SCORE_EDGES, ScanValues, Value
from medvision.evaluation.drift.pixels import measure_pixels
from medvision.files import read_json
from medvision.prefetch import prefetch
from medvision.progress import track

logger = logging.getLogger(__name__)

MOST_SCANS = 1000
"""Of a larger cohort so many are drawn: enough to see a shift that matters."""

NOT_STATED = "not stated"
SERIES_CSV, PREDICTIONS_CSV, REPORT_JSON = "series.csv", "predictions.csv", "report.json"


@dataclass(frozen=True, slots=True)
class Cohort:
    """One side of a comparison.

    Attributes:
        path: the folder.
        kind: whether it is a STORE or an OUT folder.
        n_scans: how many scans it has: volumes of a STORE, reports of an OUT folder.
        scans: those that were drawn and could be read, by name.
        n_with_pixels: how many of these had their voxels read.
    """

    path: Path
    kind: Literal["store", "out"]
    n_scans: int
    scans: tuple[ScanValues, ...]
    n_with_pixels: int


def read_cohort(path: Path, *, pixel_scans: int, seed: int, threads: int = 1) -> Cohort:
    """Read what is known of the scans of a folder; which ones are drawn follows from seed and names alone.

    Args:
        path: a STORE (`medvision ingest`) or an OUT folder (`medvision infer`).
        pixel_scans: of how many scans of a STORE the voxels are read; 0 for none.
        seed: of the draw.
        threads: that read voxels.

    Raises:
        DataError: it is neither, its tables are damaged, or no scan can be used.
    """
    if is_store(path):
        cohort = _read_store(path, pixel_scans, seed, threads)
    elif (path / SERIES_CSV).is_file() and (path / PREDICTIONS_CSV).is_file():
        cohort = _read_out(path, seed)
    else:
        raise DataError(
            f"{path} is neither a STORE (medvision ingest) nor an OUT folder (medvision infer): "
            f"it lacks volumes/ or {PREDICTIONS_CSV} beside {SERIES_CSV}"
        )
    if not cohort.scans:
        raise DataError(f"{path} has no scan that can be compared; its series.csv says what became of each")
    return cohort


def _drawn(names: Iterable[str], count: int, seed: int) -> list[str]:
    """The first in the order of a hash, so that the order of the files does not matter."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())[:count]


def _read_store(path: Path, pixel_scans: int, seed: int, threads: int) -> Cohort:
    entries = {entry.name: entry for entry in open_store(path) if entry.status != "rejected"}
    drawn = _drawn(entries, MOST_SCANS, seed)
    known = {name: values for name in drawn if (values := _described_values(entries[name])) is not None}
    chosen = [entries[name] for name in list(known)[:pixel_scans]]
    results = prefetch(_pixel_values, chosen, threads=threads, ahead=threads)
    n_with_pixels = 0
    for entry, result in track(results, f"read {path.name}", total=len(chosen)):
        if values := result.result():
            known[entry.name].update(values)
            n_with_pixels += 1
    scans = tuple(ScanValues(name, known[name]) for name in sorted(known))
    return Cohort(path, "store", len(entries), scans, n_with_pixels)


def _described_values(entry: StoreEntry) -> dict[str, Value] | None:
    try:
        described = read_described(entry.store, entry.name)
    except DicomError as error:
        logger.warning("left out: %s", error)
        return None
    attributes = described.attributes
    values = _row_values(entry.row)
    _put(values, "kvp", _to_number(attributes.get("KVP")))
    _put(values, "exposure_mas", _to_number(attributes.get("Exposure")))
    _put(values, "noise_checked_hu", _checked_noise((check.name, check.value) for check in described.checks))
    return values


def _pixel_values(entry: StoreEntry) -> dict[str, Value]:
    try:
        return measure_pixels(entry.load())
    except DataError as error:
        logger.warning("its voxels are left out: %s", error)
        return {}


def _read_out(path: Path, seed: int) -> Cohort:
    """Series without a report were rejected, not chosen in their study, or have failed."""
    try:
        table = read_series_csv(path / SERIES_CSV)
    except ContractError as error:
        raise DataError(f"{error}; run medvision infer again") from error
    except OSError as error:
        raise DataError(
            f"{path / SERIES_CSV} cannot be read: {error.strerror}; run medvision infer again"
        ) from error
    rows = {row.name: row for row in table if (path / row.name / REPORT_JSON).is_file()}
    scores = _scores(path / PREDICTIONS_CSV)
    drawn = sorted(_drawn(rows, MOST_SCANS, seed))
    scans = [scan for name in drawn if (scan := _reported(path, rows[name], scores)) is not None]
    return Cohort(path, "out", len(rows), tuple(scans), 0)


def _reported(path: Path, row: SeriesRow, scores: Mapping[str, Value]) -> ScanValues | None:
    place = path / row.name / REPORT_JSON
    try:
        report = read_json(place)
        values = _row_values(row) | _report_values(report)
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("left out: %s cannot be read: %s", place, error)
        return None
    _put(values, "scores", scores.get(row.name))
    return ScanValues(row.name, values)


def _report_values(report: Mapping[str, Any]) -> dict[str, Value]:
    values: dict[str, Value] = {"findings": float(len(report["findings"]))}
    _put(values, "kvp", _to_number(report["series"].get("kvp")))
    checks = ((check["name"], check["value"]) for check in report["quality"]["checks"])
    _put(values, "noise_checked_hu", _checked_noise(checks))
    return values


def _scores(path: Path) -> dict[str, Value]:
    """Series Instance UID → distribution of its candidates' probabilities."""
    table = read_table(path, "predictions")
    uids, index = np.unique(table["seriesuid"].astype(str), return_inverse=True)
    places = np.searchsorted(SCORE_EDGES[1:-1], table["probability"], side="right")
    counts = np.zeros((len(uids), len(SCORE_EDGES) - 1))
    np.add.at(counts, (index, places), 1)
    return dict(zip(uids.tolist(), counts / counts.sum(axis=1, keepdims=True), strict=True))


def _row_values(row: SeriesRow) -> dict[str, Value]:
    values: dict[str, Value] = {
        "kernel": _category(row.kernel),
        "manufacturer": _category(row.manufacturer),
    }
    _put(values, "spacing_z_mm", row.spacing_z_mm)
    _put(values, "spacing_xy_mm", row.spacing_x_mm)
    _put(values, "slice_thickness_mm", row.slice_thickness_mm)
    return values


def _put(values: dict[str, Value], source: str, value: Value | None) -> None:
    if value is not None:
        values[source] = value


def _category(text: str) -> str:
    return " ".join(text.upper().split()) or NOT_STATED


def _to_number(value: object) -> float | None:
    """A finite number, or None."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _checked_noise(checks: Iterable[Sequence[str]]) -> float | None:
    """HU from the quality check of the noise, where there was one."""
    for name, value in checks:
        if "noise" in name and (found := re.match(r"[\d.]+", value)):
            return _to_number(found.group())
    return None
