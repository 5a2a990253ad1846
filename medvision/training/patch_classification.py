"""Train a patch classifier: cross-validate the recipe, then learn from all patients."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medvision.config.base import config_sha256
from medvision.config.classification import ClassifyPatchesConfig
from medvision.datasets.patches import PatchSet, read_patches
from medvision.datasets.splits import folds_by_patient
from medvision.errors import DataError
from medvision.files import make_folder
from medvision.models.classifier_card import ClassifierCard, LearntFrom
from medvision.models.directory import save_model
from medvision.models.leakage import hash_all, key_id, read_key
from medvision.models.patch_classifier import PatchClassifier
from medvision.models.published import licence_of
from medvision.preprocessing.patch_views import check_patches
from medvision.progress import track
from medvision.tracking import Run, start_run
from medvision.training.classification_record import OutOfFold, judge, write_record
from medvision.training.cross_validation import LabelledFeatures, fit_on, predict_out_of_fold
from medvision.training.patch_features import shifted_features
from medvision.training.patch_fine_tuning import Values, fine_tune_on, fine_tune_out_of_fold, look_at
from medvision.training.result import TrainResult

logger = logging.getLogger(__name__)

OFF_CENTRE_VOX = 3
"""The AUC is also told for centres that are off by up to this much, as a detector's are."""


def train(config: ClassifyPatchesConfig) -> TrainResult:
    """Cross-validate, then train on everything and write a model directory with `oof.csv` and `metrics.json`.

    Raises:
        OutputError: the model directory cannot be written.
        DataError: a manifest or patches that cannot be used, one class only, or fewer patients than folds.
        ModelError: the initial weights cannot be used.
        ConfigError: a backbone or a condition that is not known.
    """
    data = config.data
    found = read_patches(data.manifest, label=data.label, positive=data.positive, negative=data.negative)
    fold_of = _deal(found, config)
    patches = _load(found)
    make_folder(config.output)
    torch.manual_seed(config.seed)
    network = PatchClassifier.initialised(config.model, data.crop_vox)
    settings = config.model_dump(mode="json", exclude={"tracking"})
    with start_run(config.tracking, name=config.name, params=settings, tags={"task": config.task}) as run:
        metrics = _train(config, network, found, patches, fold_of, run)
        run.log_metrics({f"cv/{name}": value for name, value in metrics.items()})
        run.log_folder(config.output, "model")
        version = run.register("model", config.tracking.register_as) if config.tracking.register_as else None
    return TrainResult(config.output, run.run_id, version, metrics)


def _train(
    config: ClassifyPatchesConfig,
    network: PatchClassifier,
    found: PatchSet,
    patches: Sequence[Tensor],
    fold_of: NDArray[np.int64],
    run: Run,
) -> dict[str, float]:
    """Judge the recipe, fit it on everything, write it all."""
    learn = _probe if config.training.train == "frozen" else _fine_tune
    centred, shifted = learn(config, network, found, patches, fold_of)
    result = OutOfFold(found, fold_of, centred, shifted)
    metrics = judge(result)
    write_record(config.output, result)
    save_model(config.output, _card(config, found, metrics, run.run_id), network)
    return metrics


def _probe(
    config: ClassifyPatchesConfig,
    network: PatchClassifier,
    found: PatchSet,
    patches: Sequence[Tensor],
    fold_of: NDArray[np.int64],
) -> tuple[Values, Values]:
    """Probabilities out of fold, centred and off centre; the network gets the head fitted on everything."""
    settings, seed = config.training, config.seed
    features = shifted_features(network, patches, settings.copies, settings.shift_vox, seed)
    off_centre = shifted_features(network, patches, 2, OFF_CENTRE_VOX, seed + 1)[1]
    samples = LabelledFeatures(features, _scores(found, config), found.targets == 1, found.patients)
    centred, shifted = predict_out_of_fold(samples, fold_of, [features[0], off_centre])
    probe = fit_on(samples, np.arange(len(patches)))
    network.set_head(torch.from_numpy(probe.weight).float(), probe.bias)
    return centred, shifted


def _fine_tune(
    config: ClassifyPatchesConfig,
    network: PatchClassifier,
    found: PatchSet,
    patches: Sequence[Tensor],
    fold_of: NDArray[np.int64],
) -> tuple[Values, Values]:
    """The same by fine-tuning; the network becomes the one that learnt from everything."""
    settings, seed, scores = config.training, config.seed, _scores(found, config)
    samples = look_at(
        network, patches, found.records, scores, settings, off_centre_vox=OFF_CENTRE_VOX, seed=seed
    )
    centred, shifted = fine_tune_out_of_fold(samples, fold_of, settings, config.output, seed=seed)
    with TemporaryDirectory(dir=config.output) as work:
        tuned = fine_tune_on(samples, np.arange(len(patches)), settings, Path(work), seed=seed)
    network.encoder = tuned.encoder
    network.set_head(tuned.head.weight[0], tuned.head.bias.item())
    return centred, shifted


def _deal(found: PatchSet, config: ClassifyPatchesConfig) -> NDArray[np.int64]:
    """Fold of each patch.

    Raises:
        DataError: one class only, or a fold that would leave one class to learn from.
    """
    positive = int(found.targets.sum())
    if not 0 < positive < len(found.targets):
        raise DataError(
            f"{found.manifest}: {positive} of {len(found.targets)} patches are positive; both classes are "
            f"needed: check data.positive and data.negative"
        )
    folds = folds_by_patient(found.records, config.cv.folds, config.cv.seed, stratify=found.targets.tolist())
    number = {record.path: fold for fold, part in enumerate(folds) for record in part}
    return np.array([number[record.path] for record in found.records], np.int64)


def _load(found: PatchSet) -> list[Tensor]:
    patches = [torch.from_numpy(record.load()) for record in track(found.records, "read patches")]
    check_patches(found.manifest, patches)
    return patches


def _scores(found: PatchSet, config: ClassifyPatchesConfig) -> NDArray[np.float64]:
    """What the probe regresses on: the label where it is a number, else the class."""
    if config.training.targets == "ordinal":
        try:
            return np.array([float(record.columns[found.label]) for record in found.records])
        except ValueError:
            logger.info("column %s is not numeric: the two classes are learnt", found.label)
    return found.targets.astype(np.float64)


def _card(
    config: ClassifyPatchesConfig, found: PatchSet, metrics: dict[str, float], run_id: str | None
) -> ClassifierCard:
    return ClassifierCard(
        name=config.name,
        version=config_sha256(config)[:12],
        task=config.task,
        metrics=metrics,
        licence=licence_of(config.model.backbone, config.model.weights),
        model=config.model,
        crop_vox=config.data.crop_vox,
        adapter_width=config.training.adapter_width if config.training.train == "adapter" else 0,
        training=_learnt_from(config, found, run_id),
    )


def _learnt_from(config: ClassifyPatchesConfig, found: PatchSet, run_id: str | None) -> LearntFrom:
    salt, key = secrets.token_hex(16), read_key()
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
