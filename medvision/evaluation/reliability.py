"""Reliability: how often it is true what is said with a probability of 70 %."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvision.evaluation.classification import checked_binary
from medvision.files import write_whole

GROUPS = 10
Z_95 = 1.959964
"""97.5th percentile of the normal distribution."""


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Groups of about equal size, in the order of their probability.

    Attributes:
        probability: (g,) mean predicted probability.
        fraction: (g,) positives among the samples.
        lower: (g,) lower end of the fraction's 95 % interval (Wilson 1927).
        upper: (g,) upper end.
        count: (g,) samples.
    """

    probability: NDArray[np.float64]
    fraction: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    count: NDArray[np.int64]


def reliability(targets: ArrayLike, probabilities: ArrayLike, groups: int = GROUPS) -> Reliability:
    """Compare what was predicted with what came true.

    Args:
        targets: (n,) 0 or 1.
        probabilities: (n,) in [0, 1].
        groups: how many; fewer where there are fewer samples.

    Raises:
        DataError: sizes differ or values out of range.
    """
    target, probability = checked_binary(targets, probabilities, both_classes=False)
    parts = np.array_split(np.argsort(probability, kind="stable"), min(groups, len(target)))
    count = np.array([len(part) for part in parts])
    fraction = np.array([target[part].mean() for part in parts])
    middle = (fraction + Z_95**2 / (2 * count)) / (1 + Z_95**2 / count)
    half = np.sqrt(fraction * (1 - fraction) / count + (Z_95 / (2 * count)) ** 2)
    half *= Z_95 / (1 + Z_95**2 / count)
    predicted = np.array([probability[part].mean() for part in parts])
    lower, upper = np.clip(middle - half, 0, fraction), np.clip(middle + half, fraction, 1)
    return Reliability(predicted, fraction, lower, upper, count)


def plot_reliability(
    targets: ArrayLike, probabilities: Mapping[str, ArrayLike], path: Path, groups: int = GROUPS
) -> None:
    """Draw one reliability curve a set of probabilities, with 95 % intervals, as PNG.

    Args:
        targets: (n,) 0 or 1.
        probabilities: name, such as "as trained" or "beta" → (n,) in [0, 1].
        path: to write.
        groups: a curve.

    Raises:
        DataError: sizes differ or values out of range.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = {name: reliability(targets, values, groups) for name, values in probabilities.items()}
    figure = Figure(figsize=(5, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.6", lw=0.8, ls="--")
    for name, curve in curves.items():
        error = np.stack([curve.fraction - curve.lower, curve.upper - curve.fraction])
        axes.errorbar(curve.probability, curve.fraction, error, fmt="o-", ms=4, capsize=2, label=name)
    axes.set(xlabel="predicted probability", ylabel="fraction positive", xlim=(0, 1), ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    with write_whole(path) as aside:
        figure.savefig(aside, dpi=150, format="png")
