"""Ratings step by step, readers who disagree, other ratings beside the label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from medvision.datasets.patches import PatchRecord
from medvision.errors import ContractError, DataError
from medvision.training.patch_targets import PatchTargets, combine_outputs, read_numbers

NAN = float("nan")
ALL = np.arange(5)


def _targets(opinions=None, ratings=None, *, stepwise=True) -> PatchTargets:
    scores = np.array([1.0, 2, 3, 4, 5])
    nothing = np.empty((5, 0))
    return PatchTargets(
        scores,
        nothing if opinions is None else np.array(opinions, float),
        nothing if ratings is None else np.array(ratings, float),
        stepwise,
    )


def test_a_rating_is_learnt_step_by_step():
    steps = _targets().soft(ALL, ALL)
    assert steps.tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert _targets().one_number(ALL, ALL).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert _targets().main_outputs(ALL) == 4


def test_steps_that_no_training_patch_goes_beyond_are_not_learnt():
    assert _targets().soft(ALL, np.array([1, 2, 3])).shape == (5, 2)


def test_disagreement_is_the_share_of_readers_beyond_a_step():
    opinions = [[1, 1, NAN], [2, 2, 2], [1, 5, NAN], [NAN, NAN, NAN], [5, 5, 1]]
    steps = _targets(opinions).soft(ALL, ALL)
    assert steps[2].tolist() == [0.5, 0.5, 0.5]  # beyond 1, 2 and 4: of 1 and 5, one half
    assert steps[3].tolist() == [1, 1, 0]  # nobody's opinion: the label, 4, stands
    assert steps[4].tolist() == pytest.approx([2 / 3] * 3)


def test_without_steps_the_mean_of_the_readers_is_learnt():
    opinions = [[1, 1], [2, 4], [3, NAN], [NAN, NAN], [5, 5]]
    targets = _targets(opinions, stepwise=False)
    assert targets.one_number(ALL, ALL).tolist() == [1, 3, 3, 4, 5]
    assert targets.soft(ALL, ALL)[:, 0].tolist() == [0, 0.5, 0.5, 0.75, 1]


def test_other_ratings_stand_beside_the_label_and_gaps_are_filled_by_the_mean():
    soft = _targets(ratings=[[1], [3], [NAN], [5], [5]], stepwise=False).soft(ALL, np.array([0, 1, 3]))
    assert soft[:, 1].tolist() == [0, 0.5, 0.5, 1, 1]


def test_scale_is_that_of_the_training_patches():
    soft = _targets(stepwise=False).soft(ALL, np.array([1, 3]))
    assert soft[:, 0].tolist() == [0, 0, 0.5, 1, 1]


def test_fine_scales_are_parted_into_few_steps():
    scores = np.linspace(0, 1, 200)
    targets = PatchTargets(scores, np.empty((200, 0)), np.empty((200, 0)), stepwise=True)
    chosen = np.arange(200)
    assert targets.main_outputs(chosen) == 8
    assert (np.diff(targets.one_number(chosen, chosen)) >= 0).all()


def test_combined_output_is_the_mean_of_those_about_the_label():
    head, features = nn.Linear(6, 5), torch.rand(4, 6)
    torch.testing.assert_close(
        combine_outputs(head, 3)(features)[:, 0], head(features)[:, :3].mean(dim=1), atol=1e-6, rtol=0
    )


def _record(**columns: str) -> PatchRecord:
    return PatchRecord(Path("a.npy"), "P", 1, columns, (8, 8, 8), None)


def test_numbers_of_a_manifest():
    records = [_record(a="1", b=""), _record(a="2.5", b="4")]
    np.testing.assert_array_equal(read_numbers("m.csv", records, ("a", "b")), [[1, NAN], [2.5, 4]])
    with pytest.raises(ContractError, match=r"m.csv: column 'c' is missing \(there are: a, b\)"):
        read_numbers("m.csv", records, ("c",))
    with pytest.raises(DataError, match="column 'a' holds 'five'; give numbers or nothing"):
        read_numbers("m.csv", [_record(a="five")], ("a",))
