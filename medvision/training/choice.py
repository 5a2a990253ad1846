"""Which network and which cube to look with, chosen by patients who taught no probe that judges them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.config.classification import ClassifyPatchesConfig
from medvision.evaluation.classification import auc
from medvision.progress import track
from medvision.training.cross_validation import (
    JudgedOutOfFold,
    LabelledFeatures,
    Values,
    fit_on,
    judge_fold,
)
from medvision.training.probe import Probe

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One way to look, and what it sees.

    Attributes:
        config: the training's, with this candidate's backbone and cube.
        samples: features of all patches.
        off_centre: (N, F) features of the same patches with their centres off.
    """

    config: ClassifyPatchesConfig
    samples: LabelledFeatures
    off_centre: Values


def each_choice(config: ClassifyPatchesConfig) -> Iterator[ClassifyPatchesConfig]:
    """The configuration with each backbone and cube that may be chosen; itself where nothing may."""
    for backbone in config.choose.backbones or (config.model.backbone,):
        for crop_vox in config.choose.crops_vox or (config.data.crop_vox,):
            model = config.model.model_copy(update={"backbone": backbone})
            data = config.data.model_copy(update={"crop_vox": crop_vox})
            yield config.model_copy(update={"model": model, "data": data})


def fit_best(candidates: Sequence[Candidate], chosen: NDArray[np.intp]) -> tuple[Candidate, Probe]:
    """Fit each on the chosen patches; the one with the largest AUC in the probe's inner folds.

    Of equals it is the first.
    """
    fitted = [(one, fit_on(one.samples, chosen)) for one in candidates]
    return max(fitted, key=lambda pair: _inner_auc(*pair)) if len(fitted) > 1 else fitted[0]


def choose_out_of_fold(candidates: Sequence[Candidate], fold_of: NDArray[np.int64]) -> JudgedOutOfFold:
    """Judge each patch by what was chosen and fitted without its fold (nested cross-validation).

    Args:
        candidates: one at least, of the same patches.
        fold_of: (N,) fold of each; -1 for patches of patients in no fold.
    """
    judged = JudgedOutOfFold.empty(len(fold_of))
    for fold in track(range(int(fold_of.max()) + 1), "cross-validation"):
        best, probe = fit_best(candidates, np.flatnonzero(fold_of != fold))
        if len(candidates) > 1:
            model, data = best.config.model, best.config.data
            log.info("fold %d: chose %s, cube of %s voxels", fold, model.backbone, data.crop_vox)
        judge_fold(judged, probe, best.samples, best.off_centre, fold_of == fold, best.config.judgement)
    return judged


def _inner_auc(candidate: Candidate, probe: Probe) -> float:
    count = len(probe.held_out) // len(candidate.samples.features)  # moved copies are no samples of their own
    return auc(probe.held_out_targets[:count].astype(np.int64), probe.held_out[:count])
