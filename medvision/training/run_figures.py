"""The pictures on a run's page: how good the model is, and where it looked. None of them names a patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import torch

from medvision.evaluation.classification_plot import classification_figure
from medvision.evaluation.multiclass import confusion
from medvision.evaluation.multiclass_plot import classes_figure, confusion_figure
from medvision.models.classifier import NODULE, NoduleClassifier
from medvision.models.patch_classifier import PatchClassifier
from medvision.models.patch_ensemble import PatchEnsemble
from medvision.models.picture_classifier import PictureClassifier
from medvision.tracking import Run
from medvision.training.candidates import SeriesCandidates
from medvision.training.classification_record import OutOfFold, result_of
from medvision.training.finetuning.record import Judged
from medvision.training.learning_cohort import LearningCohort
from medvision.training.picture_sets import PictureSet
from medvision.training.sample_figures import (
    EACH,
    Sample,
    candidate_sample,
    patch_sample,
    picture_sample,
    samples_figure,
    surest,
)
from medvision.training.validation import second_look_logits

FOLDER = "evaluation"
"""Of the run's files."""


def log_patch_figures(
    run: Run, result: OutOfFold, network: PatchClassifier | PatchEnsemble, cohort: LearningCohort
) -> None:
    """Out of fold: ROC, reliability and confusion; samples with the heat map of the network that was kept."""
    if run.run_id is None:
        return
    target, positive = result.found.targets, result.probability
    both = np.stack([1 - positive, positive], axis=1)
    run.log_figure(classification_figure(target, positive, result_of(result)), f"{FOLDER}/classification.png")
    matrix = confusion(target, both)
    run.log_figure(confusion_figure(matrix, ("negative", "positive")), f"{FOLDER}/confusion.png")
    member = cast(PatchClassifier, network.members[0]) if isinstance(network, PatchEnsemble) else network
    samples = []
    for one in surest(target, both):
        title = f"{'positive' if target[one] else 'negative'}, p {positive[one]:.2f}"
        samples.append(patch_sample(member, cohort.patches[one], title))
    run.log_figure(samples_figure(samples), f"{FOLDER}/samples.png")


def log_picture_figures(
    run: Run, judged: Mapping[str, Judged], network: PictureClassifier, pictures: PictureSet
) -> None:
    """Of each held-out part: ROC, reliability, confusion where classes exclude each other, and samples."""
    if run.run_id is None:
        return
    for part, one in judged.items():
        figure = classes_figure(one.targets, one.probabilities, pictures.classes)
        run.log_figure(figure, f"{FOLDER}/{part}_classification.png")
        if one.targets.ndim > 1:
            continue
        matrix = confusion(one.targets, one.probabilities)
        run.log_figure(confusion_figure(matrix, pictures.classes), f"{FOLDER}/{part}_confusion.png")
        samples = _picture_samples(part, one, network, pictures)
        run.log_figure(samples_figure(samples), f"{FOLDER}/{part}_samples.png")


def _picture_samples(
    part: str, judged: Judged, network: PictureClassifier, pictures: PictureSet
) -> list[Sample]:
    chosen = surest(judged.targets, judged.probabilities)
    images, _ = pictures.parts[part].take(torch.tensor(chosen))
    said = judged.probabilities[chosen].argmax(axis=1)
    samples = []
    for image, one, best in zip(images, chosen, said.tolist(), strict=True):
        truth, answer = pictures.classes[judged.targets[one]], pictures.classes[best]
        title = f"{truth}:\n{answer} {judged.probabilities[one, best]:.2f}"
        samples.append(picture_sample(network, image, best, title))
    return samples


def log_candidate_figures(run: Run, network: NoduleClassifier, held_out: Sequence[SeriesCandidates]) -> None:
    """The second look on validation patients: its surest lookalikes, then its surest nodules."""
    if run.run_id is None:
        return
    views = np.concatenate([one.views for one in held_out])
    is_nodule = np.concatenate([one.is_nodule for one in held_out])
    logits = np.concatenate([second_look_logits(network, one)[:, NODULE] for one in held_out])
    order = np.argsort(-logits, kind="stable")
    chosen = [number for kind in (~is_nodule, is_nodule) for number in order[kind[order]][:EACH]]
    names = ["nodule" if is_nodule[one] else "lookalike" for one in chosen]
    samples = [
        candidate_sample(network, views[one], f"{name}, {logits[one]:+.1f}")
        for one, name in zip(chosen, names, strict=True)
    ]
    if samples:
        run.log_figure(samples_figure(samples), f"{FOLDER}/samples.png")
