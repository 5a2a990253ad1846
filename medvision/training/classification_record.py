"""What a cross-validation leaves: `oof.csv`, `metrics.json`, and a picture of both."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medvision.contracts import check_table
from medvision.datasets.patches import PatchSet
from medvision.evaluation.classification import ClassificationResult, auc, evaluate_classification
from medvision.evaluation.classification_plot import plot_classification
from medvision.files import write_text

OOF, METRICS, PICTURE = "oof.csv", "metrics.json", "classification.png"


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Each patch as judged by the network that did not learn from its patient.

    Attributes:
        found: the patches.
        fold_of: (N,) fold of each.
        probability: (N,) of the positive class.
        shifted: (N,) the same with the centre off by a few voxels.
    """

    found: PatchSet
    fold_of: NDArray[np.int64]
    probability: NDArray[np.float64]
    shifted: NDArray[np.float64]


def result_of(result: OutOfFold) -> ClassificationResult:
    """All figures, with intervals by patient."""
    return evaluate_classification(result.found.targets, result.probability, result.found.patients)


def judge(result: OutOfFold) -> dict[str, float]:
    """The figures as plain numbers, and the AUC with the centres shifted."""
    figures = asdict(result_of(result))
    lower, upper = figures.pop("auc_ci")
    shifted = auc(result.found.targets, result.shifted)
    return {
        name: float(value)
        for name, value in {**figures, "auc_lower": lower, "auc_upper": upper, "auc_shifted": shifted}.items()
    }


def write_record(folder: Path, result: OutOfFold) -> None:
    """Write the three files.

    Raises:
        OutputError: the folder cannot be written.
    """
    rows = [
        {
            "path": record.columns["path"],
            "patient_id": record.patient_id,
            "fold": int(fold),
            "target": record.target,
            "probability": f"{probability:.6f}",
        }
        for record, fold, probability in zip(
            result.found.records, result.fold_of, result.probability, strict=True
        )
    ]
    check_table(rows, "oof")
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / OOF, text.getvalue())
    _write_metrics(folder / METRICS, result)
    plot_classification(result.found.targets, result.probability, result_of(result), folder / PICTURE)


def _write_metrics(path: Path, result: OutOfFold) -> None:
    found, figures = result.found, asdict(result_of(result))
    figures |= {
        "auc_shifted": auc(found.targets, result.shifted),
        "n_patients": len(set(found.patients)),
        "n_folds": int(result.fold_of.max()) + 1,
        "n_neither": found.n_neither,
        "n_unlabelled": found.n_unlabelled,
        "n_left_out": len(found.left_out),
    }
    write_text(path, json.dumps(figures, indent=1) + "\n")
