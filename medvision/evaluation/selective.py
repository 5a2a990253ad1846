"""Selective prediction: answer where the classifier is sure, hand the rest to a reader.

Source: Geifman and El-Yaniv, NeurIPS 2017 (arXiv:1705.08500).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvision.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class RiskCoverage:
    """What is wrong among the samples that are answered, from the surest alone to all.

    Attributes:
        confidence: (m,) least confidence that is still answered, falling; samples of equal confidence are
            answered together.
        coverage: (m,) fraction of the samples answered; the last is 1.
        risk: (m,) fraction (or mean loss) wrong among those.
        area: of the risk over the coverage (AURC): 0 is perfect; a confidence that tells nothing has the risk
            of answering all.
    """

    confidence: NDArray[np.float64]
    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]
    area: float

    def coverage_at(self, risk: float) -> float:
        """The largest coverage whose risk is at most this; 0 where there is none."""
        within = self.coverage[self.risk <= risk]
        return float(within[-1]) if len(within) else 0.0


def risk_coverage(losses: ArrayLike, confidence: ArrayLike) -> RiskCoverage:
    """The risk of answering only the surest.

    Args:
        losses: (n,) 0 or 1 (right or wrong), or any loss that is not negative.
        confidence: (n,) how sure the classifier is, such as max(p, 1 − p).

    Raises:
        DataError: sizes differ, no sample, or a value that is not finite or a negative loss.
    """
    loss, sure = np.asarray(losses, np.float64), np.asarray(confidence, np.float64)
    if loss.ndim != 1 or loss.shape != sure.shape or not loss.size:
        raise DataError(f"{loss.shape} losses and {sure.shape} confidences: need one of each a sample")
    if not (np.isfinite(loss).all() and np.isfinite(sure).all() and (loss >= 0).all()):
        raise DataError("losses must be finite and not negative, confidences finite")
    order = np.argsort(-sure, kind="stable")
    last_of_ties = np.append(np.diff(sure[order]) != 0, True)
    answered = np.flatnonzero(last_of_ties) + 1
    risk = np.cumsum(loss[order])[last_of_ties] / answered
    area = float(np.sum(risk * np.diff(answered, prepend=0)) / len(loss))
    return RiskCoverage(sure[order][last_of_ties], answered / len(loss), risk, area)
