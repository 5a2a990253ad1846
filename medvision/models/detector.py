"""Both stages of the lite detector as one module, so that one file holds all weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from medvision.config.detection import ProposalConfig
from medvision.config.second_look import SecondLookConfig
from medvision.models.classifier import NoduleClassifier
from medvision.models.directory import ModelCard, fill_network, load_card
from medvision.models.export.record import EXPORT
from medvision.models.export.running import load_graph
from medvision.models.heatmap import HeatMapNet


class TwoStageDetector(nn.Module):
    """Holds stage one (`proposals`) and stage two (`second_look`), which inference calls in turn."""

    def __init__(self, proposals: nn.Module, second_look: NoduleClassifier) -> None:
        super().__init__()
        self.proposals, self.second_look = proposals, second_look


def build_detector(proposals: ProposalConfig, second_look: SecondLookConfig) -> TwoStageDetector:
    """An untrained detector of the architecture the settings describe."""
    return TwoStageDetector(
        HeatMapNet(proposals.channels, proposals.stem), NoduleClassifier.from_config(second_look)
    )


def load_detector(folder: Path) -> tuple[TwoStageDetector, ModelCard]:
    """Read a model directory. Of an exported one, stage one runs as its graph.

    Raises:
        ModelError: the directory is not there, not complete, or its weights do not fit its card.
        UsageError: the graph's runtime is not installed.
    """
    card = load_card(folder, ModelCard)
    network = build_detector(card.proposals, card.second_look)
    fill_network(network, folder, card)
    network.proposals.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    if (folder / EXPORT).is_file():
        network.proposals = load_graph(folder, card, "proposals")
    return network.eval(), card
