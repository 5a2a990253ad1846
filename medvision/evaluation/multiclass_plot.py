"""Confusion matrix, ROC a class and reliability of a classifier of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medvision.evaluation.classification_plot import reliability_points, roc_points
from medvision.evaluation.multiclass import class_aucs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELLED_CELLS = 12
"""A confusion matrix of more classes is told by colour only."""

MOST_CURVES = 10
"""ROC curves in one picture: of the first classes."""


def confusion_figure(matrix: NDArray[np.int64], classes: Sequence[str]) -> Figure:
    """Draw (true class, predicted class) counts, coloured by the share of the true class."""
    figure = _figure(width=1.6 + 0.7 * min(len(classes), LABELLED_CELLS), height=None)
    axes = figure.add_subplot()
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    if len(classes) <= LABELLED_CELLS:
        for (row, column), number in np.ndenumerate(matrix):
            shade = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, str(number), ha="center", va="center", color=shade)
    places = range(len(classes))
    axes.set_xticks(places, classes, rotation=45, ha="right")
    axes.set_yticks(places, classes)
    axes.set(xlabel="predicted", ylabel="true")
    return figure


def classes_figure(
    targets: NDArray[np.int64], probabilities: NDArray[np.float64], classes: Sequence[str]
) -> Figure:
    """Draw ROC curves, a class against the rest, beside how often the first choice is right.

    Args:
        targets: (N,) class indices, or (N, L) zeros and ones.
        probabilities: (N, classes) or (N, L).
        classes: their names.
    """
    figure = _figure(width=9, height=4.2)
    roc, reliability = figure.subplots(1, 2)
    truth = targets if targets.ndim > 1 else np.eye(probabilities.shape[1])[targets]
    _draw_rocs(roc, truth.astype(np.float64), targets, probabilities, classes)
    if targets.ndim > 1:  # labels that do not exclude each other
        right, sure, what = truth.ravel().astype(np.float64), probabilities.ravel(), "labels present"
    else:
        right = (probabilities.argmax(axis=1) == targets).astype(np.float64)
        sure, what = probabilities.max(axis=1), "first choices right"
    reliability.plot(*reliability_points(right, sure), "o-")
    reliability.set(xlabel="predicted probability", ylabel=f"fraction of {what}", title="Reliability")
    for axes in (roc, reliability):
        axes.plot([0, 1], [0, 1], color="0.6", lw=0.8, ls="--")
        axes.set(xlim=(0, 1), ylim=(0, 1.01))
        axes.grid(alpha=0.3)
    return figure


def _draw_rocs(
    axes: Axes,
    truth: NDArray[np.float64],
    targets: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    classes: Sequence[str],
) -> None:
    for number, auc in enumerate(class_aucs(targets, probabilities)[:MOST_CURVES]):
        if np.isfinite(auc):
            curve = roc_points(truth[:, number], probabilities[:, number])
            axes.step(*curve, where="post", label=f"{classes[number]}: AUC {auc:.3f}")
    axes.set(xlabel="1 − specificity", ylabel="sensitivity", title="ROC, a class against the rest")
    axes.legend(loc="lower right", fontsize="small")


def _figure(width: float, height: float | None) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height or width), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
