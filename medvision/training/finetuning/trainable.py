"""Which weights of a pretrained network learn."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from medvision.config.finetuning import FineTuningConfig, Trainable
from medvision.models.lora import add_low_rank
from medvision.training.finetuning.network import Network


def choose_trainable(network: Network, settings: FineTuningConfig) -> None:
    """Freeze all but the head and what the settings name, in place."""
    if settings.train == "lora":
        add_low_rank(network.encoder, settings.lora_rank)
        return
    network.encoder.requires_grad_(requires_grad=False)
    if settings.train == "adapter":
        network.encoder.add_adapters(settings.adapter_width)
        return
    for weight in _chosen(network, settings.train):
        weight.requires_grad_()


def _chosen(network: Network, train: Trainable) -> Iterator[nn.Parameter]:
    encoder = network.encoder
    if train == "all":
        yield from encoder.parameters()
    elif train == "top":
        yield from _last_stage(network).parameters()
    elif train == "bias":
        yield from (weight for name, weight in encoder.named_parameters() if name.endswith("bias"))
    elif train == "norm":
        norms = (module for module in encoder.modules() if isinstance(module, _BatchNorm | nn.LayerNorm))
        yield from (weight for norm in norms for weight in norm.parameters())


def freeze_statistics(network: Network) -> None:
    """Let batch normalisations whose weights do not learn keep their running statistics, in training too."""
    for module in network.encoder.modules():
        if isinstance(module, _BatchNorm) and not module.weight.requires_grad:
            module.eval()


def _last_stage(network: Network) -> nn.Module:
    stage: nn.Module = network.encoder.backbone.stages()[-1]  # type: ignore[operator]  # a Backbone, perhaps 3D
    return stage
