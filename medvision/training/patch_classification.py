"""Train a patch classifier: cross-validate the recipe, then learn from all patients."""

from __future__ import annotations

import copy
import math
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from medvision.config.base import config_sha256
from medvision.config.classification import ClassifyPatchesConfig
from medvision.datasets.patches import PatchSet, read_patches
from medvision.models.card_calibration import CardCalibration
from medvision.models.classifier_card import CardConformal, ClassifierCard, LearntFrom
from medvision.models.directory import save_model
from medvision.models.leakage import hash_all, key_id, training_key
from medvision.models.patch_classifier import PatchClassifier
from medvision.models.patch_ensemble import PatchEnsemble
from medvision.models.published import licence_of
from medvision.tracking import Run
from medvision.training.choice import Candidate, choose_out_of_fold, each_choice, fit_best
from medvision.training.classification_record import OutOfFold, judge, write_record
from medvision.training.cross_validation import (
    JudgedOutOfFold,
    LabelledFeatures,
    judge_on,
)
from medvision.training.finetuning.contrastive import pretrain
from medvision.training.finetuning.network import EncodedClassifier
from medvision.training.judgement import Judgement
from medvision.training.learning_cohort import LearningCohort, read_unlabelled
from medvision.training.patch_features import look_features
from medvision.training.patch_fine_tuning import fine_tune_on, fine_tune_out_of_fold
from medvision.training.patch_looks import OFF_CENTRE_VOX, Look, look_at
from medvision.training.patch_samples import look_to_learn
from medvision.training.patch_source import PatchSource
from medvision.training.result import TrainResult
from medvision.training.run_figures import log_patch_figures
from medvision.training.run_words import log_folds, log_patches
from medvision.training.tracked_run import keep_model, remove_work, run_name, tracked, work_folder


def train(config: ClassifyPatchesConfig, *, resume: bool = False) -> TrainResult:
    """Cross-validate, then train on everything and write a model directory with `oof.csv` and `metrics.json`.

    Args:
        config: everything the result depends on.
        resume: go on after an interruption: in the same run, behind the folds that were fine-tuned.

    Raises:
        OutputError: the model directory cannot be written.
        DataError: a manifest or patches that cannot be used, one class only, or fewer patients than folds.
        ModelError: the initial weights cannot be used.
        ConfigError: a backbone or a condition that is not known.
    """
    data = config.data
    found = read_patches(
        data.manifest,
        label=data.label,
        positive=data.positive,
        negative=data.negative,
        keep_unsure=config.training.unsure,
    )
    cohort = LearningCohort.of(found, config)
    unlabelled = read_unlabelled(data.unlabelled, found) if data.unlabelled else None
    work = work_folder(config)
    networks = [_initialised(one) for one in each_choice(config)]
    with tracked(config, work, resume=resume) as run:
        log_patches(run, config, found)
        metrics = _train(config, networks, cohort, unlabelled, run, resume=resume)
        run.log_metrics({f"cv/{name}": value for name, value in metrics.items()})
        version = keep_model(run, config)
    remove_work(config)
    return TrainResult(config.output, run.run_id, version, metrics)


def _train(
    config: ClassifyPatchesConfig,
    networks: Sequence[PatchClassifier],
    cohort: LearningCohort,
    unlabelled: PatchSource | None,
    run: Run,
    *,
    resume: bool,
) -> dict[str, float]:
    """Judge the recipe, fit it on everything, write it all."""
    network = networks[0]
    if unlabelled and config.self_supervised.epochs:
        looks = look_at(network, unlabelled, Look(1, 0))[0]
        pretrain(network.encoder, looks, config.self_supervised, config.seed)
    if config.training.train == "frozen":
        judged, learnt = _probe(config, networks, cohort)
    else:
        judged, learnt = _fine_tune(config, network, cohort, unlabelled, run, resume=resume)
    result = OutOfFold(cohort.found, cohort.fold_of, judged)
    metrics = judge(result)
    log_folds(run, run_name(config), result)
    write_record(config.output, result)
    save_model(config.output, _card(config, cohort.found, metrics, run.run_id, learnt), learnt.network)
    log_patch_figures(run, result, learnt.network, cohort)
    return metrics


@dataclass(frozen=True, slots=True)
class _Learnt:
    """What learnt from everything; `config` names the backbone and the cube that it looks with."""

    config: ClassifyPatchesConfig
    network: PatchClassifier | PatchEnsemble
    members: int
    judgement: Judgement | None


def _initialised(config: ClassifyPatchesConfig) -> PatchClassifier:
    torch.manual_seed(config.seed)
    return PatchClassifier.initialised(config.model, config.data.crop_vox)


def _probe(
    config: ClassifyPatchesConfig, networks: Sequence[PatchClassifier], cohort: LearningCohort
) -> tuple[JudgedOutOfFold, _Learnt]:
    """Judged out of fold; the best network gets the head fitted on everything."""
    choices = zip(each_choice(config), networks, strict=True)
    candidates = [_candidate(one, network, cohort) for one, network in choices]
    judged = choose_out_of_fold(candidates, cohort.fold_of)
    best, probe = fit_best(candidates, np.arange(len(cohort.records)))
    network = networks[candidates.index(best)]
    network.set_head(torch.from_numpy(probe.weight).float(), probe.bias)
    judgement = judge_on(probe, config.training.copies, config.judgement)
    return judged, _Learnt(best.config, network, 1, judgement)


def _candidate(config: ClassifyPatchesConfig, network: PatchClassifier, cohort: LearningCohort) -> Candidate:
    settings, seed = config.training, config.seed
    look = Look(settings.copies, settings.shift_vox, config.augmentation, seed)
    features = look_features(network, cohort.patches, look)
    off_centre = look_features(network, cohort.patches, Look(2, OFF_CENTRE_VOX, seed=seed + 1))[1]
    samples = LabelledFeatures(features, cohort.labels, cohort.targets, cohort.patients)
    return Candidate(config, samples, off_centre)


def _fine_tune(
    config: ClassifyPatchesConfig,
    network: PatchClassifier,
    cohort: LearningCohort,
    unlabelled: PatchSource | None,
    run: Run,
    *,
    resume: bool,
) -> tuple[JudgedOutOfFold, _Learnt]:
    """The same by fine-tuning; the networks are those that learnt from everything."""
    kept, everyone = work_folder(config), np.arange(len(cohort.records))
    with TemporaryDirectory(dir=kept) as work:
        samples = look_to_learn(config, network, cohort, unlabelled, Path(work))
        judged = fine_tune_out_of_fold(samples, cohort.fold_of, config, kept, resume=resume)
        tuned = fine_tune_on(samples, everyone, config, Path(work), run.lightning_logger())
    members = [_with_weights(network, one) for one in tuned.networks]
    together = PatchEnsemble(members) if len(members) > 1 else members[0]
    return judged, _Learnt(config, together.eval(), len(members), tuned.judgement)


def _with_weights(network: PatchClassifier, tuned: EncodedClassifier) -> PatchClassifier:
    """A network that looks the same way and has learnt."""
    member = copy.deepcopy(network)
    member.encoder = tuned.encoder
    member.encoder.checkpointing = False
    member.set_head(tuned.head.weight[0], tuned.head.bias.item())
    return member


def _card(
    config: ClassifyPatchesConfig,
    found: PatchSet,
    metrics: dict[str, float],
    run_id: str | None,
    learnt: _Learnt,
) -> ClassifierCard:
    return ClassifierCard(
        name=config.name,
        version=config_sha256(config)[:12],
        task=config.task,
        metrics=metrics,
        licence=licence_of(learnt.config.model.backbone, config.model.weights),
        model=learnt.config.model,
        crop_vox=learnt.config.data.crop_vox,
        adapter_width=config.training.adapter_width if config.training.train == "adapter" else 0,
        members=learnt.members,
        calibration=_card_calibration(config, learnt.judgement),
        conformal=_card_conformal(learnt.judgement),
        training=_learnt_from(config, found, run_id),
    )


def _card_calibration(config: ClassifyPatchesConfig, judgement: Judgement | None) -> CardCalibration | None:
    if judgement is None or judgement.calibration is None or config.judgement.calibration == "platt":
        return None  # Platt's line is a part of the head
    numbers = asdict(judgement.calibration)  # type: ignore[call-overload]  # each calibration is a dataclass
    return CardCalibration(method=config.judgement.calibration, numbers=numbers)


def _card_conformal(judgement: Judgement | None) -> CardConformal | None:
    if judgement is None:
        return None
    negative, positive = (
        score if math.isfinite(score) else None for score in judgement.conformal.largest_score
    )
    return CardConformal(alpha=judgement.conformal.alpha, largest_score=(negative, positive))


def _learnt_from(config: ClassifyPatchesConfig, found: PatchSet, run_id: str | None) -> LearntFrom:
    salt, key = secrets.token_hex(16), training_key()
    return LearntFrom(
        salt=salt,
        key_id=key_id(key),
        patient_hashes=hash_all(salt, found.patients, key),
        series_hashes=(),
        patches=len(found.records),
        positive=int(found.targets.sum()),
        patients=len(set(found.patients)),
        label=found.label,
        config_sha256=config_sha256(config),
        run_id=run_id,
    )
