"""Samples for int8: what each kind of model takes, read from what its users have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medvision.config.classification import PatchModelConfig
from medvision.config.pictures import PictureModelConfig
from medvision.errors import ModelError
from medvision.models.classifier_card import ClassifierCard, LearntFrom
from medvision.models.directory import CARD, save_model
from medvision.models.export.parts import parts_of
from medvision.models.patch_classifier import PatchClassifier
from medvision.models.picture_card import LearntPictures, PictureCard
from medvision.models.picture_classifier import PictureClassifier
from medvision.training import export_samples as module
from medvision.training.export_samples import export_samples
from tests.models.cards import tiny_card, tiny_detector
from tests.training.test_detection import write_store

CARD_OF = {"name": "tiny", "version": "1", "licence": "none", "metrics": {}}


def test_a_detector_takes_cubes_and_views_of_a_store(tmp_path: Path):
    save_model(tmp_path / "model", tiny_card(), tiny_detector())
    samples = export_samples(tmp_path / "model", write_store(tmp_path / "store", patients=1))
    assert {tuple(cube.shape) for cube in samples["proposals"]} == {(1, 1, 64, 64, 64)}
    assert {tuple(view.shape) for view in samples["second_look"]} == {(1, 3, 32, 32)}
    assert len(samples["proposals"]) == module.CUBES
    _, parts = parts_of(tmp_path / "model")
    for part in parts:
        extremes = [(float(one.min()), float(one.max())) for one in samples[part.name]]
        assert all(part.lowest <= low < high <= 1 for low, high in extremes)
        with torch.inference_mode():
            assert torch.isfinite(part.network(samples[part.name][0])).all()


def test_a_patch_classifier_takes_a_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MOST", 4)
    settings = PatchModelConfig(backbone="squeezenet1_1", weights="random", size_px=32)
    learnt = LearntFrom(
        salt="00", patient_hashes=("a",), series_hashes=(), patches=1, positive=1, patients=1, label="m",
        config_sha256="0" * 64,
    )  # fmt: skip
    card = ClassifierCard(**CARD_OF, task="classify_patches", model=settings, crop_vox=None, training=learnt)
    save_model(tmp_path / "model", card, PatchClassifier.initialised(settings, None))
    lines = ["path,patient_id"]
    for number in range(10):
        np.save(tmp_path / f"{number}.npy", np.full((12, 12, 12), number / 10, np.float32))
        lines.append(f"{number}.npy,P{number}")
    (tmp_path / "patches.csv").write_text("\n".join(lines) + "\n")
    samples = export_samples(tmp_path / "model", tmp_path / "patches.csv")["classifier"]
    assert [round(float(patch.mean()), 1) for patch in samples] == [0.0, 0.3, 0.6, 0.9]
    assert samples[0].shape == (1, 12, 12, 12)


@pytest.mark.parametrize("task", ["classify_images", "classify_medmnist"])
def test_a_picture_classifier_takes_what_it_learns_from(tmp_path: Path, task: str):
    settings = PictureModelConfig(backbone="squeezenet1_1", weights="random", size_px=32)
    colour = task == "classify_images"
    card = PictureCard(
        **CARD_OF, task=task, model=settings, classes=("cat", "dog"), volumes=False, colour=colour,
        training=LearntPictures(training=1, validation=1, config_sha256="0" * 64),
    )  # fmt: skip
    network = PictureClassifier.initialised(settings, 2, volumes=False, colour=colour)
    save_model(tmp_path / "model", card, network)
    source = _pictures(tmp_path) if colour else _medmnist(tmp_path)
    samples = export_samples(tmp_path / "model", source)["classifier"]
    assert len(samples) == 6
    assert samples[0].shape == (1, 3 if colour else 1, 32, 32)
    assert 0 <= float(samples[0].min()) < float(samples[0].max()) <= 1


def _pictures(folder: Path) -> Path:
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(3):
            pixels = random.integers(0, 256, (40, 30, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "pictures" / name / f"{number}.png")
    return folder / "pictures"


def _medmnist(folder: Path) -> Path:
    random = np.random.default_rng(0)
    arrays = {}
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = random.integers(0, 256, (6, 28, 28), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(6) % 2).astype(np.uint8)[:, None]
    np.savez(folder / "breastmnist.npz", **arrays)
    return folder / "breastmnist.npz"


def test_a_model_of_another_task(tmp_path: Path):
    save_model(tmp_path / "model", tiny_card(), tiny_detector())
    card = tmp_path / "model" / CARD
    card.write_text(card.read_text().replace("task: detect_lite", "task: knit"))
    with pytest.raises(ModelError, match="a model of task knit has no int8; known: detect_lite"):
        export_samples(tmp_path / "model", tmp_path)
