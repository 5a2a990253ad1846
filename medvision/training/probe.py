"""A linear probe: what frozen features can tell, with as few choices as possible.

Ridge regression on standardised features; its penalty is chosen by the training patients alone, in folds that
keep a patient together, and so is the logistic curve that turns its score into a probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Values = NDArray[np.float64]

PENALTIES = (10.0, 100.0, 1e3, 1e4, 1e5)
"""Ridge penalties that are tried."""
INNER_FOLDS = 5


@dataclass(frozen=True, slots=True)
class Probe:
    """A linear logit of raw features.

    Attributes:
        weight: (F,).
        bias: of the logit.
        penalty: that was chosen.
        held_out: (N,) probability of each labelled sample by probes that did not learn from its patient.
        held_out_targets: (N,) their classes.
    """

    weight: Values
    bias: float
    penalty: float
    held_out: Values
    held_out_targets: NDArray[np.bool_]

    def probability(self, features: Values) -> Values:
        """(N, F) → (N,) probability of the positive class."""
        return np.asarray(expit(features @ self.weight + self.bias), np.float64)


def fit_probe(features: Values, scores: Values, targets: NDArray[np.int64], patients: Sequence[str]) -> Probe:
    """Fit on training samples.

    Args:
        features: (N, F).
        scores: (N,) what is regressed on: a reader's rating, or 0 and 1.
        targets: (N,) the class, 1 or 0, for the logistic curve; -1 for samples that are neither.
        patients: whose each sample is; at least two.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # small matrices: threads cost eight times what they gain
        return _fit(features, scores, targets, patients)


def _fit(features: Values, scores: Values, targets: NDArray[np.int64], patients: Sequence[str]) -> Probe:
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = GroupKFold(min(INNER_FOLDS, len(set(patients))), shuffle=True, random_state=0)
    splits = list(folds.split(features, groups=patients))
    model = make_pipeline(StandardScaler(), Ridge())
    search = GridSearchCV(model, {"ridge__alpha": PENALTIES}, cv=splits, scoring="neg_mean_squared_error")
    best = search.fit(features, scores).best_estimator_
    labelled = targets >= 0
    held_out = cross_val_predict(best, features, scores, cv=splits)[labelled]
    curve = LogisticRegression(C=1e3).fit(held_out[:, None], targets[labelled])
    slope, intercept = max(float(curve.coef_[0, 0]), 0.0), float(curve.intercept_[0])
    scaler, ridge = best[0], best[1]
    weight = ridge.coef_ / scaler.scale_
    bias = float(ridge.intercept_ - scaler.mean_ @ weight)
    return Probe(
        slope * weight,
        slope * bias + intercept,
        float(ridge.alpha),
        np.asarray(expit(slope * held_out + intercept), np.float64),
        targets[labelled] == 1,
    )
