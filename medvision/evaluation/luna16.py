"""The LUNA16 evaluation: CSV tables in, `froc.json`, `froc.csv` and `froc.png` out."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np

from medvision.errors import UsageError
from medvision.evaluation.attributes import read_attributes
from medvision.evaluation.beyond import Beyond, look_beyond
from medvision.evaluation.boxes import average_precision
from medvision.evaluation.curve import FP_PER_SCAN
from medvision.evaluation.froc import FrocResult, froc_of_arrays
from medvision.evaluation.matching import Lesions, match
from medvision.evaluation.paired import Comparison, compare
from medvision.evaluation.scan_level import COLUMNS as SCAN_COLUMNS
from medvision.evaluation.series_list import read_series_uids
from medvision.evaluation.strata import COLUMNS as STRATUM_COLUMNS
from medvision.evaluation.strata import Attributes
from medvision.evaluation.submission import Submission, no_lesions, read_lesions, read_submission
from medvision.evaluation.thresholds import checked_rates
from medvision.evaluation.training_overlap import overlap_with_training
from medvision.files import make_folder, write_text, write_whole

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Truth:
    index: Mapping[str, int]
    nodules: Lesions
    excluded: Lesions
    known: Attributes


def evaluate(  # noqa: PLR0913  options of one evaluation
    predictions: Path,
    annotations: Path,
    seriesuids: Path,
    out: Path | None = None,
    *,
    excluded: Path | None = None,
    bootstrap: int = 0,
    seed: int = 0,
    model: Path | None = None,
    points: Sequence[float] = (),
    strata: Sequence[Path] = (),
    other: Path | None = None,
) -> FrocResult:
    """Evaluate a submission by the LUNA16 rules, and beyond them.

    Args:
        predictions: CSV with seriesuid, coordX, coordY, coordZ (LPS mm), probability (any scale) and,
            optionally, diameter_mm.
        annotations: CSV with seriesuid, coordX, coordY, coordZ, diameter_mm; further columns, such as
            density, tell kinds of nodules.
        seriesuids: one Series Instance UID a line; the scans that count.
        out: folder for the files of `write_files`; None: no files.
        excluded: CSV as annotations; findings that count neither way.
        bootstrap: cohorts to draw for the intervals; 0: no intervals.
        seed: of the drawing.
        model: directory of the model that made the predictions, to tell which scans it had seen; None: as a
            `run.json` beside the predictions says.
        points: false positives a scan to look at in place of LUNA16's seven, which the CPM keeps.
        strata: tables that tell kinds of nodules or scans (`evaluation.attributes`).
        other: predictions of another detector, to compare with by drawing patients.

    Raises:
        ModelError: the model cannot be read.
        ContractError: a table breaks its contract, naming file, line, column and value.
        DataError: no scan, no nodule in any scan, or predictions of other scans only.
        UsageError: a point that is not above 0, or a comparison without bootstrap.
        OutputError: the folder cannot be written.
    """
    points = checked_rates(points)
    if other is not None and not bootstrap:
        raise UsageError("comparing two submissions draws patients: give --bootstrap, such as 1000")
    if out is not None:
        make_folder(out)
    index = {uid: number for number, uid in enumerate(read_series_uids(seriesuids))}
    overlap = overlap_with_training(tuple(index), predictions, model)
    submission = read_submission(predictions, index)
    truth = _read_truth(index, annotations, excluded, strata)
    result = froc_of_arrays(
        submission.marks,
        truth.nodules,
        truth.excluded,
        len(index),
        bootstrap=bootstrap,
        seed=seed,
        points=points,
    )
    beyond = _look_beyond(result, submission, truth, points, bootstrap, seed)
    if other is not None:
        beyond = replace(beyond, comparison=_compare(result, other, truth, points, bootstrap, seed))
    result = replace(result, training_overlap=overlap, beyond=beyond)
    if not result.true_positives and submission.look_like_voxels():
        logger.warning(
            "%s: no mark hits; are its coordinates voxel indices? They must be LPS mm", predictions
        )
    if out is not None:
        write_files(result, out, tuple(index))
    return result


def _read_truth(
    index: Mapping[str, int], annotations: Path, excluded: Path | None, strata: Sequence[Path]
) -> _Truth:
    nodules = read_lesions(annotations, index)
    tables = [annotations, *strata] if len(nodules.scan) else []
    known = read_attributes(tables, index, nodules)
    return _Truth(index, nodules, no_lesions() if excluded is None else read_lesions(excluded, index), known)


def _look_beyond(
    result: FrocResult,
    submission: Submission,
    truth: _Truth,
    points: Sequence[float],
    bootstrap: int,
    seed: int,
) -> Beyond:
    beyond = look_beyond(
        result.matching,
        result.curve,
        truth.nodules,
        len(truth.index),
        rates=points or FP_PER_SCAN,
        points=points,
        band=result.band,
        known=truth.known,
        bootstrap=bootstrap,
        seed=seed,
    )
    if submission.diameter_mm is None:
        return beyond
    return replace(beyond, boxes=average_precision(submission.marks, submission.diameter_mm, truth.nodules))


def _compare(
    result: FrocResult, other: Path, truth: _Truth, points: Sequence[float], bootstrap: int, seed: int
) -> Comparison:
    marks = read_submission(other, truth.index).marks
    matching = match(marks, truth.nodules, truth.excluded, len(truth.index))
    return compare(
        result.matching,
        matching,
        len(truth.index),
        rates=points or FP_PER_SCAN,
        patient=truth.known.patient,
        bootstrap=bootstrap,
        seed=seed,
    )


def write_files(result: FrocResult, out: Path, series_uids: Sequence[str] = ()) -> None:
    """Write an evaluation to a folder.

    `froc.json`, `froc.csv`, `froc.png`; with bootstrap `froc_bootstrap.csv`; of what lies beyond the LUNA16
    script `strata.csv` and, where the Series are named, `scans.csv`.
    """
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
    if result.beyond is not None:
        _write_csv(out / "strata.csv", STRATUM_COLUMNS, map(astuple, result.beyond.strata))
    if result.beyond is not None and series_uids:
        _write_csv(out / "scans.csv", SCAN_COLUMNS, result.beyond.scan_level.rows(series_uids))
    plot_froc(result, out / "froc.png")
    write_text(out / "froc.json", json.dumps(result.to_dict(), indent=2, allow_nan=False) + "\n")


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    with write_whole(path) as aside, aside.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
