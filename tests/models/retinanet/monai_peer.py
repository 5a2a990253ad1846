"""MONAI's own detector around the same layers, without the two small things it wants of torchvision."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from medvision.config.retinanet import BoxConfig, RetinaNetConfig


class LayerGetter(nn.ModuleDict):
    """What torchvision's IntermediateLayerGetter does: children up to the last that is returned."""

    def __init__(self, model: nn.Module, return_layers: dict[str, str]) -> None:
        kept: OrderedDict[str, nn.Module] = OrderedDict()
        for name, child in model.named_children():
            kept[name] = child
            if name == list(return_layers)[-1]:
                break
        super().__init__(kept)
        self.names = return_layers

    def forward(self, x: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
        out: OrderedDict[str, torch.Tensor] = OrderedDict()
        for name, child in self.items():
            x = child(x)
            if name in self.names:
                out[self.names[name]] = x
        return out


def monai_detector(monkeypatch: pytest.MonkeyPatch, config: RetinaNetConfig, limits: BoxConfig) -> nn.Module:
    """MONAI's `RetinaNetDetector`, set up as the bundle's `inference.json` does."""
    from monai.apps.detection.networks import retinanet_detector, retinanet_network
    from monai.apps.detection.utils.anchor_utils import AnchorGeneratorWithAnchorShape
    from monai.networks.blocks import backbone_fpn_utils
    from monai.networks.nets.resnet import ResNet, ResNetBottleneck

    stand_in = SimpleNamespace(_utils=SimpleNamespace(IntermediateLayerGetter=LayerGetter))
    monkeypatch.setattr(backbone_fpn_utils, "torchvision_models", stand_in)
    monkeypatch.setattr(retinanet_detector, "Matcher", type("Matcher", (), {}))
    width, layers = config.width, config.returned_layers
    backbone = ResNet(
        ResNetBottleneck,
        list(config.blocks),
        [width * 2**k for k in range(4)],
        spatial_dims=3,
        n_input_channels=1,
        conv1_t_stride=config.stem_stride,
        conv1_t_size=(7, 7, 7),
    )
    extractor = backbone_fpn_utils.BackboneWithFPN(
        backbone,
        {f"layer{k}": str(number) for number, k in enumerate(layers)},
        [width * 4 * 2 ** (k - 1) for k in layers],
        config.pyramid_channels,
        spatial_dims=3,
    )
    network = retinanet_network.RetinaNet(
        3, 1, config.anchors, extractor, size_divisible=config.size_divisible
    )
    anchors = AnchorGeneratorWithAnchorShape(config.feature_map_scales, config.anchor_shapes_vox)
    detector = retinanet_detector.RetinaNetDetector(network, anchors)
    detector.set_box_selector_parameters(
        score_thresh=limits.score_threshold,
        topk_candidates_per_level=limits.per_level,
        nms_thresh=limits.nms_overlap,
        detections_per_img=limits.per_scan,
    )
    detector.set_sliding_window_inferer(
        limits.window_vox, overlap=limits.overlap, sw_batch_size=1, mode="constant", device="cpu"
    )
    return detector.eval()
