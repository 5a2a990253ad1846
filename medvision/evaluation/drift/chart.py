"""A feature in words and as pairs of bars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from medvision.evaluation.drift.document import ChartBin
from medvision.evaluation.drift.features import Feature, Value

BARS = 12
LEAST_SHARE_OF_A_BAR = 0.001
NAMED = 3
"""Categories that a summary names."""


def summary(feature: Feature, values: Sequence[Value]) -> str:
    """Median and 10th to 90th percentile, or the most frequent categories; empty without values."""
    if not values:
        return ""
    if feature.kind == "category":
        common = Counter(map(str, values)).most_common(NAMED)
        return ", ".join(f"{word} {count / len(values):.0%}" for word, count in common)
    low, middle, high = (
        np.quantile(np.array(values, np.float64), [0.1, 0.5, 0.9])
        if feature.kind == "number"
        else _weighted_quantiles(feature, values)
    )
    return f"{middle:.4g} ({low:.4g} to {high:.4g})"


def _weighted_quantiles(feature: Feature, values: Sequence[Value]) -> NDArray[np.float64]:
    """Of a mean distribution, linear inside the bins."""
    cumulative = np.concatenate([[0.0], np.cumsum(_mean(values))])
    return np.interp([0.1, 0.5, 0.9], cumulative, feature.edges)


def _mean(values: Sequence[Value]) -> NDArray[np.float64]:
    return np.asarray(np.mean(np.array(values, np.float64), axis=0))


def chart_bins(
    feature: Feature, reference: Sequence[Value], current: Sequence[Value]
) -> tuple[ChartBin, ...]:
    """Shares of both cohorts in bins that a reader understands."""
    match feature.kind:
        case "number":
            labels, shares = _of_numbers(np.array(reference, np.float64), np.array(current, np.float64))
        case "category":
            labels, shares = _of_words(list(map(str, reference)), list(map(str, current)))
        case "distribution":
            labels, shares = _of_distributions(feature, _mean(reference), _mean(current))
    pairs = zip(labels, shares[0].tolist(), shares[1].tolist(), strict=True)
    return tuple(ChartBin(label=label, reference=round(a, 6), current=round(b, 6)) for label, a, b in pairs)


def _of_numbers(
    reference: NDArray[np.float64], current: NDArray[np.float64]
) -> tuple[list[str], list[NDArray[np.float64]]]:
    """Every value, where there are few; else bins of the same width."""
    both = np.concatenate([reference, current])
    places = np.unique(both)
    if len(places) <= BARS:
        shares = [np.mean(side[:, None] == places, axis=0) for side in (reference, current)]
        return [_digits(place, 4) for place in places], shares
    edges = np.linspace(places[0], places[-1], BARS + 1)
    shares = [np.histogram(side, edges)[0] / len(side) for side in (reference, current)]
    return [f"{_digits(low, 3)} to {_digits(high, 3)}" for low, high in pairwise(edges)], shares


def _digits(value: float, digits: int) -> str:
    """With so many significant digits, never with an exponent."""
    return f"{float(f'{value:.{digits}g}'):g}"


def _of_words(reference: list[str], current: list[str]) -> tuple[list[str], list[NDArray[np.float64]]]:
    """The most frequent ones, and the rest as one."""
    words = [word for word, _ in Counter(reference + current).most_common()]
    named, others = words[: BARS - 1], words[BARS - 1 :]
    shares = []
    for side in (reference, current):
        counts = Counter(side)
        rest = [sum(counts[word] for word in others)] if others else []
        shares.append(np.array([counts[word] for word in named] + rest, np.float64) / len(side))
    return named + (["others"] if others else []), shares


def _of_distributions(
    feature: Feature, reference: NDArray[np.float64], current: NDArray[np.float64]
) -> tuple[list[str], list[NDArray[np.float64]]]:
    """Its own bins, without empty ones at either end."""
    used = np.flatnonzero(np.maximum(reference, current) >= LEAST_SHARE_OF_A_BAR)
    kept = slice(used[0], used[-1] + 1)
    labels = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(feature.edges)]
    return labels[kept], [reference[kept], current[kept]]
