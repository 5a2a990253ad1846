"""Looks at patches: unchanged first, on the disk if too many; patches read again where memory is short."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from medvision.config.classification import PatchAugmentationConfig, PatchModelConfig
from medvision.datasets.patches import read_patches
from medvision.models.patch_classifier import PatchClassifier
from medvision.models.patch_ensemble import PatchEnsemble
from medvision.training.patch_looks import Look, look_at
from medvision.training.patch_source import PatchSource

MODEL = PatchModelConfig(backbone="squeezenet1_1", weights="random", size_px=32)


@pytest.fixture
def network() -> PatchClassifier:
    torch.manual_seed(0)
    return PatchClassifier.initialised(MODEL, 12)


@pytest.fixture
def patches() -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.rand(20, 20, 20) for _ in range(5)]


def test_first_look_is_unchanged_and_others_differ(network: PatchClassifier, patches: list[torch.Tensor]):
    looks = look_at(network, patches, Look(3, 2, PatchAugmentationConfig(flip=True), seed=0))
    assert looks.shape == (3, 5, 3, 1, 32, 32)
    torch.testing.assert_close(looks[0], network.look(torch.stack(patches)).half())
    assert not torch.equal(looks[1], looks[0])
    assert not torch.equal(looks[2], looks[1])


def test_augmentation_alone_flips(network: PatchClassifier, patches: list[torch.Tensor]):
    looks = look_at(network, patches, Look(8, 0, PatchAugmentationConfig(flip=True)))
    axial = looks[:, 0, 0, 0].float()
    mirrored = [torch.allclose(one, axial[0].flip(-1), atol=2e-2) for one in axial]
    assert any(mirrored)
    still = look_at(network, patches, Look(2, 0, PatchAugmentationConfig()))
    assert torch.equal(still[0], still[1])


def test_what_does_not_fit_into_memory_lies_on_the_disk(
    tmp_path: Path, network: PatchClassifier, patches: list[torch.Tensor]
):
    look = Look(2, 1)
    mapped = look_at(network, patches, look, tmp_path / "looks", most_in_memory=0)
    assert (tmp_path / "looks").stat().st_size == mapped.numel() * mapped.element_size()
    assert torch.equal(mapped, look_at(network, patches, look, tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_patches_are_read_again_where_memory_is_short(tmp_path: Path):
    for number in range(3):
        np.save(tmp_path / f"{number}.npy", np.full((4, 4, 4), number / 4, np.float32))
    rows = "".join(f"{number}.npy,P{number},{number % 2}\n" for number in range(3))
    (tmp_path / "labels.csv").write_text("path,patient_id,label\n" + rows)
    records = read_patches(tmp_path / "labels.csv", label="label").records
    short, ample = PatchSource(records, most_remembered=0), PatchSource(records)
    assert (
        [float(patch.mean()) for patch in short] == [float(patch.mean()) for patch in ample] == [0, 0.25, 0.5]
    )
    assert ample[1] is ample[1]
    assert short[1] is not short[1]


def test_ensemble_judges_by_the_mean_probability(patches: list[torch.Tensor]):
    members = []
    for seed in range(3):
        torch.manual_seed(seed)
        members.append(PatchClassifier.initialised(MODEL, 12))
        members[-1].set_head(torch.randn(members[-1].encoder.n_features), seed / 2)
    together = PatchEnsemble(members).eval()
    stack = torch.stack(patches)
    with torch.inference_mode():
        each = torch.stack([member(stack).sigmoid() for member in members])
        torch.testing.assert_close(together(stack).sigmoid(), each.mean(dim=0))
        torch.testing.assert_close(together.spread(stack), each.std(dim=0, correction=0))
