"""One probability from both stages: logistic regression on their logits.

Stacking: Wolpert, "Stacked generalization", Neural Networks 5 (1992).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from medvision.models.directory import Fusion

RIDGE = 1.0
"""Pull towards "both stages alike": few validation candidates must not decide everything."""

CLIP = 1e-5
Values = NDArray[np.float64]


def logit(probability: Values) -> Values:
    """log(p / (1 − p)), with p kept away from 0 and 1."""
    clipped = np.clip(probability, CLIP, 1 - CLIP)
    return np.asarray(np.log(clipped / (1 - clipped)))


def fuse(fusion: Fusion, proposal: Values, second_look_logit: Values) -> Values:
    """Probability that each candidate is a nodule.

    Args:
        fusion: the weights.
        proposal: (N,) probabilities of stage one.
        second_look_logit: (N,) logits of stage two.
    """
    score = fusion.intercept + fusion.proposal * logit(proposal) + fusion.second_look * second_look_logit
    return np.asarray(expit(score))


def fit_fusion(proposal: Values, second_look_logit: Values, is_nodule: NDArray[np.bool_]) -> Fusion:
    """Fit the weights on candidates that neither stage has learnt from; weights are never negative.

    With candidates of one kind only there is nothing to fit: both stages count alike.
    """
    if is_nodule.all() or not is_nodule.any():
        return Fusion(intercept=0.0, proposal=0.5, second_look=0.5)
    inputs = np.stack([np.ones_like(proposal), logit(proposal), second_look_logit], axis=1)
    sign = np.where(is_nodule, 1.0, -1.0)

    def loss(weights: Values) -> float:
        pull = RIDGE * float(((weights[1:] - 0.5) ** 2).sum())
        return float(np.logaddexp(0, -sign * (inputs @ weights)).sum()) + pull

    bounds = [(None, None), (0, None), (0, None)]
    intercept, first, second = minimize(loss, np.array([0.0, 0.5, 0.5]), bounds=bounds, method="L-BFGS-B").x
    return Fusion(intercept=float(intercept), proposal=float(first), second_look=float(second))
