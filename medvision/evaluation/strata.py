"""How well each kind of nodule, and each kind of scan, is done by at one threshold for all.

False marks have no diameter or density, so a kind of nodule has a sensitivity only; a kind of scan also has
false positives a scan of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from medvision.evaluation.intervals import clustered_limits
from medvision.evaluation.matching import Lesions, Matching
from medvision.evaluation.thresholds import thresholds

Labels = NDArray[np.object_]
"""One text each; "" where it is not known."""

DIAMETER = "diameter_mm"
DIAMETERS_MM = (6.0, 8.0, 15.0)
"""Where the guidelines change what to do: Fleischner 2017 and Lung-RADS 2022."""
UNKNOWN = "unknown"
COLUMNS = (
    "by",
    "value",
    "scans",
    "nodules",
    "fp_per_scan",
    "threshold",
    "found",
    "sensitivity",
    "sensitivity_lower",
    "sensitivity_upper",
    "false_positives_per_scan",
)


@dataclass(frozen=True, slots=True, eq=False)
class Attributes:
    """What is known of nodules and scans.

    Attributes:
        nodules: name → (nodules,) text of each.
        scans: name → (scans,) text of each.
        patients: (scans,) Patient ID of each scan, "" where not known; empty where none is.
    """

    nodules: Mapping[str, Labels] = field(default_factory=dict)
    scans: Mapping[str, Labels] = field(default_factory=dict)
    patients: tuple[str, ...] = ()

    @property
    def patient(self) -> NDArray[np.int64] | None:
        """(scans,) index of each scan's patient; a scan of nobody known is a patient. None: all are."""
        if not self.patients:
            return None
        names = [name or f"scan {number}" for number, name in enumerate(self.patients)]
        return np.unique(np.array(names), return_inverse=True)[1]


@dataclass(frozen=True, slots=True)
class Stratum:
    """One kind at one operating point of the whole cohort.

    Attributes:
        by: what the kinds are told apart by, such as "density".
        value: which kind.
        scans: scans of the kind, or with a nodule of it.
        nodules: nodules.
        fp_per_scan: the operating point, false positives a scan over the whole cohort.
        threshold: lowest score that counts there.
        found: nodules found.
        sensitivity: share found; None without nodules.
        sensitivity_lower: of its 95 % interval, nodules clustered by patient.
        sensitivity_upper: of it.
        false_positives_per_scan: in these scans; None for a kind of nodule.
    """

    by: str
    value: str
    scans: int
    nodules: int
    fp_per_scan: float
    threshold: float
    found: int
    sensitivity: float | None
    sensitivity_lower: float | None
    sensitivity_upper: float | None
    false_positives_per_scan: float | None


def band(values: NDArray[np.float64], edges: Sequence[float]) -> Labels:
    """Numbers as "<6", "6-8", … ">=15"; "" where not a number."""
    bounds = [f"{edge:g}" for edge in edges]
    names = [
        f"<{bounds[0]}",
        *(f"{a}-{b}" for a, b in pairwise(bounds)),
        f">={bounds[-1]}",
    ]
    found = np.array(names, dtype=object)[np.searchsorted(edges, values, side="right")]
    found[np.isnan(values)] = ""
    return found


def stratify(
    matching: Matching, nodules: Lesions, n_scans: int, rates: Sequence[float], known: Attributes
) -> tuple[Stratum, ...]:
    """Sensitivity by diameter and by all that is known, at each operating point.

    Args:
        matching: of these nodules, in this order.
        nodules: the lesions.
        n_scans: scans.
        rates: false positives a scan.
        known: of nodules and scans.
    """
    diameter = np.where(nodules.diameter_mm < 0, np.nan, nodules.diameter_mm)
    of_nodules = {DIAMETER: band(diameter, DIAMETERS_MM), **known.nodules}
    count = _Count(matching, n_scans, rates, known.patient)
    rows: list[Stratum] = []
    for by, labels in of_nodules.items():
        rows += (row for value in _values(labels) for row in count.of_nodules(by, value, _is(labels, value)))
    for by, labels in known.scans.items():
        rows += (row for value in _values(labels) for row in count.of_scans(by, value, _is(labels, value)))
    return tuple(rows)


class _Count:
    def __init__(
        self,
        matching: Matching,
        n_scans: int,
        rates: Sequence[float],
        patient: NDArray[np.int64] | None,
    ) -> None:
        self.matching, self.rates = matching, rates
        self.thresholds = thresholds(matching, n_scans, rates)
        self.patient = np.arange(n_scans) if patient is None else patient

    def of_nodules(self, by: str, value: str, chosen: NDArray[np.bool_]) -> Iterator[Stratum]:
        scans = len(np.unique(self.matching.nodule_scan[chosen]))
        for rate, threshold in zip(self.rates, self.thresholds.tolist(), strict=True):
            yield self._row(by, value, scans, chosen, rate, threshold, None)

    def of_scans(self, by: str, value: str, chosen: NDArray[np.bool_]) -> Iterator[Stratum]:
        scans, matching = int(chosen.sum()), self.matching
        for rate, threshold in zip(self.rates, self.thresholds.tolist(), strict=True):
            false = int((chosen[matching.false_scan] & (matching.false_probability >= threshold)).sum())
            inside = chosen[matching.nodule_scan]
            yield self._row(by, value, scans, inside, rate, threshold, false / scans)

    def _row(
        self,
        by: str,
        value: str,
        scans: int,
        chosen: NDArray[np.bool_],
        rate: float,
        threshold: float,
        false: float | None,
    ) -> Stratum:
        hit = self.matching.nodule_probability[chosen] >= threshold
        n = len(hit)
        found = int(hit.sum())
        if not n:
            return Stratum(by, value, scans, n, rate, threshold, found, None, None, None, false)
        lower, upper = clustered_limits(hit, self.patient[self.matching.nodule_scan[chosen]])
        return Stratum(by, value, scans, n, rate, threshold, found, found / n, lower, upper, false)


def _values(labels: Labels) -> list[str]:
    """Bands in their order, names in the alphabet's, what is unknown last."""
    found = {str(label) or UNKNOWN for label in labels}
    return sorted(found, key=lambda value: (value == UNKNOWN, _first_number(value), value))


def _first_number(value: str) -> tuple[float, int]:
    if value[:1] == "<":
        return float("-inf"), 0
    text = value.removeprefix(">=").partition("-")[0]
    return (float(text), value.startswith(">=")) if text.replace(".", "", 1).isdigit() else (float("inf"), 0)


def _is(labels: Labels, value: str) -> NDArray[np.bool_]:
    return np.array([(str(label) or UNKNOWN) == value for label in labels], dtype=np.bool_)
