"""May another model take the place of the one in use? Both judged on the same patients, by drawing them.

A challenger passes where even the bad end of the 95 % interval of what it does worse lies within a margin
(non-inferiority; Piaggio et al., JAMA 2012;308:2594-2604). Patients are drawn with replacement, all their
scans together and the same for both models (Efron and Tibshirani 1993, chapter 6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medvision.errors import DataError
from medvision.evaluation.bootstrap import mean_and_interval
from medvision.evaluation.matching import Matching

Floats = NDArray[np.float64]
Verdict = Literal["passed", "worse", "not shown"]

CALIBRATION_BINS = 10
SUREST_IGNORED = 0.05
"""Calibration is judged on marks at least this sure: the countless sure non-nodules would dilute it."""


@dataclass(frozen=True, slots=True)
class Margins:
    """How much worse a challenger may be.

    Attributes:
        sensitivity: at the operating point; 0.05 are 5 nodules of 100.
        false_positives: a scan, at the operating point.
        calibration: expected calibration error of the marks.
        time: of the seconds a scan, as a fraction; 0.25 is a quarter slower.
    """

    sensitivity: float = 0.05
    false_positives: float = 0.25
    calibration: float = 0.05
    time: float = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What a model did, scan by scan, at the threshold that it is used with.

    Attributes:
        nodules: (n,) nodules to find.
        found: (n,) of them marked.
        false_marks: (n,) marks that hit nothing.
        marks: (n,) marks that count for the calibration.
        gap: (n, bins) summed probability of those less how many are true.
        seconds: (n,) it took.
    """

    nodules: Floats
    found: Floats
    false_marks: Floats
    marks: Floats
    gap: Floats
    seconds: Floats

    @classmethod
    def of(cls, matching: Matching, threshold: float, seconds: Sequence[float]) -> Outcomes:
        """Count what a matching found; there are as many scans as seconds."""
        n_scans = len(seconds)
        found, false = matching.nodule_probability, matching.false_probability
        probability = np.concatenate([found[matching.found], false])
        scan = np.concatenate([matching.nodule_scan[matching.found], matching.false_scan])
        true = np.arange(len(probability)) < int(matching.found.sum())
        counts = probability >= SUREST_IGNORED
        return cls(
            nodules=_count(matching.nodule_scan, n_scans),
            found=_count(matching.nodule_scan[found >= threshold], n_scans),
            false_marks=_count(matching.false_scan[false >= threshold], n_scans),
            marks=_count(scan[counts], n_scans),
            gap=_gaps(scan[counts], probability[counts], true[counts], n_scans),
            seconds=np.asarray(seconds, dtype=np.float64),
        )

    def figures(self, weight: Floats) -> dict[str, Floats]:
        """Sensitivity, false positives a scan, calibration error and seconds a scan of drawn cohorts.

        Args:
            weight: (drawn, n) how often each scan was drawn.

        Returns:
            Name → (drawn,); NaN where a figure is not defined.
        """
        scans = weight.sum(axis=1)
        with np.errstate(invalid="ignore"):
            return {
                "sensitivity": weight @ self.found / (weight @ self.nodules),
                "false_positives": weight @ self.false_marks / scans,
                "calibration": np.abs(weight @ self.gap).sum(axis=1) / np.maximum(weight @ self.marks, 1),
                "time": weight @ self.seconds / scans,
            }


@dataclass(frozen=True, slots=True)
class Check:
    """One figure of both models.

    Attributes:
        name: a field of `Margins`.
        champion: the figure of the model in use.
        challenger: of the other.
        worse_by: how much worse the challenger is; negative where it is better. Of the time, a fraction.
        lower: of the 95 % interval of that.
        upper: of it.
        margin: that is allowed.
        verdict: `passed`: it is not worse by more than the margin, chance included; `worse`: it is;
            `not shown`: it seems not, but with so few patients it may be.
    """

    name: str
    champion: float
    challenger: float
    worse_by: float
    lower: float
    upper: float
    margin: float
    verdict: Verdict


def compare_outcomes(
    champion: Outcomes,
    challenger: Outcomes,
    patient: NDArray[np.int64],
    margins: Margins,
    *,
    bootstrap: int = 2000,
    seed: int = 0,
) -> tuple[Check, ...]:
    """Compare two models on the same scans.

    Args:
        champion: what the model in use did.
        challenger: what the other did.
        patient: (n,) index of each scan's patient, from 0.
        margins: how much worse it may be.
        bootstrap: cohorts to draw.
        seed: of the drawing.

    Returns:
        A check a margin.

    Raises:
        DataError: no nodule in any scan, so that sensitivity is not defined.
    """
    if not champion.nodules.sum():
        raise DataError(f"sensitivity is not defined: {len(patient)} scans without a nodule")
    weight = np.vstack([np.ones(len(patient)), _draw(patient, bootstrap, seed)])
    old, new = champion.figures(weight), challenger.figures(weight)
    worse = {
        "sensitivity": old["sensitivity"] - new["sensitivity"],
        "false_positives": new["false_positives"] - old["false_positives"],
        "calibration": new["calibration"] - old["calibration"],
        "time": new["time"] / old["time"] - 1,
    }
    return tuple(
        _check(name, float(old[name][0]), float(new[name][0]), values, getattr(margins, name))
        for name, values in worse.items()
    )


def _check(name: str, champion: float, challenger: float, worse: Floats, margin: float) -> Check:
    drawn = worse[1:][np.isfinite(worse[1:])]
    _, lower, upper = mean_and_interval(drawn)
    whole = float(worse[0])
    verdict: Verdict = "worse" if whole > margin else "passed" if float(upper) <= margin else "not shown"
    return Check(name, champion, challenger, whole, float(lower), float(upper), margin, verdict)


def _draw(patient: NDArray[np.int64], bootstrap: int, seed: int) -> Floats:
    """(bootstrap, n) how often each scan is drawn, with its patient."""
    patients = int(patient.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(patients, np.full(patients, 1 / patients), bootstrap)
    return drawn[:, patient].astype(np.float64)


def _count(scan: NDArray[np.int64], n_scans: int) -> Floats:
    return np.bincount(scan, minlength=n_scans).astype(np.float64)


def _gaps(scan: NDArray[np.int64], probability: Floats, true: NDArray[np.bool_], n_scans: int) -> Floats:
    group = np.minimum((probability * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    gap = np.zeros((n_scans, CALIBRATION_BINS))
    np.add.at(gap, (scan, group), probability - true)
    return gap
