"""Compare two cohorts, feature by feature."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy import stats

from medvision.errors import UsageError
from medvision.evaluation.drift.chart import chart_bins, summary
from medvision.evaluation.drift.cohort import Cohort, read_cohort
from medvision.evaluation.drift.document import CohortRecord, DriftDocument, FeatureRecord, Status, Verdict
from medvision.evaluation.drift.features import FEATURES, Feature, ScanValues, Value
from medvision.evaluation.drift.statistics import (
    PERMUTATIONS,
    Binned,
    Difference,
    bin_numbers,
    bin_shares,
    bin_words,
    difference,
)

PSI_LIMIT, P_LIMIT = 0.2, 0.01
"""PSI above 0.2 is what the credit industry, where it comes from, calls a shift to act on."""

PIXEL_SCANS = 100
LEAST_P = 1 / (PERMUTATIONS + 1)
MIN_SCANS = 5
"""With fewer scans on either side nothing is said of a feature."""


@dataclass(frozen=True, slots=True)
class Limits:
    """A feature has drifted where both are passed.

    Attributes:
        psi: population stability index above it matters.
        p_value: adjusted p-value below it is no chance.
    """

    psi: float = PSI_LIMIT
    p_value: float = P_LIMIT


@dataclass(frozen=True, slots=True)
class _Sides:
    """The values of one feature."""

    feature: Feature
    reference: list[Value]
    current: list[Value]

    @property
    def values(self) -> list[Value]:
        return [*self.reference, *self.current]


def compare(
    reference: Path,
    current: Path,
    *,
    limits: Limits | None = None,
    pixel_scans: int = PIXEL_SCANS,
    seed: int = 0,
    threads: int = 1,
) -> DriftDocument:
    """Compare two cohorts; a STORE and an OUT folder in what both know.

    Args:
        reference: STORE or OUT folder of the scans that were once found good, such as the validation cohort.
        current: STORE or OUT folder of today's scans.
        limits: what counts as drift.
        pixel_scans: of how many scans a STORE the voxels are read; 0 for none.
        seed: of the permutations and of the scans that are drawn from large cohorts.
        threads: that read voxels.

    Raises:
        DataError: a folder that is neither, or that has no scan to compare.
        UsageError: a limit out of bounds.
    """
    limits = limits or Limits()
    _check(limits)
    read = partial(read_cohort, pixel_scans=pixel_scans, seed=seed, threads=threads)
    cohorts = read(reference), read(current)
    records = compare_scans(cohorts[0].scans, cohorts[1].scans, limits, seed)
    return DriftDocument(
        verdict=_verdict(records),
        limit_psi=limits.psi,
        limit_p=limits.p_value,
        permutations=PERMUTATIONS,
        seed=seed,
        reference=_describe(cohorts[0]),
        current=_describe(cohorts[1]),
        features=records,
    )


def _check(limits: Limits) -> None:
    if limits.psi <= 0:
        raise UsageError(f"PSI limit {limits.psi:g} must be above 0; 0.2 is usual")
    if not LEAST_P < limits.p_value < 1:
        raise UsageError(
            f"p-value limit {limits.p_value:g} must be between {LEAST_P:g}, the least that {PERMUTATIONS} "
            "permutations can tell, and 1; 0.01 is usual"
        )


def _sides_of(feature: Feature, reference: Sequence[ScanValues], current: Sequence[ScanValues]) -> _Sides:
    """The values of the source that most scans of both cohorts have; of equals, the first."""
    found = [_Sides(feature, *_values(source, reference, current)) for source in feature.sources]
    best = max(found, key=lambda side: min(len(side.reference), len(side.current)))
    return best if best.reference and best.current else _Sides(feature, [], [])


def _values(source: str, *cohorts: Sequence[ScanValues]) -> list[list[Value]]:
    return [[scan.values[source] for scan in cohort if source in scan.values] for cohort in cohorts]


def compare_scans(
    reference: Sequence[ScanValues], current: Sequence[ScanValues], limits: Limits, seed: int = 0
) -> tuple[FeatureRecord, ...]:
    """Compare scans whose values are known; one record a feature, in the order of `FEATURES`."""
    sides = [_sides_of(feature, reference, current) for feature in FEATURES]
    found = [_difference(side, limits, seed) for side in sides]
    compared = [one.p_value for one in found if one is not None]
    adjusted = iter(stats.false_discovery_control(compared) if compared else ())
    return tuple(
        _record(side, one, None if one is None else float(next(adjusted)), limits)
        for side, one in zip(sides, found, strict=True)
    )


def _difference(side: _Sides, limits: Limits, seed: int) -> Difference | None:
    """None where there are too few scans to tell."""
    if _too_few(len(side.reference), len(side.current), limits):
        return None
    binned = _bin(side)
    number = FEATURES.index(side.feature)
    return difference(binned, len(side.reference), np.random.default_rng([seed, number]))


def _too_few(n_reference: int, n_current: int, limits: Limits) -> bool:
    """Whether not even the most unlike of all arrangements of so many scans would be below the limit."""
    least = min(n_reference, n_current)
    return least < MIN_SCANS or 2 / math.comb(n_reference + n_current, least) >= limits.p_value


def _bin(side: _Sides) -> Binned:
    n_reference = len(side.reference)
    match side.feature.kind:
        case "number":
            return bin_numbers(np.array(side.values, dtype=np.float64), n_reference)
        case "category":
            return bin_words([str(value) for value in side.values])
        case "distribution":
            return bin_shares(np.array(side.values, dtype=np.float64), n_reference)


def _record(side: _Sides, found: Difference | None, adjusted: float | None, limits: Limits) -> FeatureRecord:
    feature = side.feature
    return FeatureRecord(
        name=feature.name,
        title=feature.title,
        unit=feature.unit,
        kind=feature.kind,
        status=_status(side, found, adjusted, limits),
        n_reference=len(side.reference),
        n_current=len(side.current),
        reference=summary(feature, side.reference),
        current=summary(feature, side.current),
        psi=None if found is None else round(found.psi, 6),
        ks=None if found is None or found.ks is None else round(found.ks, 6),
        p_value=None if found is None else found.p_value,
        p_adjusted=adjusted,
        bins=chart_bins(feature, side.reference, side.current) if side.values else (),
    )


def _status(side: _Sides, found: Difference | None, adjusted: float | None, limits: Limits) -> Status:
    if not side.values:
        return "absent"
    if found is None or adjusted is None:
        return "too_few"
    if found.psi <= limits.psi:
        return "stable"
    return "drift" if adjusted < limits.p_value else "unclear"


def _verdict(records: Sequence[FeatureRecord]) -> Verdict:
    statuses = {record.status for record in records}
    if "drift" in statuses:
        return "drift"
    return "stable" if statuses & {"stable", "unclear"} else "too_few"


def _describe(cohort: Cohort) -> CohortRecord:
    return CohortRecord(
        path=str(cohort.path),
        kind=cohort.kind,
        scans=cohort.n_scans,
        drawn=len(cohort.scans),
        with_pixels=cohort.n_with_pixels,
    )
