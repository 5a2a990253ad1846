"""Population stability index and Kolmogorov-Smirnov distance, with p-values by permuting whole scans.

The unit is the scan: a thousand voxels or fifty candidates of one scan are one observation, so what a scan
has many of is compared as the mean of the scans' distributions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PERMUTATIONS = 4999
"""Smallest p-value 1 in 5,000: after the correction for all features still below the usual 0.01."""

MOST_BINS = 10
"""As is usual for PSI; categories beyond the most frequent ones are one bin."""

PSI_BY_CHANCE = 0.1
"""Two samples of one population have a PSI of about (bins − 1)(1/n + 1/m): small samples get fewer bins."""

FINE_BINS = 256
"""Places where the Kolmogorov-Smirnov distance of numbers is looked at; each value, if fewer."""

PSEUDO_COUNT = 0.5
"""Scans added to every bin, so that an empty one does not make PSI infinite."""

_CHUNK = 250
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Binned:
    """The values of all scans of both cohorts in bins.

    Attributes:
        shares: (n, G) share of each scan in each fine bin; rows sum to 1.
        groups: (G,) the bin of PSI that each fine bin belongs to.
        ordered: whether the bins have an order, so that cumulative distributions mean something.
    """

    shares: Floats
    groups: NDArray[np.int64]
    ordered: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """How far apart two cohorts are in one feature.

    Attributes:
        psi: population stability index, ≥ 0.
        ks: largest distance of the cumulative distributions, in [0, 1]; None for categories.
        p_value: share of the permutations that are as far apart (by `ks`; categories by `psi`).
    """

    psi: float
    ks: float | None
    p_value: float


def bin_numbers(values: Floats, n_reference: int) -> Binned:
    """Put (n,) numbers, one a scan, into bins."""
    places = np.unique(values)
    if len(places) > FINE_BINS:
        places = np.unique(np.quantile(values, np.linspace(0, 1, FINE_BINS)))
    return bin_shares(_one_hot(np.searchsorted(places, values), len(places)), n_reference)


def bin_words(words: Sequence[str]) -> Binned:
    """Put categories, one a scan, into bins."""
    _, index, counts = np.unique(words, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return Binned(_one_hot(index, len(counts)), np.minimum(rank, MOST_BINS - 1), ordered=False)


def bin_shares(shares: Floats, n_reference: int) -> Binned:
    """Join (n, G) neighbouring fine bins until the joined ones hold about as much of both cohorts each."""
    mass = shares.mean(axis=0)
    middle = np.cumsum(mass) - mass / 2
    count = psi_bins(n_reference, len(shares) - n_reference)
    groups = np.minimum((middle * count).astype(np.int64), count - 1)
    return Binned(shares, np.unique(groups, return_inverse=True)[1], ordered=True)


def psi_bins(n_reference: int, n_current: int) -> int:
    """As many bins as keep the PSI of like cohorts of these sizes near `PSI_BY_CHANCE`; 2 to `MOST_BINS`.

    Source: B. Yurdakul, Statistical properties of population stability index, 2018.
    """
    affordable = 1 + PSI_BY_CHANCE / (1 / n_reference + 1 / n_current)
    return int(np.clip(affordable, 2, MOST_BINS))


def _one_hot(index: NDArray[np.int64], count: int) -> Floats:
    return np.asarray(np.arange(count) == index[:, None], np.float64)


def difference(binned: Binned, n_reference: int, random: np.random.Generator) -> Difference:
    """Compare the first `n_reference` scans with the others.

    The p-value counts the observed arrangement among the permuted ones, so that it is never 0
    (B. Phipson, G. Smyth, Stat Appl Genet Mol Biol 9:39, 2010).
    """
    member = np.zeros((1, len(binned.shares)))
    member[0, :n_reference] = 1
    observed_psi, observed_ks = _statistics(binned, member)
    observed = observed_ks if binned.ordered else observed_psi
    as_far = 1
    for start in range(0, PERMUTATIONS, _CHUNK):
        count = min(_CHUNK, PERMUTATIONS - start)
        permuted = random.permuted(np.repeat(member, count, axis=0), axis=1)
        psi, ks = _statistics(binned, permuted)
        as_far += int(np.count_nonzero((ks if binned.ordered else psi) >= observed - _TOLERANCE))
    p_value = as_far / (PERMUTATIONS + 1)
    return Difference(float(observed_psi[0]), float(observed_ks[0]) if binned.ordered else None, p_value)


def _statistics(binned: Binned, member: Floats) -> tuple[Floats, Floats]:
    """PSI and KS of (r, n) arrangements, 1 where a scan counts as reference."""
    reference = member @ binned.shares
    current = binned.shares.sum(axis=0) - reference
    n_reference = member[0].sum()
    n_current = member.shape[1] - n_reference
    join = _one_hot(binned.groups, int(binned.groups.max()) + 1)
    psi = population_stability(reference @ join, current @ join)
    steps = reference / n_reference - current / n_current
    return psi, np.abs(np.cumsum(steps, axis=-1)).max(axis=-1)


def population_stability(reference: Floats, current: Floats) -> Floats:
    """PSI of (…, B) counts: the sum over bins of (p − q) ln(p / q); symmetric, 0 for like cohorts."""
    p, q = reference + PSEUDO_COUNT, current + PSEUDO_COUNT
    p, q = p / p.sum(axis=-1, keepdims=True), q / q.sum(axis=-1, keepdims=True)
    return np.asarray(((p - q) * np.log(p / q)).sum(axis=-1))
