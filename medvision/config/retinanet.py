"""What a RetinaNet is: its layers and anchors, the grid it looks at, and how boxes are chosen.

The defaults are those of MONAI's `lung_nodule_ct_detection` bundle. All triples are in the order x, y, z of a
volume whose axes run to the patient's right, front and head, as MONAI's "RAS".
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from medvision.config.base import Settings

Voxels = tuple[int, int, int]
Millimetres = tuple[float, float, float]

NORM_GROUPS = 8
"""Groups of each group normalisation in the heads; the pyramid's channels are a multiple of it."""


class RetinaNetConfig(Settings):
    """Layers and anchors."""

    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    """Bottleneck blocks of each of the ResNet's layers; ResNet-50's."""

    width: int = Field(default=64, ge=4)
    """Channels of the ResNet's stem; its layers have 4, 8, 16 and 32 times as many."""

    pyramid_channels: int = Field(default=256, ge=2 * NORM_GROUPS, multiple_of=NORM_GROUPS)
    """Channels of the feature pyramid and of both heads."""

    stem_stride: Voxels = (2, 2, 1)
    """Stride of the first convolution."""

    returned_layers: tuple[int, ...] = Field(default=(1, 2), min_length=1)
    """Layers of the ResNet that the pyramid stands on; one level more is pooled from the last."""

    feature_map_scales: tuple[float, ...] = (1.0, 2.0, 4.0)
    """By what the anchors of each level are larger than the base shapes."""

    anchor_shapes_vox: tuple[Millimetres, ...] = Field(
        default=((6, 8, 4), (8, 6, 5), (10, 10, 6)), min_length=1
    )
    """Base anchors: width, height and depth in voxels."""

    @property
    def anchors(self) -> int:
        """Anchors at each place."""
        return len(self.anchor_shapes_vox)

    @property
    def size_divisible(self) -> Voxels:
        """What each axis of the network's input must be a multiple of."""
        a, b, c = (stride * 2 * 2 ** max(self.returned_layers) for stride in self.stem_stride)
        return a, b, c

    @model_validator(mode="after")
    def _levels_agree(self) -> Self:
        layers = self.returned_layers
        if list(layers) != list(range(layers[0], layers[0] + len(layers))) or layers[0] < 1 or layers[-1] > 4:
            raise ValueError(f"has returned_layers {list(layers)}; they follow each other, from 1 to 4")
        if len(self.feature_map_scales) != len(layers) + 1:
            raise ValueError(
                f"has {len(self.feature_map_scales)} feature_map_scales for {len(layers) + 1} levels"
            )
        return self


class GridConfig(Settings):
    """The grid and the intensities that the network looks at."""

    spacing_mm: Millimetres = (0.703125, 0.703125, 1.25)
    """Of the resampled volume."""

    window_hu: tuple[float, float] = (-1024.0, 300.0)
    """Becomes 0 to 1; what lies beyond is clipped."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if min(self.spacing_mm) <= 0.2 or max(self.spacing_mm) >= 5:
            raise ValueError(f"has spacing_mm {list(self.spacing_mm)}; each is between 0.2 and 5")
        if self.window_hu[0] >= self.window_hu[1]:
            raise ValueError(f"has window_hu {list(self.window_hu)}; the lower bound comes first")
        return self


class BoxConfig(Settings):
    """From the network's maps to boxes."""

    window_vox: Voxels = (512, 512, 192)
    """Of the sliding window; a volume of fewer voxels is looked at whole."""

    overlap: float = Field(default=0.25, ge=0, lt=1)
    """Of neighbouring windows, as a share of their size; where they overlap the maps are averaged."""

    score_threshold: float = Field(default=0.02, ge=0, lt=1)
    """Boxes below are dropped."""

    per_level: int = Field(default=1000, ge=1)
    """At most so many boxes of each level, the best ones."""

    nms_overlap: float = Field(default=0.22, ge=0, le=1)
    """A box that overlaps a better one by more (intersection over union) is dropped."""

    per_scan: int = Field(default=300, ge=1)
    """At most so many boxes of a volume, the best ones."""
