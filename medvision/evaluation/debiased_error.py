"""Calibration error without what few samples add to it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from medvision.errors import DataError
from medvision.evaluation.classification import checked_binary
from medvision.evaluation.reliability import GROUPS


def debiased_calibration_error(targets: ArrayLike, probabilities: ArrayLike, groups: int = GROUPS) -> float:
    """Root mean square distance of confidence and truth over groups of about equal size.

    The fraction of positives in a group scatters by itself; its variance is subtracted from the squared
    distance, so that probabilities that are exactly true have an expected square of 0, however few they are.
    A single estimate scatters all the same. Source: Kumar, Liang and Ma, "Verified uncertainty calibration",
    NeurIPS 2019 (arXiv:1909.10155); groups of equal size as Roelofs et al., AISTATS 2022, advise.

    Args:
        targets: (n,) 0 or 1.
        probabilities: (n,) in [0, 1].
        groups: how many; fewer where there are fewer than two samples a group.

    Returns:
        0 or above; a square below 0 counts as 0.

    Raises:
        DataError: sizes differ, values out of range, or fewer than two samples.
    """
    target, probability = checked_binary(targets, probabilities, both_classes=False)
    if len(target) < 2:
        raise DataError(f"a calibration error without bias needs 2 samples or more, not {len(target)}")
    order = np.argsort(probability, kind="stable")
    square = 0.0
    for part in np.array_split(order, min(groups, len(target) // 2)):
        fraction = target[part].mean()
        chance = fraction * (1 - fraction) / (len(part) - 1)
        square += len(part) / len(target) * ((probability[part].mean() - fraction) ** 2 - chance)
    return float(np.sqrt(max(square, 0.0)))
