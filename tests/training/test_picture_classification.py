"""`classify_images` and `classify_medmnist` from the data to the model directory."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medvision.config.finetuning import FineTuningConfig
from medvision.config.jobs import load_job
from medvision.config.pictures import PictureModelConfig
from medvision.errors import DataError, ModelError
from medvision.models.directory import save_model
from medvision.models.encoder import Encoder
from medvision.models.picture_card import LearntPictures, PictureCard, load_picture_classifier
from medvision.models.picture_classifier import PictureClassifier
from medvision.training.finetuning import arithmetic, loop
from medvision.training.finetuning.module import FineTuning
from medvision.training.finetuning.network import EncodedClassifier
from medvision.training.jobs import run_job

CONFIGS = Path(__file__).parents[2] / "configs"
QUICK = (
    "tracking.enabled=false", "model.backbone=squeezenet1_1", "model.weights=random", "model.size_px=32",
    "training.batch_size=8", "training.learning_rate=2e-3", "training.dropout=0", "augmentation.shift=0.05",
)  # fmt: skip


def _shape(random: np.random.Generator, axes: int, *, bright: bool) -> np.ndarray:
    """A ball in noise, bright or dark."""
    grid = np.indices((28,) * axes) - 13.5
    ball = (grid**2).sum(axis=0) < 64
    return (random.uniform(80, 120, (28,) * axes) + (100 if bright else -70) * ball).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for name, bright in (("bright", True), ("dark", False)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(20):
            picture = Image.fromarray(_shape(random, 2, bright=bright))
            picture.save(tmp_path / "pictures" / name / f"{number}.png")
    return tmp_path / "pictures"


def _medmnist(path: Path, axes: int, labels: int = 1) -> Path:
    random = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 32), ("val", 12), ("test", 14)):
        truth = np.arange(count) % 2
        arrays[f"{split}_images"] = np.stack([_shape(random, axes, bright=bool(value)) for value in truth])
        columns = [truth, *(random.integers(0, 2, count) for _ in range(labels - 1))]
        arrays[f"{split}_labels"] = np.stack(columns, axis=1).astype(np.uint8)
    np.savez(path, **arrays)
    return path


def _images_job(folder: Path, output: Path, *overrides: str):
    return load_job(
        CONFIGS / "classify_images.yaml",
        [*QUICK, f"data.folder={folder}", f"output={output}", "training.epochs=6", *overrides],
    )


def _medmnist_job(npz: Path, output: Path, *overrides: str):
    return load_job(
        CONFIGS / "classify_medmnist.yaml",
        [*QUICK, f"data.npz={npz}", f"output={output}", "training.epochs=6", *overrides],
    )


def test_folder_of_pictures(tmp_path: Path, folder: Path):
    result = run_job(_images_job(folder, tmp_path / "model"))
    assert result.metrics["val/accuracy"] > 0.8
    rows = list(csv.DictReader((tmp_path / "model/predictions.csv").read_text().splitlines()))
    assert len(rows) == 8  # a fifth of forty
    network, card = load_picture_classifier(tmp_path / "model")
    assert card.classes == ("bright", "dark")
    picture = torch.from_numpy(np.array(Image.open(folder / rows[0]["name"]).resize((32, 32)).convert("RGB")))
    with torch.inference_mode():
        probability = network(picture.permute(2, 0, 1)[None].float() / 255).softmax(dim=1)[0]
    assert probability.argmax() == int(rows[0]["target"])


def test_adapters_are_a_part_of_the_model(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch):
    translated = []
    monkeypatch.setattr(torch, "compile", lambda forward: translated.append(forward) or forward)
    more = ("train=adapter", "learning_rate=auto", "precision=bfloat16", "checkpointing=true", "compile=true")
    run_job(_images_job(folder, tmp_path / "model", *[f"training.{one}" for one in more]))
    assert len(translated) == 1
    network, card = load_picture_classifier(tmp_path / "model")
    assert card.adapter_width == 16
    assert any(bool(adapter.up.weight.any()) for adapter in network.encoder.adapters)


@pytest.mark.parametrize("quicker", [False, True])
def test_half_precision_is_used_where_a_step_gains_by_it(monkeypatch: pytest.MonkeyPatch, quicker: bool):
    monkeypatch.setattr(arithmetic, "_measured", {})
    monkeypatch.setattr(arithmetic, "_seconds", lambda *_, half: 1.0 if half == quicker else 2.0)
    settings = FineTuningConfig(precision="auto")
    network = EncodedClassifier(Encoder("squeezenet1_1", "random"), 1, 0.0)
    module = FineTuning(network, settings, None, separate=True)
    batch = (torch.rand(2, 3, 1, 32, 32), torch.rand(2, 1))
    used = arithmetic.lightning_precision(module, batch, settings)
    assert used == ("bf16-mixed" if quicker else "32-true")


def test_a_measured_step_leaves_the_network_alone():
    network = EncodedClassifier(Encoder("resnet18", "random"), 1, 0.0)
    module = FineTuning(network, FineTuningConfig(), None, separate=True)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    batch = (torch.rand(2, 3, 1, 32, 32), torch.rand(2, 1))
    assert arithmetic._seconds(module, batch, half=True) > 0
    assert all(torch.equal(now, before[name]) for name, now in module.state_dict().items())


def test_folder_with_its_own_parts_reports_the_test_part(tmp_path: Path, folder: Path):
    for split, numbers in (("train", range(12)), ("val", range(12, 16)), ("test", range(16, 20))):
        for name in ("bright", "dark"):
            (tmp_path / "parted" / split / name).mkdir(parents=True)
            for number in numbers:
                (folder / name / f"{number}.png").rename(tmp_path / "parted" / split / name / f"{number}.png")
    run_job(_images_job(tmp_path / "parted", tmp_path / "model", "training.epochs=1"))
    metrics = json.loads((tmp_path / "model/metrics.json").read_text())
    assert (metrics["val"]["n"], metrics["test"]["n"]) == (8, 8)
    assert len(metrics["history"]) == 1


@pytest.mark.parametrize(("axes", "dims"), [(2, "2.5d"), (3, "2.5d"), (3, "acs")])
def test_medmnist_keeps_its_splits(tmp_path: Path, axes: int, dims: str):
    size_px = 24 if dims == "acs" else 32
    npz = _medmnist(tmp_path / ("nodulemnist3d.npz" if axes == 3 else "breastmnist.npz"), axes)
    result = run_job(_medmnist_job(npz, tmp_path / "model", f"model.dims={dims}", f"model.size_px={size_px}"))
    metrics = json.loads((tmp_path / "model/metrics.json").read_text())
    assert (metrics["val"]["n"], metrics["test"]["n"]) == (12, 14)
    assert metrics["test"]["auc"] == result.metrics["test/auc"] > 0.8


def test_labels_that_do_not_exclude_each_other(tmp_path: Path):
    npz = _medmnist(tmp_path / "somemnist.npz", 2, labels=3)
    run_job(_medmnist_job(npz, tmp_path / "model", "training.balanced=true", "training.label_smoothing=0.1"))
    metrics = json.loads((tmp_path / "model/metrics.json").read_text())
    first, *noise = metrics["test"]["auc_by_class"].values()
    assert first > 0.9
    assert len(noise) == 2
    assert "confusion" not in metrics["test"]


def test_an_interrupted_training_ends_as_one_that_was_not(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    undisturbed = tmp_path / "undisturbed"
    run_job(_images_job(folder, undisturbed, "training.epochs=3"))

    class Interrupted(loop.PictureBatches):
        def __iter__(self):
            if self.epoch == 2:
                raise KeyboardInterrupt
            return super().__iter__()

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    recorded = "tracking.enabled=true", f"tracking.uri={uri}"
    job = _images_job(folder, tmp_path / "killed", "training.epochs=3", *recorded)
    with monkeypatch.context() as patched:
        patched.setattr(loop, "PictureBatches", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_job(job)
    result = run_job(job, resume=True)
    for name in ("predictions.csv", "metrics.json"):
        assert (tmp_path / "killed" / name).read_text() == (undisturbed / name).read_text()
    client = pytest.importorskip("mlflow").MlflowClient(uri, uri)
    (run,) = client.search_runs(["1"])
    assert (run.info.run_id, run.info.status) == (result.run_id, "FINISHED")
    assert {file.path for file in client.list_artifacts(result.run_id, "evaluation")} == {
        f"evaluation/val_{name}.png" for name in ("classification", "confusion", "samples")
    }


def test_picture_that_does_not_open_is_named_and_the_rest_goes_on(tmp_path: Path, folder: Path, caplog):
    (folder / "dark/broken.png").write_bytes(b"\x89PNG no more")
    run_job(_images_job(folder, tmp_path / "model", "training.epochs=1"))
    assert "broken.png" in caplog.text


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (
            "[bright, dark, grey]",
            "2 classes, but data.classes names 3: the folder lacks grey",
        ),
        ("[bright, dim]", "2 classes, but data.classes names 2: the folder lacks dim and also has dark"),
    ],
)
def test_other_classes_than_the_configuration_names(tmp_path: Path, folder: Path, classes: str, words: str):
    with pytest.raises(DataError, match=words) as caught:
        run_job(_images_job(folder, tmp_path / "model", f"data.classes={classes}"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "model/weights.safetensors").exists()


def test_a_class_that_is_only_held_out(tmp_path: Path, folder: Path):
    (tmp_path / "parted/train").mkdir(parents=True)
    (tmp_path / "parted/val").mkdir()
    for name in ("bright", "dark"):
        (folder / name).rename(tmp_path / "parted/val" / name)
    shutil.copytree(tmp_path / "parted/val/bright", tmp_path / "parted/train/bright")
    with pytest.raises(DataError, match="no picture of dark to learn from; add some to train"):
        run_job(_images_job(tmp_path / "parted", tmp_path / "model"))


def test_a_card_with_another_number_of_classes_than_its_weights(tmp_path: Path):
    settings = PictureModelConfig(backbone="squeezenet1_1", weights="random", size_px=32)
    card = PictureCard(
        name="two", version="1", licence="none", metrics={}, task="classify_images", model=settings,
        classes=("bright", "dark"), volumes=False, colour=True,
        training=LearntPictures(training=1, validation=1, config_sha256="0" * 64),
    )  # fmt: skip
    two = PictureClassifier.initialised(settings, 2, volumes=False, colour=True)
    save_model(tmp_path / "model", card, two)
    text = (tmp_path / "model/model.yaml").read_text()
    (tmp_path / "model/model.yaml").write_text(text.replace("- dark", "- dark\n- grey"))
    with pytest.raises(
        ModelError, match=r"do not fit its card: size mismatch for head\.\w+: .*\[2"
    ) as caught:
        load_picture_classifier(tmp_path / "model")
    assert "\n" not in str(caught.value)


def test_one_class_is_refused(tmp_path: Path, folder: Path):
    (folder / "dark").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="class"):
        run_job(_images_job(folder, tmp_path / "model"))
