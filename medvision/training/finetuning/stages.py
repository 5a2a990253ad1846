"""Lower stages learn more slowly, and later: what is general stays as it is the longest.

Source: Howard and Ruder, "Universal language model fine-tuning for text classification", ACL 2018
(arXiv:1801.06146): discriminative rates and gradual unfreezing.
"""

from __future__ import annotations

from torch import nn

from medvision.config.finetuning import OptimiserConfig
from medvision.models.encoder import Encoder


def learning_by_stage(encoder: Encoder) -> list[list[nn.Parameter]]:
    """The learning weights of each stage, the last stage first; the lowest also has what belongs to none.

    Stages in which nothing learns are left out.
    """
    stages = encoder.backbone.stages()  # type: ignore[operator]  # a Backbone, perhaps made 3D
    modules = [stage for stage in stages if isinstance(stage, nn.Module)]
    groups: list[list[nn.Parameter]] = []
    seen: set[int] = set()
    for number, module in reversed(list(enumerate(modules))):
        weights = list(module.parameters())
        if encoder.adapters is not None:
            weights += encoder.adapters[number + len(stages) - len(modules)].parameters()
        seen.update(map(id, weights))
        groups.append(weights)
    groups.append([weight for weight in encoder.parameters() if id(weight) not in seen])
    learning = [[weight for weight in group if weight.requires_grad] for group in groups]
    return [group for group in learning if group]


def relative_rates(settings: OptimiserConfig, stages: int, epoch: int) -> list[float]:
    """Learning rate of each stage as a part of the head's, the last stage first; 0 before it joins."""
    joins = [settings.head_first + depth * settings.unfreeze_every for depth in range(stages)]
    return [
        settings.backbone_rate * settings.stage_decay**depth if epoch >= join else 0.0
        for depth, join in enumerate(joins)
    ]
