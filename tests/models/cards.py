"""The smallest model that the pipeline runs."""

from __future__ import annotations

import torch
from torch import nn

from medvision.config.detection import CandidateConfig, ProposalConfig
from medvision.config.second_look import SecondLookConfig
from medvision.models.detector import TwoStageDetector, build_detector
from medvision.models.directory import Fusion, ModelCard, OperatingPoint, TrainingRecord

PROPOSALS = ProposalConfig(channels=(4, 4, 4, 4), stem=4, voxel_mm=2.5)
SECOND_LOOK = SecondLookConfig(blocks=3, frozen_blocks=1, size_px=32, weights="random")


def tiny_detector(seed: int = 0) -> TwoStageDetector:
    """Random weights, the same for the same seed."""
    torch.manual_seed(seed)
    return build_detector(PROPOSALS, SECOND_LOOK).eval()


def lively_detector(seed: int = 0) -> TwoStageDetector:
    """One whose heat map follows the picture; without statistics of a picture it is the same everywhere."""
    detector = tiny_detector(seed)
    noise = torch.rand(1, 1, 12, 12, 12, generator=torch.Generator().manual_seed(seed))
    for layer in detector.proposals.modules():
        if isinstance(layer, nn.BatchNorm3d):
            layer.momentum = None
    with torch.no_grad():
        detector.proposals.train()(2 * nn.functional.interpolate(noise, scale_factor=8, mode="trilinear") - 1)
    return detector.eval()


def tiny_card(floor: float = 0.001) -> ModelCard:
    """A card for it, with operating points."""
    return ModelCard(
        name="tiny",
        version="1",
        task="detect_lite",
        proposals=PROPOSALS,
        candidates=CandidateConfig(floor=floor, per_scan=5),
        second_look=SECOND_LOOK,
        fusion=Fusion(intercept=0.0, proposal=0.5, second_look=0.5),
        operating_points=(
            OperatingPoint(fp_per_scan=0.5, threshold=0.4, sensitivity=0.6),
            OperatingPoint(fp_per_scan=2.0, threshold=0.2, sensitivity=0.8),
        ),
        metrics={"validation/cpm": 0.5, "validation/scans": 4.0, "validation/nodules": 9.0},
        training=TrainingRecord(
            patients=2,
            nodules=3,
            salt="00",
            patient_hashes=("a", "b"),
            series_hashes=("c", "d"),
            spacing_mm=((1.0, 2.5), (0.6, 0.8), (0.6, 0.8)),
            manufacturers=("Simulated",),
            kernels=("B30f",),
            config_sha256="0" * 64,
            run_id="5f3c",
        ),
        licence="Apache-2.0",
    )
