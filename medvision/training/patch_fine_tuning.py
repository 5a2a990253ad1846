"""Fine-tune on patches: a fifth of the training patients chooses the epoch, never a tested one."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from lightning.pytorch.loggers import Logger
from numpy.typing import NDArray
from torch import Tensor

from medvision.config.classification import PatchTrainingConfig
from medvision.datasets.patches import PatchRecord
from medvision.datasets.splits import folds_by_patient
from medvision.models.patch_classifier import PatchClassifier
from medvision.progress import track
from medvision.training.finetuning.loop import FitOptions, fine_tune, predict_logits
from medvision.training.finetuning.network import EncodedClassifier, LastStageClassifier
from medvision.training.finetuning.pictures import Pictures
from medvision.training.patch_features import draw_shifts
from medvision.training.platt import fit_platt, fold_into

INNER_PARTS = 5
"""One of them chooses the epoch."""
BATCH = 32

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LookedPatches:
    """What fine-tuning learns from.

    Attributes:
        start: the network before any patch was seen.
        images: (copies, N, …) what it takes; the first copy is the unchanged patch.
        off_centre: (N, …) with the centres moved.
        scores: (N,) what is learnt: a reader's rating, or 0 and 1.
        records: the patches.
    """

    start: EncodedClassifier
    images: Tensor
    off_centre: Tensor
    scores: Values
    records: Sequence[PatchRecord]


def look_at(
    network: PatchClassifier,
    patches: Sequence[Tensor],
    records: Sequence[PatchRecord],
    scores: Values,
    settings: PatchTrainingConfig,
    *,
    off_centre_vox: int,
    seed: int,
) -> LookedPatches:
    """Crop and resize once, and where only the last stage learns, run the stages below it once.

    Args:
        network: with its initial weights; not changed.
        patches: (D, H, W) each, in 0..1.
        records: of the patches.
        scores: (N,) what is learnt.
        settings: which weights learn, and how often a patch is looked at.
        off_centre_vox: how far centres are moved for `off_centre`.
        seed: of the moves.
    """
    kind = LastStageClassifier if settings.train == "top" else EncodedClassifier
    start = kind(copy.deepcopy(network.encoder), 1, settings.dropout).eval()
    shifts = draw_shifts(settings.copies, len(patches), settings.shift_vox, seed)
    moved = draw_shifts(2, len(patches), off_centre_vox, seed + 1)[1:]
    seen = torch.cat(list(_looked(network, start, patches, torch.cat([shifts, moved]))))
    images = seen.view(settings.copies + 1, len(patches), *seen.shape[1:])
    return LookedPatches(start, images[:-1], images[-1], scores, records)


def _looked(
    network: PatchClassifier, start: EncodedClassifier, patches: Sequence[Tensor], shifts: Tensor
) -> Iterator[Tensor]:
    work = [(copy_, number) for copy_ in range(len(shifts)) for number in range(len(patches))]
    for first in track(range(0, len(work), BATCH), "look at patches"):
        batch = work[first : first + BATCH]
        seen = torch.cat(
            [network.look(patches[number][None], shifts[at, number][None]) for at, number in batch]
        )
        with torch.inference_mode():
            yield start.pack(seen) if isinstance(start, LastStageClassifier) else seen.half()


def fine_tune_on(
    samples: LookedPatches,
    chosen: NDArray[np.intp],
    settings: PatchTrainingConfig,
    work: Path,
    *,
    seed: int,
    logger: Logger | None = None,
) -> EncodedClassifier:
    """Fine-tune a copy of the network on chosen patches; its logit is that of the positive class.

    Probabilities are recalibrated on the patients that chose the epoch, where these are enough (`fit_platt`).

    Args:
        samples: all patches.
        chosen: numbers of those to learn from.
        settings: which weights learn, how fast, how long.
        work: folder for checkpoints, one a call.
        seed: of the order, and of who chooses the epoch.
        logger: where Lightning logs.

    Raises:
        DataError: fewer patients than five.
    """
    known, judging = _part(samples, chosen, seed)
    network = copy.deepcopy(samples.start)
    parts = {"train": _pictures(samples, known, known), "val": _pictures(samples, judging, known, copies=1)}
    tuning = settings.fine_tuning()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fine_tune(network, parts, tuning, None, work, FitOptions(seed, logger))
    logits = predict_logits(network, parts["val"], settings.batch_size)[:, 0]
    classes = torch.tensor([samples.records[number].target == 1 for number in judging])
    if (line := fit_platt(logits, classes)) is not None:
        fold_into(network.head, 0, *line)
    return network


def fine_tune_out_of_fold(
    samples: LookedPatches,
    fold_of: NDArray[np.int64],
    settings: PatchTrainingConfig,
    folder: Path,
    *,
    seed: int,
) -> tuple[Values, Values]:
    """(N,) probability of each patch by the network that did not learn from its fold; and off centre.

    Raises:
        DataError: fewer patients than five to learn from.
    """
    centred, shifted = np.empty(len(fold_of)), np.empty(len(fold_of))
    for fold in track(range(int(fold_of.max()) + 1), "cross-validation"):
        held_out = np.flatnonzero(fold_of == fold)
        with TemporaryDirectory(dir=folder) as work:
            network = fine_tune_on(samples, np.flatnonzero(fold_of != fold), settings, Path(work), seed=seed)
        centred[held_out] = _probability(network, samples.images[0, held_out], settings.batch_size)
        shifted[held_out] = _probability(network, samples.off_centre[held_out], settings.batch_size)
    return centred, shifted


def _part(
    samples: LookedPatches, chosen: NDArray[np.intp], seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Those to learn from, and those that choose the epoch."""
    records = [samples.records[number] for number in chosen]
    parts = folds_by_patient(records, INNER_PARTS, seed, stratify=[record.target for record in records])
    judging = {record.path for record in parts[0]}
    is_judging = np.array([record.path in judging for record in records])
    return chosen[~is_judging], chosen[is_judging]


def _pictures(
    samples: LookedPatches, chosen: NDArray[np.intp], known: NDArray[np.intp], copies: int | None = None
) -> Pictures:
    """Chosen patches with their scores from 0 to 1, which are the extremes among the known ones."""
    images = samples.images[:copies, chosen].flatten(0, 1)
    low, high = samples.scores[known].min(), samples.scores[known].max()
    scaled = ((samples.scores[chosen] - low) / max(high - low, np.finfo(float).tiny)).clip(0, 1)
    targets = torch.from_numpy(scaled).float()[:, None]
    return Pictures(images, targets.repeat(len(images) // len(chosen), 1))


def _probability(network: EncodedClassifier, images: Tensor, batch_size: int) -> Values:
    logits = predict_logits(network, Pictures(images, torch.zeros(len(images), 1)), batch_size)
    return logits[:, 0].double().sigmoid().numpy()
