"""The pictures on a run's page: what is in them, and that any network can be explained."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medvision.config.classification import PatchModelConfig
from medvision.config.pictures import PictureModelConfig
from medvision.evaluation.multiclass import confusion
from medvision.evaluation.multiclass_plot import classes_figure, confusion_figure
from medvision.models.patch_classifier import PatchClassifier
from medvision.models.picture_classifier import PictureClassifier
from medvision.training.sample_figures import patch_sample, picture_sample, samples_figure, surest


def test_the_surest_mistakes_come_first_then_the_surest_that_are_right() -> None:
    positive = np.array([0.9, 0.6, 0.2, 0.8, 0.55, 0.01])
    targets = np.array([1, 0, 0, 0, 1, 1])
    chosen = surest(targets, np.stack([1 - positive, positive], axis=1))

    assert chosen == [5, 3, 1, 0, 2, 4]


@pytest.mark.parametrize("backbone", ["densenet121", "squeezenet1_1", "resnet18", "efficientnet_lite0"])
def test_any_network_shows_where_it_looked(backbone: str) -> None:
    torch.manual_seed(0)
    settings = PictureModelConfig(backbone=backbone, weights="random", size_px=32)
    network = PictureClassifier.initialised(settings, 3, volumes=False, colour=True).eval()
    sample = picture_sample(network, torch.rand(3, 32, 32), 1, "a: b 0.9")

    assert sample.picture.shape == (32, 32, 3)
    assert sample.heat.shape == (32, 32)
    assert np.isfinite(sample.heat).all()


@pytest.mark.parametrize("dims", ["2.5d", "acs"])
@pytest.mark.parametrize("crops_vox", [16, (12, 20)])
def test_patches_show_a_view_or_a_middle_slice(dims: str, crops_vox: int | tuple[int, ...]) -> None:
    torch.manual_seed(0)
    settings = PatchModelConfig(backbone="squeezenet1_1", weights="random", dims=dims, size_px=32)  # type: ignore[arg-type]
    network = PatchClassifier.initialised(settings, crops_vox).eval()
    patch = torch.zeros(20, 20, 20)
    patch[:, 4:16, 8:12] = 1
    sample = patch_sample(network, patch, "positive, p 0.9")

    assert sample.picture.shape == sample.heat.shape == (32, 32)
    bright = sample.picture > 0.5
    assert bright.any(axis=1).sum() > bright.any(axis=0).sum()  # longer along rows, as the patch is


def test_a_figure_holds_each_sample_twice_with_its_words() -> None:
    network = PictureClassifier.initialised(
        PictureModelConfig(backbone="squeezenet1_1", weights="random", size_px=32),
        2,
        volumes=False,
        colour=True,
    ).eval()
    samples = [picture_sample(network, torch.rand(3, 32, 32), 0, f"sample {n}") for n in range(3)]
    axes = samples_figure(samples).axes

    assert [one.get_title() for one in axes[:3]] == ["sample 0", "sample 1", "sample 2"]
    assert [len(one.images) for one in axes] == [1, 1, 1, 2, 2, 2]


def test_confusion_and_curves_say_what_is_true() -> None:
    targets = np.array([0, 0, 1, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.1, 0.9], [0.6, 0.4]])
    axes = confusion_figure(confusion(targets, probabilities), ("benign", "malignant")).axes[0]
    words = {text.get_position(): text.get_text() for text in axes.texts}
    assert words == {(0, 0): "1", (1, 0): "1", (0, 1): "1", (1, 1): "2"}
    roc, reliability = classes_figure(targets, probabilities, ("benign", "malignant")).axes
    assert [text.get_text() for text in roc.get_legend().get_texts()] == [
        "benign: AUC 0.833",
        "malignant: AUC 0.833",
    ]
    assert len(reliability.lines[0].get_xdata()) == 5


def test_labels_that_do_not_exclude_each_other_have_curves_too() -> None:
    targets = np.array([[0, 1], [1, 1], [1, 0]])
    probabilities = np.array([[0.1, 0.9], [0.8, 0.7], [0.9, 0.2]])
    roc, _ = classes_figure(targets, probabilities, ("a", "b")).axes

    assert [text.get_text() for text in roc.get_legend().get_texts()] == ["a: AUC 1.000", "b: AUC 1.000"]
