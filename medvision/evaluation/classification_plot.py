"""ROC and reliability of a classifier, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvision.evaluation.classification import ClassificationResult
from medvision.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RELIABILITY_BINS = 5


def plot_classification(
    targets: ArrayLike, probabilities: ArrayLike, result: ClassificationResult, path: Path
) -> None:
    """Draw both as one PNG."""
    figure = classification_figure(targets, probabilities, result)
    with write_whole(path) as aside:
        figure.savefig(aside, dpi=150, format="png")


def classification_figure(
    targets: ArrayLike, probabilities: ArrayLike, result: ClassificationResult
) -> Figure:
    """Draw both."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    target, probability = np.asarray(targets, np.float64), np.asarray(probabilities, np.float64)
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    roc, reliability = figure.subplots(1, 2)
    lower, upper = result.auc_ci
    roc.step(
        *roc_points(target, probability),
        where="post",
        label=f"AUC {result.auc:.3f} ({lower:.3f}–{upper:.3f})",
    )
    roc.set(xlabel="1 − specificity", ylabel="sensitivity", title="ROC")
    reliability.plot(*reliability_points(target, probability), "o-", label=f"ECE {result.ece:.3f}")
    reliability.set(xlabel="predicted probability", ylabel="fraction positive", title="Reliability")
    for axes in (roc, reliability):
        axes.plot([0, 1], [0, 1], color="0.6", lw=0.8, ls="--")
        axes.set(xlim=(0, 1), ylim=(0, 1.01))
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
    figure.suptitle(
        f"{result.n_positive} of {result.n} positive, each judged by a model that did not see its patient"
    )
    return figure


def roc_points(
    target: NDArray[np.float64], probability: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False and true positive rate at each distinct threshold, from the strictest to none."""
    order = np.argsort(-probability, kind="stable")
    last_of_ties = np.append(np.diff(probability[order]) != 0, True)
    true = np.cumsum(target[order])[last_of_ties] / target.sum()
    false = np.cumsum(1 - target[order])[last_of_ties] / (1 - target).sum()
    return np.append(0.0, false), np.append(0.0, true)


def reliability_points(
    target: NDArray[np.float64], probability: NDArray[np.float64]
) -> tuple[list[float], list[float]]:
    """Mean probability and fraction positive of groups of equal size."""
    groups = np.array_split(np.argsort(probability, kind="stable"), min(RELIABILITY_BINS, len(target)))
    return [float(probability[g].mean()) for g in groups], [float(target[g].mean()) for g in groups]
