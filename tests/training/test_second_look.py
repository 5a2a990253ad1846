"""Fine-tuning finds a planted sign, the same way each time, and refuses samples that would mislead it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from numpy.typing import NDArray

from medvision.config.second_look import SecondLookConfig
from medvision.errors import DataError, ModelError
from medvision.models.classifier import NoduleClassifier
from medvision.training.second_look import SecondLookSamples, train_second_look
from medvision.training.view_augmentation import crop_center

QUICK = SecondLookConfig(
    weights="random",
    blocks=4,
    frozen_blocks=0,
    size_px=32,
    margin_px=2,
    augmented_copies=2,
    epochs=6,
    batch_size=16,
    learning_rate=1e-2,
    backbone_rate=1.0,
    dropout=0.0,
)


def _samples(count: int, seed: int, prefix: str) -> SecondLookSamples:
    """Nodules are discs, malignant ones larger; lookalikes are bars of the same brightness."""
    rng = np.random.default_rng(seed)
    is_nodule = rng.random(count) < 0.5
    malignant = np.where(is_nodule & (rng.random(count) < 0.8), rng.random(count) < 0.5, -1).astype(np.int8)
    views = np.stack([_drawing(rng, *truth) for truth in zip(is_nodule, malignant, strict=True)])
    return SecondLookSamples(
        views.astype(np.float16), is_nodule, malignant, [f"{prefix}{i // 2}" for i in range(count)]
    )


def _drawing(rng: np.random.Generator, nodule: np.bool_, malignant: np.int8) -> NDArray[np.float64]:
    rows, columns = np.mgrid[:36, :36] - 17.5
    noise = rng.normal(-0.7, 0.2, (3, 36, 36))
    if nodule:
        return np.clip(noise + 1.2 * (np.hypot(rows, columns) < (9 if malignant == 1 else 5)), -1, 1)
    angle = rng.uniform(0, np.pi)
    return np.clip(noise + 1.2 * (np.abs(np.cos(angle) * rows + np.sin(angle) * columns) < 3), -1, 1)


@pytest.fixture(scope="module")
def train() -> SecondLookSamples:
    return _samples(120, 1, "a")


@pytest.fixture(scope="module")
def validation() -> SecondLookSamples:
    return _samples(60, 2, "b")


@pytest.fixture(scope="module")
def trained(
    train: SecondLookSamples, validation: SecondLookSamples
) -> tuple[NoduleClassifier, dict[str, float]]:
    return train_second_look(train, validation, QUICK, seed=3)


def _probabilities(network: NoduleClassifier, samples: SecondLookSamples) -> NDArray[np.float32]:
    with torch.inference_mode():
        views = crop_center(torch.from_numpy(samples.views).float(), QUICK.size_px)
        return np.asarray(network(views).sigmoid().numpy())


def test_finds_both_planted_signs_on_new_patients(trained: tuple[NoduleClassifier, dict[str, float]]):
    network, metrics = trained
    assert metrics["auc_nodule"] > 0.95
    assert metrics["auc_malignancy"] > 0.9
    unseen = _samples(100, 9, "c")
    nodule, malignancy = _probabilities(network, unseen).T
    assert nodule[unseen.is_nodule].mean() - nodule[~unseen.is_nodule].mean() > 0.6
    assert malignancy[unseen.malignant == 1].mean() > malignancy[unseen.malignant == 0].mean() + 0.1


def test_is_calibrated_on_the_validation_candidates(
    trained: tuple[NoduleClassifier, dict[str, float]], validation: SecondLookSamples
):
    """An intercept that is fitted makes the mean probability the (smoothed) rate."""
    nodule = _probabilities(trained[0], validation)[:, 0]
    assert nodule.mean() == pytest.approx(validation.is_nodule.mean(), abs=0.02)


def test_same_seed_same_network(
    trained: tuple[NoduleClassifier, dict[str, float]],
    train: SecondLookSamples,
    validation: SecondLookSamples,
):
    torch.manual_seed(123)  # what came before must not matter
    again, metrics = train_second_look(train, validation, QUICK, seed=3)
    assert metrics == trained[1]
    for key, value in trained[0].state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


def test_other_seed_other_network_and_the_global_generator_is_left_alone(
    trained: tuple[NoduleClassifier, dict[str, float]],
    train: SecondLookSamples,
    validation: SecondLookSamples,
):
    before = torch.random.get_rng_state()
    other, _ = train_second_look(train, validation, QUICK.model_copy(update={"epochs": 1}), seed=4)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not torch.equal(other.head.weight, trained[0].head.weight)


def test_imagenet_blocks_stay_frozen_and_later_ones_learn(
    train: SecondLookSamples, validation: SecondLookSamples
):
    settings = QUICK.model_copy(update={"weights": "imagenet", "frozen_blocks": 2, "epochs": 1})
    fresh = NoduleClassifier.initialised(settings).state_dict()
    network, metrics = train_second_look(train, validation, settings)
    assert metrics["epochs"] == 1
    changed = {
        key.split(".")[2]
        for key, value in network.state_dict().items()
        if key.startswith("encoder._blocks") and not torch.equal(value, fresh[key])
    }
    assert changed == {"2", "3"}


def test_logs_what_lightning_is_asked_to(
    train: SecondLookSamples, validation: SecondLookSamples, tmp_path: Any
):
    logger = CSVLogger(tmp_path, name="run", version=0)
    train_second_look(train, validation, QUICK.model_copy(update={"epochs": 2}), logger=logger)
    header = (tmp_path / "run" / "version_0" / "metrics.csv").read_text().splitlines()[0].split(",")
    expected = {"train_loss", "val_loss", "val_auc_nodule", "val_auc_malignancy"}
    assert {f"second_look/{name}" for name in expected} <= set(header)


def test_stops_early_where_nothing_can_be_learnt(validation: SecondLookSamples):
    rng = np.random.default_rng(0)
    noise = replace(_samples(60, 5, "n"), is_nodule=rng.random(60) < 0.5)
    settings = QUICK.model_copy(update={"epochs": 30, "patience": 2})
    _, metrics = train_second_look(noise, validation, settings)
    assert metrics["epochs"] < 30


def test_the_epoch_of_the_best_cpm_is_kept_and_patience_ends_the_training(
    train: SecondLookSamples, validation: SecondLookSamples
):
    """The CPM is best after the second epoch, and no better after the two that follow."""
    looks: list[NDArray[np.float32]] = []

    def cpm(logits: NDArray[np.float32]) -> float:
        looks.append(logits)
        return 0.9 if len(looks) == 2 else 0.5

    settings = QUICK.model_copy(update={"patience": 2})
    network, metrics = train_second_look(train, validation, settings, seed=3, cpm=cpm)
    assert metrics["epochs"] == len(looks) == 4
    nodule = _probabilities(network, validation)[:, 0]  # calibrated: only their order has stayed
    assert (np.argsort(nodule) == np.argsort(looks[1][:, 0])).mean() > 0.9
    assert (np.argsort(nodule) == np.argsort(looks[3][:, 0])).mean() < 0.5


def test_unknown_malignancy_is_no_label(train: SecondLookSamples, validation: SecondLookSamples):
    unknown = replace(train, malignant=np.full(len(train.malignant), -1, np.int8))
    one_epoch = QUICK.model_copy(update={"epochs": 1})
    network, metrics = train_second_look(
        unknown, replace(validation, malignant=np.full(60, -1, np.int8)), one_epoch
    )
    assert "auc_malignancy" not in metrics
    assert network.head.weight[1].abs().max() == 0


def test_validation_without_nodules_still_trains(train: SecondLookSamples, validation: SecondLookSamples):
    lookalikes = replace(validation, is_nodule=np.zeros(60, np.bool_))
    _, metrics = train_second_look(train, lookalikes, QUICK.model_copy(update={"epochs": 1}))
    assert metrics == {"epochs": 1.0}


def test_labels_of_lookalikes_have_no_malignancy():
    samples = SecondLookSamples(
        np.zeros((3, 3, 32, 32), np.float16),
        np.array([True, True, False]),
        np.array([1, -1, 0], np.int8),
        ["a", "b", "c"],
    )
    assert samples.labels().tolist() == [[1, 1], [1, -1], [0, -1]]


def _few(**changes: object) -> SecondLookSamples:
    values: dict[str, Any] = {
        "views": np.zeros((4, 3, 36, 36), np.float16),
        "is_nodule": np.array([True, False, True, False]),
        "malignant": np.full(4, -1, np.int8),
        "patient_ids": ["p", "q", "r", "s"],
    }
    return SecondLookSamples(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"views": np.zeros((4, 36, 36), np.float16)}, r"shape \(4, 36, 36\); give \(N, 3, S, S\)"),
        ({"views": np.zeros((4, 3, 36, 30), np.float16)}, r"give \(N, 3, S, S\)"),
        ({"patient_ids": ["p"]}, r"differ in length: \[1, 4\]"),
        ({"malignant": np.full(4, 3, np.int8)}, "other than 1, 0 and −1"),
        ({"views": np.full((4, 3, 36, 36), np.nan, np.float16)}, "not finite"),
    ],
)
def test_samples_that_do_not_fit(changes: dict[str, object], message: str):
    with pytest.raises(DataError, match=message):
        _few(**changes)


@pytest.mark.parametrize(
    ("train_changes", "validation_changes", "message"),
    [
        ({"is_nodule": np.zeros(4, np.bool_)}, {}, "0 of 4 training candidates are nodules"),
        ({"is_nodule": np.ones(4, np.bool_)}, {}, "4 of 4 training candidates are nodules"),
        ({}, {"patient_ids": ["p", "q", "x", "y"]}, "2 patients are both in training and validation"),
        (
            {"views": np.zeros((4, 3, 16, 16), np.float16)},
            {},
            "training views have 16 pixels, fewer than size_px 32",
        ),
        (
            {},
            {
                "views": np.zeros((0, 3, 36, 36), np.float16),
                "is_nodule": np.zeros(0, np.bool_),
                "malignant": np.zeros(0, np.int8),
                "patient_ids": [],
            },
            "no validation candidates",
        ),
    ],
)
def test_training_that_would_mislead(
    train_changes: dict[str, object], validation_changes: dict[str, object], message: str
):
    others = {"patient_ids": ["t", "u", "v", "w"]} | validation_changes
    with pytest.raises(DataError, match=message):
        train_second_look(_few(**train_changes), _few(**others), QUICK)


def test_weights_that_are_not_there():
    settings = QUICK.model_copy(update={"weights": "/nowhere/lite0.pth"})
    with pytest.raises(ModelError, match=r"/nowhere/lite0\.pth not found"):
        train_second_look(_few(), _few(patient_ids=["t", "u", "v", "w"]), settings)
