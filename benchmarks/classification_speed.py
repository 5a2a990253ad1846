"""Fine-tuning: samples a second beside the loop of MONAI's tutorials, same network, batch and optimiser.

The loop: CacheDataset, random crop, three slices resized, DataLoader, float32, torch's usual memory format,
every layer run each time; one epoch after a step to warm up. Beside it the same loop with our memory format
(channels last). Ours: `look_to_learn` and `fine_tune_on` as `medvision train` calls them with `precision:
auto`, validation and checkpoints and all: the recipe's 20 epochs, without early stopping. Data's share of
ours: drawing batches. Processor seconds on one thread, so that other work on the machine counts little.
Needs the nodules of MEDVISION_TEST_DATA.
"""

from __future__ import annotations

import copy
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from monai.data import CacheDataset, DataLoader
from monai.transforms import Compose, LoadImaged, RandSpatialCropd
from torch import Tensor
from torch.nn import functional

from benchmarks.nodules import CROP_VOX, NODULES, Recipe, Task, load, network_of
from medvision.cli.console import set_verbosity
from medvision.config.classification import (
    ClassifyPatchesConfig,
    PatchDataConfig,
    PatchModelConfig,
    PatchTrainingConfig,
)
from medvision.models.backbones.stages import global_average
from medvision.models.encoder import Encoder
from medvision.preprocessing.patch_views import orthogonal_views
from medvision.training.finetuning.module import FineTuning
from medvision.training.finetuning.network import EncodedClassifier
from medvision.training.finetuning.pictures import PictureBatches, Pictures
from medvision.training.learning_cohort import LearningCohort
from medvision.training.patch_fine_tuning import fine_tune_on
from medvision.training.patch_samples import LookedPatches, look_to_learn

LEARNING = ("top", "all")
EPOCHS = PatchTrainingConfig().epochs
STAGES = PatchModelConfig().stages
RECIPE = Recipe("efficientnet_lite0", "imagenet")


def main() -> None:
    """Print one row a way of fine-tuning."""
    if not NODULES.is_dir():
        print(f"no nodules in {NODULES}: set MEDVISION_TEST_DATA")
        return
    set_verbosity(-1)
    torch.set_num_threads(1)
    print(
        "| learns | MONAI loop, samples/s | its data's share | channels last | ours | data's share | ratios |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for train in LEARNING:
        settings = PatchTrainingConfig(train=train, patience=EPOCHS, precision="auto")
        peer, peer_data = _tutorial(settings, UsualFormat)
        quicker, _ = _tutorial(settings, EncodedClassifier)
        ours, data = _ours(settings)
        print(
            f"| {train} | {peer:.1f} | {peer_data:.1%} | {quicker:.1f} | {ours:.1f} | {data:.1%} "
            f"| {ours / peer:.1f} ×, {ours / quicker:.1f} × |",
            flush=True,
        )


class UsualFormat(EncodedClassifier):
    """The same layers on the same weights, channels before rows and columns, as torch lays them out."""

    def __init__(self, encoder: Encoder, classes: int, dropout: float) -> None:
        super().__init__(encoder, classes, dropout)
        self.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> Tensor:
        x, pooled = images.flatten(0, 1).contiguous(), []
        for stage in self.encoder.backbone.stages():  # type: ignore[operator]
            x = stage(x)
            pooled.append(global_average(x))
        views = torch.cat(pooled[-STAGES:], dim=1).view(len(images), -1, self.encoder.n_features)
        logits: Tensor = self.head(self.dropout(views.mean(dim=1)))
        return logits


def _ours(settings: PatchTrainingConfig) -> tuple[float, float]:
    """Samples seen a second in training, all told; the share of the time that drawing batches takes."""
    found, _ = load(Task("malignancy", ">=4", "<=2"))
    network = network_of(RECIPE)
    begin = time.process_time()
    with TemporaryDirectory() as work:
        config = _config(settings, found.manifest, Path(work))
        cohort = LearningCohort.of(found, config)
        samples = look_to_learn(config, network, cohort, None, Path(work))
        fine_tune_on(samples, np.arange(len(cohort.records)), config, Path(work))
    took = time.process_time() - begin
    seen = samples.images[:, : len(cohort.records) * 4 // 5].shape[:2].numel() * settings.epochs
    return seen / took, _batches_alone(samples, settings) / took


def _config(settings: PatchTrainingConfig, manifest: Path, output: Path) -> ClassifyPatchesConfig:
    data = PatchDataConfig(manifest=manifest, label="malignancy", positive=">=4", negative="<=2")
    return ClassifyPatchesConfig(task="classify_patches", output=output, data=data, training=settings)


def _batches_alone(samples: LookedPatches, settings: PatchTrainingConfig) -> float:
    images = samples.images.flatten(0, 1)
    batches = PictureBatches(
        Pictures(images, torch.zeros(len(images), 1)), settings.batch_size, shuffled=True
    )
    begin = time.process_time()
    for _ in range(settings.epochs):
        for _ in batches:
            pass
    return time.process_time() - begin


def _tutorial(settings: PatchTrainingConfig, kind: type[EncodedClassifier]) -> tuple[float, float]:
    """Samples a second, and the share of the time that they were waited for."""
    found, _ = load(Task("malignancy", ">=4", "<=2"))
    items = [
        {"image": str(record.path), "label": float(record.target)} for record in found.records
    ] * settings.copies
    transform = Compose(
        [
            LoadImaged("image", reader="NumpyReader", ensure_channel_first=True, dtype=np.float32),
            RandSpatialCropd("image", (CROP_VOX,) * 3, random_size=False),
        ]
    )
    loader = DataLoader(
        CacheDataset(items, transform, progress=False), batch_size=settings.batch_size, shuffle=True
    )
    network = kind(copy.deepcopy(network_of(RECIPE).encoder), 1, settings.dropout)
    module = FineTuning(network, settings.fine_tuning(), None, separate=True).train()
    optimiser = module.configure_optimizers()

    def step(views: Tensor, labels: Tensor) -> None:
        optimiser.zero_grad()
        functional.binary_cross_entropy_with_logits(network(views)[:, 0], labels).backward()
        optimiser.step()

    warm_up = torch.zeros(settings.batch_size, 3, 1, RECIPE.size_px, RECIPE.size_px)
    step(warm_up, torch.zeros(settings.batch_size))
    begin, waited = time.process_time(), 0.0
    asked = begin
    for batch in loader:
        views = orthogonal_views(batch["image"].as_tensor()[:, 0], RECIPE.size_px)[:, :, None]
        waited += time.process_time() - asked
        step(views, batch["label"].float())
        asked = time.process_time()
    took = time.process_time() - begin
    return len(items) / took, waited / took


if __name__ == "__main__":
    main()
