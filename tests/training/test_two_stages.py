"""The CPM that chooses the second look's epoch is the one that the finished model will have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medvision.findings import Annotation, Candidate
from medvision.models.classifier import NoduleClassifier
from medvision.training import two_stages
from medvision.training.candidates import SeriesCandidates, second_look_samples
from medvision.training.validation import fused_cpm, second_look_logits, validate
from tests.training.test_detection import configure
from tests.training.test_proposal_patches import labelled
from tests.training.test_second_look import QUICK


def candidates(patient: str, random: np.random.Generator) -> SeriesCandidates:
    """Twelve marks; the first lies in a nodule, the second in another or, of some patients, in no more than
    an excluded finding."""
    centers = [(float(30 * n), 0.0, 0.0) for n in range(12)]
    series = replace(labelled(), series_instance_uid=patient, patient_id=patient)
    marks = [Annotation(patient, center, 10.0) for center in centers[:2]]
    excluded = patient in "bd"
    series = replace(series, annotations=tuple(marks[: 2 - excluded]), excluded=tuple(marks[2 - excluded :]))
    is_nodule = np.arange(12) < 2 - excluded
    return SeriesCandidates(
        series,
        tuple(Candidate(center, p, p, 10.0) for center, p in zip(centers, random.random(12), strict=True)),
        random.uniform(-1, 1, (12, 3, 32, 32)).astype(np.float16),
        is_nodule,
        np.full(12, -1, np.int8),
        np.arange(12) == (1 if excluded else 12),
    )


def test_it_is_the_cpm_of_both_stages_with_excluded_findings_left_out():
    torch.manual_seed(0)
    network = NoduleClassifier.initialised(QUICK).eval()
    torch.nn.init.normal_(network.head.weight)  # it starts at 0
    random = np.random.default_rng(5)
    held_out = [candidates(patient, random) for patient in "abcde"]
    logits = np.concatenate([second_look_logits(network, one)[~one.is_excluded] for one in held_out])
    assert len(logits) == len(second_look_samples(held_out).views) == 58
    expected = validate(network, held_out, seed=0).two_stage.cpm
    assert 0 < expected < 1
    assert fused_cpm(held_out, logits) == expected
    knowing = np.concatenate([one.is_nodule[~one.is_excluded] for one in held_out])[:, None] * np.ones((1, 2))
    assert fused_cpm(held_out, (20 * knowing - 10).astype(np.float32)) == 1


@pytest.mark.parametrize("choose_by", ["loss", "froc"])
def test_the_configuration_says_what_chooses(choose_by, tmp_path, monkeypatch):
    asked = []

    def training(*_, cpm, **__):
        asked.append(cpm)
        raise KeyboardInterrupt

    held_out = [candidates("a", np.random.default_rng(0))]
    monkeypatch.setattr(two_stages, "find_candidates", lambda *_, **__: held_out)
    monkeypatch.setattr(two_stages, "train_second_look", training)
    config = configure(Path("nowhere"), tmp_path).model_copy(update={"choose_by": choose_by})
    with pytest.raises(KeyboardInterrupt):
        two_stages.add_second_look(None, [], [], config)
    assert (asked[0] is None) == (choose_by == "loss")
    if asked[0]:
        assert 0 <= asked[0](np.zeros((12, 2), np.float32)) <= 1
