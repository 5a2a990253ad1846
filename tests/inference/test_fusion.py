"""The fusion is a logistic regression that never counts a stage against itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.inference.fusion import fit_fusion, fuse, logit
from medvision.models.directory import Fusion


def test_weights_are_recovered():
    random = np.random.default_rng(1)
    first, second = random.uniform(0.05, 0.95, 20_000), random.normal(0, 2, 20_000)
    score = -0.7 + 0.4 * logit(first) + 1.3 * second
    is_nodule = random.random(20_000) < 1 / (1 + np.exp(-score))
    fusion = fit_fusion(first, second, is_nodule)
    assert fusion.intercept == pytest.approx(-0.7, abs=0.1)
    assert fusion.proposal == pytest.approx(0.4, abs=0.1)
    assert fusion.second_look == pytest.approx(1.3, abs=0.1)


def test_a_misleading_stage_counts_nothing_rather_than_the_other_way_round():
    random = np.random.default_rng(2)
    is_nodule = random.random(2000) < 0.5
    good = np.where(is_nodule, 2.0, -2.0) + random.normal(0, 1, 2000)
    misleading = 1 / (1 + np.exp(good))
    fusion = fit_fusion(misleading, good, is_nodule)
    assert fusion.proposal >= 0
    assert fusion.second_look > 0


@pytest.mark.parametrize("truth", [True, False])
def test_one_kind_only(truth):
    assert fit_fusion(np.array([0.2, 0.9]), np.array([-1.0, 2.0]), np.array([truth, truth])) == Fusion(
        intercept=0.0, proposal=0.5, second_look=0.5
    )


@given(st.floats(0, 1), st.floats(-20, 20), st.floats(0.01, 5))
def test_more_evidence_never_lowers_the_probability(first, second, step):
    fusion = Fusion(intercept=-1.0, proposal=0.5, second_look=0.8)
    low = fuse(fusion, np.array([first]), np.array([second]))[0]
    high = fuse(fusion, np.array([first]), np.array([second + step]))[0]
    assert 0 <= low <= high <= 1
