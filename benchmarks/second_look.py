"""Stage one alone, and with a second look from ImageNet and from random weights, on patients not learnt from.

Needs a trained model and its cohorts: `make demo` leaves them in demo/. Both second looks are trained on the
same candidates with the same settings, frozen blocks too; only the initial weights differ. Intervals:
bootstrap over patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.special import expit

from medvision.cli.console import set_verbosity
from medvision.config.base import load_config
from medvision.config.detection import DetectionConfig
from medvision.config.second_look import SecondLookConfig
from medvision.datasets.cohort import open_cohort
from medvision.datasets.splits import split_by_patient
from medvision.evaluation.classification import evaluate_classification
from medvision.evaluation.froc import FrocResult
from medvision.models.classifier import NODULE, NoduleClassifier
from medvision.models.detector import load_detector
from medvision.training.candidates import SeriesCandidates, find_candidates, second_look_samples
from medvision.training.second_look import train_second_look
from medvision.training.validation import (
    measure_proposals,
    measure_two_stage,
    second_look_logits,
    validate,
)
from medvision.training.volumes import prepare

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "demo"
SEEDS = (0, 1, 2)


def main(demo: Path = DEMO) -> None:
    """Print one row a variant and seed."""
    if not (demo / "model" / "model.yaml").is_file():
        print(f"no model in {demo}: run `make demo` first")
        return
    set_verbosity(-1)
    config = load_config(ROOT / "configs" / "detect_lite.yaml", DetectionConfig)
    learnt, held_out, unseen = _candidates(demo, config)
    print("| second look | seed | candidate AUC (95 %) | CPM (95 %) |\n| --- | ---: | --- | --- |")
    print(f"| none (stage one alone) | | | {_cpm(measure_proposals(unseen, 0))} |", flush=True)
    for weights in ("imagenet", "random"):
        settings = config.second_look.model_copy(update={"weights": weights})
        for seed in SEEDS:
            print(_row(settings, seed, learnt, held_out, unseen), flush=True)


def _candidates(demo: Path, config: DetectionConfig) -> list[list[SeriesCandidates]]:
    """What the demo's stage one proposes on its training, validation and unseen patients."""
    network, card = load_detector(demo / "model")
    config = config.model_copy(update={"proposals": card.proposals, "candidates": card.candidates})
    parts = split_by_patient(open_cohort(demo / "cohort"), config.data.validation_fraction, config.seed)
    read = [prepare(part, config.proposals.voxel_mm, 2) for part in (*parts, open_cohort(demo / "unseen"))]
    return [
        find_candidates(network.proposals, volumes, config, learning=number == 0)
        for number, volumes in enumerate(read)
    ]


def _row(
    settings: SecondLookConfig,
    seed: int,
    learnt: Sequence[SeriesCandidates],
    held_out: Sequence[SeriesCandidates],
    unseen: Sequence[SeriesCandidates],
) -> str:
    network, _ = train_second_look(
        second_look_samples(learnt), second_look_samples(held_out), settings, seed=seed
    )
    result = measure_two_stage(network, validate(network, held_out, seed).fusion, unseen, seed)
    return f"| {settings.weights} | {seed} | {_auc(network, unseen)} | {_cpm(result)} |"


def _auc(network: NoduleClassifier, found: Sequence[SeriesCandidates]) -> str:
    samples = second_look_samples(found)
    logits = np.concatenate([second_look_logits(network, one) for one in found])[:, NODULE]
    result = evaluate_classification(samples.is_nodule, expit(logits), samples.patient_ids)
    return f"{result.auc:.3f} ({result.auc_ci[0]:.3f} to {result.auc_ci[1]:.3f})"


def _cpm(result: FrocResult) -> str:
    _, lower, upper = result.cpm_interval or (result.cpm,) * 3
    return f"{result.cpm:.3f} ({lower:.3f} to {upper:.3f})"
