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
    sides = [_sides_of(feature, cohorts[0].scans, cohorts[1].scans) for feature in FEATURES]
    records = _judge(sides, limits, seed)
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
    """The values of the first source that both cohorts have."""
    for source in feature.sources:
        old, new = ([s.values[source] for s in scans if source in s.values] for scans in (reference, current))
        if old and new:
            return _Sides(feature, old, new)
    return _Sides(feature, [], [])


def _judge(sides: Sequence[_Sides], limits: Limits, seed: int) -> tuple[FeatureRecord, ...]:
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
