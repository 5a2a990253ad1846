"""Small bottlenecks between the frozen stages of a network: few weights learn.

Source: Houlsby et al., "Parameter-efficient transfer learning for NLP", ICML 2019 (arXiv:1902.00751); for
convolutional networks Rebuffi et al., "Learning multiple visual domains with residual adapters", NeurIPS 2017
(arXiv:1705.08045).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Adapter(nn.Module):
    """x + up(relu(down(x))) in every place of the maps; at first nothing is added."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(channels, width), nn.Linear(width, channels)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, …) → the same shape."""
        added: Tensor = self.up(torch.relu(self.down(maps.movedim(1, -1))))
        return maps + added.movedim(-1, 1)
