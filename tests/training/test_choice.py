"""What inner folds choose is better on patients that had no say; the tested fold has none."""

from __future__ import annotations

import numpy as np
import pytest

from medvision.config.classification import ClassifyPatchesConfig
from medvision.errors import ConfigError
from medvision.training.choice import Candidate, choose_out_of_fold, each_choice, fit_best
from medvision.training.cross_validation import LabelledFeatures
from medvision.training.patch_targets import PatchTargets
from tests.training.test_patch_classification import RECIPE, load_config

N, FEATURES, COPIES = 60, 4, 2
FOLD_OF = np.arange(N) % 5


def _config(**choose: object) -> ClassifyPatchesConfig:
    data = {"manifest": "l.csv", "label": "malignancy"}
    given = {"task": "classify_patches", "output": "m", "data": data, "choose": choose}
    return ClassifyPatchesConfig.model_validate(given)


def _candidate(signal: np.ndarray, seed: int, **choose: object) -> Candidate:
    """Noise, and in the first column as much of the class as `signal` says for each patch."""
    targets = np.arange(N) // 5 % 2
    features = np.random.default_rng(seed).standard_normal((COPIES, N, FEATURES))
    features[:, :, 0] += signal * (2 * targets - 1)
    nothing = np.empty((N, 0))
    labels = PatchTargets(targets.astype(float), nothing, nothing, stepwise=False)
    samples = LabelledFeatures(features, labels, targets, [f"P{number}" for number in range(N)])
    return Candidate(_config(**choose), samples, features[0])


def test_the_telling_candidate_is_chosen_wherever_it_stands():
    blind, seeing = _candidate(np.zeros(N), 0), _candidate(np.full(N, 4.0), 1)
    for candidates in ([blind, seeing], [seeing, blind]):
        assert fit_best(candidates, np.arange(N))[0] is seeing
    judged = choose_out_of_fold([blind, seeing], FOLD_OF)
    alone = choose_out_of_fold([seeing], FOLD_OF)
    np.testing.assert_array_equal(judged.probability, alone.probability)
    np.testing.assert_array_equal(judged.sets, alone.sets)


def test_the_tested_fold_has_no_say():
    """A candidate that tells the classes of the tested fold alone is not chosen for it."""
    tempting = _candidate(np.where(FOLD_OF == 0, 50.0, 0.0), 0)
    seeing = _candidate(np.full(N, 1.5), 1)
    judged = choose_out_of_fold([tempting, seeing], FOLD_OF)
    alone = choose_out_of_fold([seeing], FOLD_OF)
    tested = FOLD_OF == 0
    np.testing.assert_array_equal(judged.probability[tested], alone.probability[tested])


def test_choices_are_each_pair_once():
    choices = list(each_choice(_config(crops_vox=[20, 33], backbones=["resnet18", "squeezenet1_0"])))
    assert [(one.model.backbone, one.data.crop_vox) for one in choices] == [
        ("resnet18", 20),
        ("resnet18", 33),
        ("squeezenet1_0", 20),
        ("squeezenet1_0", 33),
    ]
    plain = _config()
    assert list(each_choice(plain)) == [plain]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("training.train=top", "choose.crops_vox=[20]"), "choose needs training.train: frozen"),
        (("choose.backbones=[resnet18]", "model.weights=w.pth"), "needs model.weights: imagenet or random"),
    ],
)
def test_choices_that_cannot_be_made(overrides: tuple[str, ...], words: str):
    with pytest.raises(ConfigError, match=words):
        load_config(RECIPE, ClassifyPatchesConfig, ["data.manifest=l.csv", *overrides])
