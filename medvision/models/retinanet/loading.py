"""A RetinaNet from wherever it lies, ready to run."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from medvision.errors import OutputError
from medvision.models.card import CARD, load_card
from medvision.models.directory import fill_network
from medvision.models.retinanet.bundle import read_bundle
from medvision.models.retinanet.bundle_writing import write_bundle
from medvision.models.retinanet.card import RetinaNetCard
from medvision.models.retinanet.network import RetinaNet
from medvision.models.retinanet.resnet import Bottleneck3d
from medvision.models.retinanet.stem import PhasedConvolution


def load_retinanet(path: Path) -> tuple[RetinaNet, RetinaNetCard]:
    """Read a model directory, a bundle's folder, or a bundle's `model.pt`.

    Raises:
        ModelError: it is not there, not complete, or its weights do not fit.
    """
    if not (path / CARD).is_file():
        return read_bundle(path)
    card = load_card(path, RetinaNetCard)
    network = RetinaNet(card.network)
    fill_network(network, path, card)
    return network.eval(), card


def export_bundle(model: Path, out: Path) -> Path:
    """Write a model directory as a MONAI bundle.

    Args:
        model: of a RetinaNet.
        out: the bundle's folder.

    Raises:
        ModelError: it is no RetinaNet's, or cannot be read.
        OutputError: the folder cannot be written, or is the model itself.
    """
    network, card = load_retinanet(model)
    if out.resolve() == model.resolve():
        raise OutputError(f"{out} is the model itself; choose another output folder")
    return write_bundle(out, network, card)


def fold(network: RetinaNet) -> RetinaNet:
    """Put each batch normalisation into the convolution before it, in place; answers stay the same."""
    body = network.feature_extractor.body
    stem = fuse_conv_bn_eval(body.conv1, body.bn1)
    body.conv1, body.bn1 = PhasedConvolution(stem), nn.Identity()  # type: ignore[assignment]
    for block in body.modules():
        if isinstance(block, Bottleneck3d):
            _fold_block(block)
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return network


def _fold_block(block: Bottleneck3d) -> None:
    for number in (1, 2, 3):
        convolution, norm = getattr(block, f"conv{number}"), getattr(block, f"bn{number}")
        setattr(block, f"conv{number}", fuse_conv_bn_eval(convolution, norm))
        setattr(block, f"bn{number}", nn.Identity())
    if block.downsample is not None:
        convolution, norm = block.downsample
        fused = fuse_conv_bn_eval(cast(nn.Conv3d, convolution), cast(nn.BatchNorm3d, norm))
        block.downsample = nn.Sequential(fused)
