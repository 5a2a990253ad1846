"""Fine-tune on patches: a fifth of the training patients chooses the epoch, never a tested one."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from lightning.pytorch.loggers import Logger
from numpy.typing import NDArray
from torch import Tensor, nn

from medvision.config.classification import ClassifyPatchesConfig
from medvision.datasets.splits import folds_by_patient
from medvision.progress import track
from medvision.training.cross_validation import JudgedOutOfFold
from medvision.training.finetuning.consistency import Consistency
from medvision.training.finetuning.loop import FitOptions, fine_tune, predict_logits
from medvision.training.finetuning.network import EncodedClassifier
from medvision.training.finetuning.pictures import Pictures
from medvision.training.finetuning.snapshots import Snapshots
from medvision.training.judgement import Judgement, fit_judgement
from medvision.training.patch_samples import LookedPatches
from medvision.training.patch_targets import combine_outputs
from medvision.training.platt import FEWEST, fit_platt, fold_into

INNER_PARTS = 5
"""One of them chooses the epoch."""
MEMBER_STEP = 7919
"""Between the seeds of an ensemble's members."""

Values = NDArray[np.float64]
Numbers = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Tuned:
    """Networks that judge together.

    Attributes:
        networks: one logit each, that of the positive class.
        judgement: fitted on the patients that chose the epoch; None where they are too few.
    """

    networks: Sequence[EncodedClassifier]
    judgement: Judgement | None

    def probabilities(self, images: Tensor, batch_size: int) -> Values:
        """(members, N) before recalibration."""
        pictures = Pictures(images, torch.zeros(len(images), 1))
        logits = [predict_logits(network, pictures, batch_size)[:, 0] for network in self.networks]
        return torch.stack(logits).double().sigmoid().numpy()

    def judge(self, images: Tensor, batch_size: int) -> Values:
        """(N,) recalibrated mean probability."""
        mean: Values = self.probabilities(images, batch_size).mean(axis=0)
        return self.judgement.apply(mean) if self.judgement else mean


def fine_tune_on(
    samples: LookedPatches,
    chosen: Numbers,
    config: ClassifyPatchesConfig,
    work: Path,
    logger: Logger | None = None,
) -> Tuned:
    """Fine-tune copies of the network on chosen patches.

    Args:
        samples: all patches.
        chosen: numbers of those to learn from.
        config: which weights learn, how fast, how long, how many networks.
        work: folder for checkpoints.
        logger: where Lightning logs the first network's curves.

    Raises:
        DataError: fewer patients than five.
    """
    known, judging = _part(samples, chosen, config.seed)
    networks = [
        network
        for member in range(config.training.ensemble)
        for network in _member(
            samples,
            (known, judging),
            config,
            work / str(member),
            config.seed + MEMBER_STEP * member,
            None if member else logger,
        )
    ]
    classes = np.array([samples.records[number].target for number in judging])
    tuned = Tuned(networks, None)
    held_out = tuned.probabilities(samples.images[0, judging[classes >= 0]], config.training.batch_size)
    classes = classes[classes >= 0] == 1
    if len(classes) >= FEWEST and 0 < classes.sum() < len(classes):
        return Tuned(networks, fit_judgement(classes, held_out.mean(axis=0), config.judgement))
    return tuned


def fine_tune_out_of_fold(
    samples: LookedPatches,
    fold_of: NDArray[np.int64],
    config: ClassifyPatchesConfig,
    folder: Path,
    *,
    resume: bool = False,
) -> JudgedOutOfFold:
    """Judge each patch by the networks that did not learn from its fold; fold -1 is no one's.

    Args:
        samples: all patches.
        fold_of: (N,) fold of each.
        config: as `fine_tune_on` takes it.
        folder: for checkpoints, and for what each fold's networks say.
        resume: folds that an interrupted training has judged are not learnt again.

    Raises:
        DataError: fewer patients than five to learn from.
    """
    settings = config.training
    judged = JudgedOutOfFold.empty(len(fold_of), members=settings.ensemble * settings.snapshots)
    for fold in track(range(int(fold_of.max()) + 1), "cross-validation"):
        held_out, said = np.flatnonzero(fold_of == fold), folder / f"fold-{fold}.npz"
        if resume and said.is_file():
            judged.read_fold(said, held_out)
            continue
        with TemporaryDirectory(dir=folder) as work:
            tuned = fine_tune_on(samples, np.flatnonzero(fold_of != fold), config, Path(work))
        centred = samples.images[0, held_out]
        judged.probability[held_out] = tuned.judge(centred, settings.batch_size)
        judged.shifted[held_out] = tuned.judge(samples.off_centre[held_out], settings.batch_size)
        judged.sets[held_out] = _sets(tuned, judged.probability[held_out])
        if judged.spread is not None:
            judged.spread[held_out] = tuned.probabilities(centred, settings.batch_size).std(axis=0)
        judged.write_fold(said, held_out)
    return judged


def _member(
    samples: LookedPatches,
    parts: tuple[Numbers, Numbers],
    config: ClassifyPatchesConfig,
    work: Path,
    seed: int,
    logger: Logger | None,
) -> list[EncodedClassifier]:
    """One fine-tuning: its best epoch, or the network at the end of each cycle."""
    known, judging = parts
    settings, outputs = config.training, samples.labels.main_outputs(known)
    train = _pictures(samples, known, known, len(samples.images))
    network = copy.deepcopy(samples.start)
    snapshots = Snapshots(settings.snapshots) if settings.snapshots > 1 else None
    consistency = None
    if samples.unlabelled is not None and config.semi_supervised.weight:
        consistency = Consistency(samples.unlabelled, config.semi_supervised, settings.batch_size, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network.head = nn.Linear(network.encoder.n_features, train.targets.shape[1])
        options = FitOptions(seed, logger, consistency=consistency, snapshots=snapshots)
        held_out = _pictures(samples, judging, known, 1)
        fine_tune(network, {"train": train, "val": held_out}, settings.fine_tuning(), None, work, options)
    kept: list[EncodedClassifier] = snapshots.networks if snapshots else [network]  # type: ignore[assignment]
    for one in kept:
        one.head = combine_outputs(one.head, outputs)
        _recalibrate(one, samples, judging, settings.batch_size)
    return kept


def _recalibrate(
    network: EncodedClassifier, samples: LookedPatches, judging: Numbers, batch_size: int
) -> None:
    """Make the logit that of the positive class, on the patches that chose the epoch if these are enough."""
    classes = torch.tensor([samples.records[number].target for number in judging])
    images = samples.images[0, judging[(classes >= 0).numpy()]]
    logits = predict_logits(network, Pictures(images, torch.zeros(len(images), 1)), batch_size)[:, 0]
    if (line := fit_platt(logits, classes[classes >= 0] == 1)) is not None:
        fold_into(network.head, 0, *line)


def _part(samples: LookedPatches, chosen: Numbers, seed: int) -> tuple[Numbers, Numbers]:
    """Those to learn from, and those that choose the epoch."""
    records = [samples.records[number] for number in chosen]
    parts = folds_by_patient(records, INNER_PARTS, seed, stratify=[record.target for record in records])
    judging = {record.path for record in parts[0]}
    is_judging = np.array([record.path in judging for record in records])
    return chosen[~is_judging], chosen[is_judging]


def _pictures(samples: LookedPatches, chosen: Numbers, known: Numbers, copies: int) -> Pictures:
    """The first copies of chosen patches with their targets, on scales that the known ones span."""
    count = samples.images.shape[1]
    rows = torch.cat([torch.from_numpy(chosen) + count * number for number in range(copies)])
    targets = samples.labels.soft(chosen, known).repeat(copies, 1)
    return Pictures(samples.images.flatten(0, 1), targets, rows)


def _sets(tuned: Tuned, probability: Values) -> NDArray[np.bool_]:
    """Both classes where nothing says how far the network can be trusted."""
    if tuned.judgement is None:
        return np.ones((len(probability), 2), np.bool_)
    return tuned.judgement.sets(probability)
