"""What a fine-tuning leaves: `metrics.json`, `predictions.csv`, `curves.png`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.evaluation.multiclass import accuracy, class_aucs, confusion, mean_auc
from medvision.files import write_text, write_whole
from medvision.training.finetuning.loop import History

METRICS, PREDICTIONS, CURVES = "metrics.json", "predictions.csv", "curves.png"


@dataclass(frozen=True, slots=True)
class Judged:
    """A part of the data as the network judges it.

    Attributes:
        names: of the pictures.
        targets: (N,) class indices, or (N, L) zeros and ones.
        probabilities: (N, classes).
    """

    names: Sequence[str]
    targets: NDArray[np.int64]
    probabilities: NDArray[np.float64]

    def figures(self, classes: Sequence[str]) -> dict[str, Any]:
        """AUC and accuracy, and what they are made of."""
        figures: dict[str, Any] = {
            "n": len(self.targets),
            "auc": _plain(mean_auc(self.targets, self.probabilities)),
            "accuracy": accuracy(self.targets, self.probabilities),
            "auc_by_class": dict(
                zip(classes, map(_plain, class_aucs(self.targets, self.probabilities)), strict=True)
            ),
        }
        if self.targets.ndim == 1:
            figures["confusion"] = confusion(self.targets, self.probabilities).tolist()
        return figures


def write_record(
    folder: Path, parts: Mapping[str, Judged], classes: Sequence[str], history: History
) -> dict[str, float]:
    """Write the three files.

    Args:
        folder: model directory.
        parts: name, such as `val` or `test` → its pictures.
        classes: names.
        history: one row an epoch.

    Returns:
        `test/auc`, `val/accuracy` … of what is defined.

    Raises:
        OutputError: the folder cannot be written.
    """
    figures = {name: judged.figures(classes) for name, judged in parts.items()}
    best = min(range(len(history)), key=lambda epoch: history[epoch]["val/loss"])
    record = {
        "classes": list(classes),
        "epochs": len(history),
        "best_epoch": best,
        **figures,
        "history": history,
    }
    write_text(folder / METRICS, json.dumps(record, indent=1) + "\n")
    write_text(folder / PREDICTIONS, _table(parts, classes), private=True)
    _draw(history, folder / CURVES)
    flat = {f"{name}/{key}": values[key] for name, values in figures.items() for key in ("auc", "accuracy")}
    return {name: value for name, value in flat.items() if value is not None}


def _plain(value: float) -> float | None:
    """JSON knows no NaN."""
    return None if np.isnan(value) else value


def _table(parts: Mapping[str, Judged], classes: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["part", "name", "target", *(f"probability {name}" for name in classes)])
    for part, judged in parts.items():
        for name, target, row in zip(judged.names, judged.targets, judged.probabilities, strict=True):
            truth = " ".join(map(str, np.atleast_1d(target)))
            writer.writerow([part, name, truth, *(f"{value:.6f}" for value in row)])
    return text.getvalue()


def _draw(history: History, path: Path) -> None:
    """Loss and accuracy over the epochs, training beside validation."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, what in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for part, words in (("train", "training"), ("val", "validation")):
            values = [row[f"{part}/{what}"] for row in history]
            axes.plot(range(1, len(values) + 1), values, ".-", label=words)
        axes.set(xlabel="epoch", ylabel=what)
        axes.grid(alpha=0.3)
        axes.legend()
    with write_whole(path) as aside:
        figure.savefig(aside, dpi=150, format="png")
