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
from medvision.evaluation.calibration_floor import calibration_floor
from medvision.evaluation.classification import ClassificationResult, auc, evaluate_classification
from medvision.evaluation.classification_plot import plot_classification
from medvision.evaluation.conformal import SetQuality, evaluate_sets
from medvision.evaluation.debiased_error import debiased_calibration_error
from medvision.files import write_text
from medvision.training.cross_validation import JudgedOutOfFold

OOF, METRICS, PICTURE = "oof.csv", "metrics.json", "classification.png"


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Each patch as judged by the network that did not learn from its patient.

    Attributes:
        found: the patches.
        fold_of: (M,) fold of each of them, and of patches that are only learnt from behind them.
        judged: what is said of the same patches.
    """

    found: PatchSet
    fold_of: NDArray[np.int64]
    judged: JudgedOutOfFold

    @property
    def probability(self) -> NDArray[np.float64]:
        """(N,) of the positive class, of the patches that are tested."""
        return self.judged.probability[: len(self.found.records)]

    @property
    def shifted(self) -> NDArray[np.float64]:
        """(N,) the same with the centre off by a few voxels."""
        return self.judged.shifted[: len(self.found.records)]

    @property
    def sets(self) -> SetQuality:
        """How often sets of classes hold the truth."""
        return evaluate_sets(self.found.targets, self.judged.sets[: len(self.found.records)])


def result_of(result: OutOfFold) -> ClassificationResult:
    """All figures, with intervals by patient."""
    return evaluate_classification(result.found.targets, result.probability, result.found.patients)


def judge(result: OutOfFold) -> dict[str, float]:
    """The figures as plain numbers, and the AUC with the centres shifted."""
    figures = asdict(result_of(result))
    lower, upper = figures.pop("auc_ci")
    more = {"auc_lower": lower, "auc_upper": upper, **_beside(result)}
    return {name: float(value) for name, value in {**figures, **more}.items()}


def _beside(result: OutOfFold) -> dict[str, float]:
    """What is told beside the usual figures."""
    sets = result.sets
    return {
        "auc_shifted": auc(result.found.targets, result.shifted),
        "ece_floor": calibration_floor(result.probability),
        "calibration_error_debiased": debiased_calibration_error(result.found.targets, result.probability),
        "set_coverage": sets.coverage,
        "set_size": sets.mean_size,
        "certain": sets.certain,
    }


def write_record(folder: Path, result: OutOfFold) -> None:
    """Write the three files.

    Raises:
        OutputError: the folder cannot be written.
    """
    spread = result.judged.spread
    rows = [
        {
            "path": record.columns["path"],
            "patient_id": record.patient_id,
            "fold": int(fold),
            "target": record.target,
            "probability": f"{probability:.6f}",
        }
        | ({} if spread is None else {"spread": f"{spread[number]:.6f}"})
        for number, (record, fold, probability) in enumerate(
            zip(result.found.records, result.fold_of, result.probability, strict=False)
        )
    ]
    check_table(rows, "oof")
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / OOF, text.getvalue(), private=True)
    _write_metrics(folder / METRICS, result)
    plot_classification(result.found.targets, result.probability, result_of(result), folder / PICTURE)


def _write_metrics(path: Path, result: OutOfFold) -> None:
    found, figures = result.found, asdict(result_of(result))
    figures |= {
        **_beside(result),
        "n_patients": len(set(found.patients)),
        "n_folds": int(result.fold_of.max()) + 1,
        "n_neither": found.n_neither,
        "n_unlabelled": found.n_unlabelled,
        "n_left_out": len(found.left_out),
    }
    write_text(path, json.dumps(figures, indent=1) + "\n")
