"""What fine-tuning on patches learns from: looks, made once; if only the last stage learns, encoded once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from medvision.config.classification import ClassifyPatchesConfig
from medvision.datasets.patches import PatchRecord
from medvision.models.patch_classifier import PatchClassifier
from medvision.training.finetuning.network import EncodedClassifier, LastStageClassifier
from medvision.training.learning_cohort import LearningCohort
from medvision.training.patch_looks import OFF_CENTRE_VOX, Look, look_at
from medvision.training.patch_source import PatchSource
from medvision.training.patch_targets import PatchTargets


@dataclass(frozen=True, slots=True)
class LookedPatches:
    """What fine-tuning learns from.

    Attributes:
        start: the network before any label was seen.
        images: (copies, N, …) what it takes; the first copy is the unchanged patch.
        off_centre: (N, …) with the centres moved.
        labels: what is learnt.
        records: the patches; a target of -1 is neither class.
        unlabelled: (M, …) what it takes of patches without labels; None where there are none.
    """

    start: EncodedClassifier
    images: Tensor
    off_centre: Tensor
    labels: PatchTargets
    records: Sequence[PatchRecord]
    unlabelled: Tensor | None = None


def look_to_learn(
    config: ClassifyPatchesConfig,
    network: PatchClassifier,
    cohort: LearningCohort,
    unlabelled: PatchSource | None,
    folder: Path,
) -> LookedPatches:
    """Look at all patches.

    Args:
        config: which weights learn, and how patches are looked at.
        network: with its initial weights; not changed.
        cohort: the patches.
        unlabelled: patches without labels.
        folder: for what does not fit into memory.
    """
    settings, seed = config.training, config.seed
    kind = LastStageClassifier if settings.train == "top" else EncodedClassifier
    start = kind(copy.deepcopy(network.encoder), 1, settings.dropout).eval()

    def looks(patches: PatchSource, look: Look, name: str) -> Tensor:
        return look_at(network, patches, look, folder / name, lambda batch: _kept(start, batch))

    look = Look(settings.copies, settings.shift_vox, config.augmentation, seed)
    semi = unlabelled if config.semi_supervised.weight else None
    return LookedPatches(
        start,
        looks(cohort.patches, look, "looks"),
        looks(cohort.patches, Look(2, OFF_CENTRE_VOX, seed=seed + 1), "off_centre")[1],
        cohort.labels,
        cohort.records,
        looks(semi, Look(1, 0), "unlabelled")[0] if semi else None,
    )


def _kept(start: EncodedClassifier, batch: Tensor) -> Tensor:
    if isinstance(start, LastStageClassifier):
        with torch.inference_mode():
            return start.pack(batch)
    return batch.half()
