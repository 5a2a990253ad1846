"""2D networks whose ImageNet checkpoints are published, each seen as a sequence of stages.

Names of modules are those of the published checkpoints (torchvision's; EfficientNet-PyTorch's for
EfficientNet-Lite), so that files load key for key without torchvision being installed.
"""

from medvision.models.backbones.registry import BACKBONES, build_backbone
from medvision.models.backbones.stages import Backbone

__all__ = ["BACKBONES", "Backbone", "build_backbone"]
