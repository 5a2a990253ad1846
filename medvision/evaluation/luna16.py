"""The LUNA16 evaluation: CSV tables in, `froc.json`, `froc.csv` and `froc.png` out."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from medvision.contracts import read_table
from medvision.errors import DataError
from medvision.evaluation.froc import FrocResult, froc_of_arrays
from medvision.evaluation.matching import Lesions, Marks
from medvision.evaluation.series_list import read_series_uids
from medvision.evaluation.training_overlap import overlap_with_training
from medvision.files import make_folder, write_text, write_whole

logger = logging.getLogger(__name__)

COORDINATES = ("coordX", "coordY", "coordZ")


def evaluate(
    predictions: Path,
    annotations: Path,
    seriesuids: Path,
    out: Path | None = None,
    *,
    excluded: Path | None = None,
    bootstrap: int = 0,
    seed: int = 0,
    model: Path | None = None,
) -> FrocResult:
    """Evaluate a submission by the LUNA16 rules.

    Args:
        predictions: CSV with seriesuid, coordX, coordY, coordZ (LPS mm), probability (any scale).
        annotations: CSV with seriesuid, coordX, coordY, coordZ, diameter_mm.
        seriesuids: one Series Instance UID a line; the scans that count.
        out: folder for the files of `write_files`; None: no files.
        excluded: CSV as annotations; findings that count neither way.
        bootstrap: cohorts to draw for the intervals; 0: no intervals.
        seed: of the drawing.
        model: directory of the model that made the predictions, to tell which scans it had seen; None: as a
            `run.json` beside the predictions says.

    Raises:
        ModelError: the model cannot be read.
        ContractError: a table breaks its contract, naming file, line, column and value.
        DataError: no scan, no nodule in any scan, or predictions of other scans only.
        OutputError: the folder cannot be written.
    """
    if out is not None:
        make_folder(out)
    index = {uid: number for number, uid in enumerate(read_series_uids(seriesuids))}
    overlap = overlap_with_training(tuple(index), predictions, model)
    marks = _read_marks(predictions, index)
    result = froc_of_arrays(
        marks,
        _read_lesions(annotations, index),
        _no_lesions() if excluded is None else _read_lesions(excluded, index),
        len(index),
        bootstrap=bootstrap,
        seed=seed,
    )
    result = replace(result, training_overlap=overlap)
    if not result.true_positives and _look_like_voxels(marks):
        logger.warning(
            "%s: no mark hits; are its coordinates voxel indices? They must be LPS mm", predictions
        )
    if out is not None:
        write_files(result, out)
    return result


def write_files(result: FrocResult, out: Path) -> None:
    """Write `froc.json`, `froc.csv`, `froc.png` and, with bootstrap, `froc_bootstrap.csv` to a folder."""
    from medvision.evaluation.plot import plot_froc

    curve, band = result.curve, result.band
    _write_csv(
        out / "froc.csv",
        ("fp_per_scan", "sensitivity", "threshold"),
        zip(curve.fp_per_scan.tolist(), curve.sensitivity.tolist(), curve.threshold.tolist(), strict=True),
    )
    if band is not None:
        columns = (band.fp_per_scan, band.mean, band.lower, band.upper)
        _write_csv(
            out / "froc_bootstrap.csv",
            ("fp_per_scan", "sensitivity_mean", "sensitivity_lower", "sensitivity_upper"),
            np.stack(columns, axis=1).tolist(),
        )
    plot_froc(result, out / "froc.png")
    write_text(out / "froc.json", json.dumps(result.to_dict(), indent=2, allow_nan=False) + "\n")


def _read_marks(path: Path, index: dict[str, int]) -> Marks:
    # Other detectors' scores may have any scale, so the contract's limits on probability do not hold here.
    table = read_table(path, "predictions", limits=False)
    scan, known = _scans(path, table["seriesuid"], index)
    if len(known) and not known.any():
        raise DataError(
            f"{path}: none of its {len(known)} rows belongs to a listed series; "
            f"the first is of {table['seriesuid'][0]!r}"
        )
    center = np.stack([table[name][known] for name in COORDINATES], axis=1)
    return Marks(scan, center, table["probability"][known])


def _look_like_voxels(marks: Marks) -> bool:
    """Whether no mark has a negative coordinate: the origin of LPS lies near the patient's middle."""
    return bool(len(marks.scan)) and bool((marks.center_mm >= 0).all())


def _read_lesions(path: Path, index: dict[str, int]) -> Lesions:
    table = read_table(path, "annotations")
    scan, known = _scans(path, table["seriesuid"], index)
    center = np.stack([table[name][known] for name in COORDINATES], axis=1)
    return Lesions(scan, center, table["diameter_mm"][known])


def _no_lesions() -> Lesions:
    return Lesions(np.empty(0, dtype=np.int64), np.empty((0, 3)), np.empty(0))


def _scans(
    path: Path, uids: np.typing.NDArray[np.object_], index: dict[str, int]
) -> tuple[np.typing.NDArray[np.int64], np.typing.NDArray[np.bool_]]:
    """Scan index of each row of a listed series, and which rows those are."""
    scan = np.array([index.get(uid, -1) for uid in uids], dtype=np.int64)
    known = scan >= 0
    if not known.all():
        logger.info("%s: left out %d of %d rows, of series not listed", path, (~known).sum(), len(known))
    return scan[known], known


def _write_csv(path: Path, header: tuple[str, ...], rows: Iterable[Iterable[float]]) -> None:
    with write_whole(path) as aside, aside.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
