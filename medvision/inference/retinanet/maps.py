"""The network on a whole volume: window by window, averaged where windows overlap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from medvision.config.retinanet import BoxConfig, Voxels
from medvision.errors import ModelError
from medvision.inference.retinanet.heads import (
    AIR,
    LUNG,
    TISSUE,
    Places,
    Source,
    head_maps,
    projected,
    sample,
    whole,
)
from medvision.inference.retinanet.windows import Layout, lay_out
from medvision.models.retinanet.network import Maps, RetinaNet, pooled

SAMPLED = 0.06
"""Share of a window's places that its mean and variance are estimated from, beside those looked at anyway."""

HALF_LOOKED_AT = 0.6
"""Where more of a level than this is wanted, a head simply looks everywhere."""

TISSUE_VALUE = 0.3
"""Above this share of the intensity window a place outside of the lungs is tissue, below it is air."""

CAREFUL = 0.5
"""Boxes are computed where a score is at least this share of the threshold: another window may raise it."""


@dataclass(frozen=True, slots=True)
class Engine:
    """How the network is run.

    Attributes:
        network: folded or not, in evaluation mode.
        limits: window, overlap and threshold.
        device: where the network is.
        dtype: precision of the convolutions.
    """

    network: RetinaNet
    limits: BoxConfig
    device: str = "cpu"
    dtype: torch.dtype = torch.float32

    def with_windows(self, shrink: int) -> Engine:
        """The same with windows whose sides are divided by `shrink`, of whole places."""
        if shrink == 1:
            return self
        steps = self.network.config.size_divisible
        x, y, z = (max(s, n // shrink // s * s) for n, s in zip(self.limits.window_vox, steps, strict=True))
        return replace(self, limits=self.limits.model_copy(update={"window_vox": (x, y, z)}))

    def maps(self, image: Tensor, where: Tensor | None = None) -> Maps:
        """The heads' maps of a volume.

        Args:
            image: float32 (X, Y, Z) in 0..1.
            where: bool (X, Y, Z) where boxes may have their centre; None for everywhere.

        Returns:
            Maps of a batch of one, of the volume filled up behind to whole places; logits of −∞ where nobody
            looked.

        Raises:
            ModelError: the network answers with NaN.
        """
        shape = image.shape[0], image.shape[1], image.shape[2]
        layout = lay_out(shape, self.limits, self.network.config.size_divisible)
        canvas = _on_canvas(image, layout, 0.0)
        wanted = None if where is None else _on_canvas(where, layout, value=False)
        sums: list[_Sums] = []
        for start in layout.starts:
            part = tuple(slice(a, a + n) for a, n in zip(start, layout.window, strict=True))
            looked = None if wanted is None else wanted[part]
            if looked is not None and not looked.any():
                continue
            for number, (size, answers) in enumerate(self._window(canvas[part], looked)):
                if number == len(sums):
                    sums.append(_Sums.empty(self.network, layout, size))
                sums[number].add(answers, start)
        if not sums:
            return self._nothing(layout)
        found = [one.result(layout) for one in sums]
        if any(bool(one.isnan().any()) for pair in found for one in pair):
            raise ModelError("the network answers with NaN: its weights are damaged; copy or train it again")
        return Maps([logits for logits, _ in found], [codes for _, codes in found])

    def _window(self, image: Tensor, where: Tensor | None) -> Iterator[tuple[Voxels, _Answers]]:
        """Level by level: its shape, and what the heads say."""
        with torch.inference_mode():
            seen = image[None, None].to(self.device, self.dtype)
            extractor = self.network.feature_extractor
            merged = extractor.fpn.merge(
                extractor.body(seen.contiguous(memory_format=torch.channels_last_3d))
            )
            layers = [cast(nn.Conv3d, layer) for layer in extractor.fpn.layer_blocks]
            for number, layer in enumerate(layers):
                one = merged.pop(0)
                places = None if where is None else _places(image, where, one)
                last = number == len(layers) - 1
                if places is not None and not last and places.worked_on() <= HALF_LOOKED_AT:
                    yield _size(one), self._partly(projected(layer, one, places), places)
                    continue
                level = layer(one)
                yield _size(level), self._answers(level, places)
            level = pooled(level)
            yield _size(level), self._answers(level, None if where is None else _places(image, where, level))

    def _answers(self, level: Tensor, places: Places | None) -> _Answers:
        """Of a level that is known everywhere."""
        if places is not None and places.worked_on() <= HALF_LOOKED_AT:
            return self._partly(whole(level), places)
        heads = self.network.classification_head, self.network.regression_head
        logits, codes = (head(level)[0].float().cpu() for head in heads)
        looked = places.wanted if places else torch.ones(logits.shape[1:], dtype=torch.bool)
        return _Answers(logits, looked, codes, looked)

    def _partly(self, source: Source, places: Places) -> _Answers:
        """Logits where they are wanted; codes where a logit is high enough for a box."""
        logits = head_maps(self.network.classification_head, source, places).cpu()
        close = logits.amax(dim=0).sigmoid() > CAREFUL * self.limits.score_threshold
        boxes = replace(places, wanted=places.wanted & close)
        codes = head_maps(self.network.regression_head, source, boxes).cpu()
        return _Answers(logits, places.wanted, codes, boxes.wanted)

    def _nothing(self, layout: Layout) -> Maps:
        """Maps of a volume that nothing was wanted of."""
        config = self.network.config
        logits, codes = [], []
        for number in range(len(config.feature_map_scales)):
            level = config.returned_layers[0] + number
            size = [n // (s * 2**level) for n, s in zip(layout.shape, config.stem_stride, strict=True)]
            logits.append(torch.full((1, config.anchors, *size), -torch.inf))
            codes.append(torch.zeros(1, config.anchors * 6, *size))
        return Maps(logits, codes)


@dataclass(frozen=True, slots=True)
class _Answers:
    """Of one level of one window: logits and codes, and where each is valid."""

    logits: Tensor
    logits_at: Tensor
    codes: Tensor
    codes_at: Tensor


@dataclass(frozen=True, slots=True)
class _Sums:
    """Of one level, over all windows of the canvas."""

    logits: Tensor
    logits_seen: Tensor
    codes: Tensor
    codes_seen: Tensor
    stride: Voxels

    @classmethod
    def empty(cls, network: RetinaNet, layout: Layout, size: Voxels) -> _Sums:
        """For a level of which a window has `size` places."""
        a, b, c = (w // n for w, n in zip(layout.window, size, strict=True))
        whole = [n // s for n, s in zip(layout.canvas, (a, b, c), strict=True)]
        anchors = network.config.anchors
        return cls(
            torch.zeros(anchors, *whole),
            torch.zeros(whole),
            torch.zeros(anchors * 6, *whole),
            torch.zeros(whole),
            (a, b, c),
        )

    def add(self, answers: _Answers, start: Voxels) -> None:
        """Count a window's answers in."""
        place = tuple(
            slice(a // s, a // s + n)
            for a, s, n in zip(start, self.stride, answers.logits_at.shape, strict=True)
        )
        self.logits[:, *place] += answers.logits * answers.logits_at
        self.logits_seen[place] += answers.logits_at
        self.codes[:, *place] += answers.codes * answers.codes_at
        self.codes_seen[place] += answers.codes_at

    def result(self, layout: Layout) -> tuple[Tensor, Tensor]:
        """Means, of the volume's part of the canvas, as a batch of one."""
        first = [a // s for a, s in zip(layout.before, self.stride, strict=True)]
        size = [n // s for n, s in zip(layout.shape, self.stride, strict=True)]
        part = tuple(slice(a, a + n) for a, n in zip(first, size, strict=True))
        seen = self.logits_seen[part]
        logits = (self.logits[:, *part] / seen.clamp(min=1)).masked_fill(seen == 0, -torch.inf)
        codes = self.codes[:, *part] / self.codes_seen[part].clamp(min=1)
        return logits[None], codes[None]


def _on_canvas(volume: Tensor, layout: Layout, value: float) -> Tensor:
    pads = [
        (before, whole - before - size)
        for before, whole, size in zip(layout.before, layout.canvas, volume.shape, strict=True)
    ]
    return functional.pad(volume, [amount for pair in reversed(pads) for amount in pair], value=value)


def _size(level: Tensor) -> Voxels:
    return level.shape[2], level.shape[3], level.shape[4]


def _places(image: Tensor, where: Tensor, level: Tensor) -> Places:
    """What is to be looked at in a level of a window."""
    wanted = functional.adaptive_max_pool3d(where[None, None].float(), level.shape[2:])[0, 0] > 0
    kinds = _kinds(image, wanted)
    return Places(wanted, kinds, sample(kinds, SAMPLED))


def _kinds(image: Tensor, wanted: Tensor) -> Tensor:
    """uint8: lung where an answer is wanted, elsewhere tissue or air, place by place."""
    x, y, z = wanted.shape
    mean = functional.adaptive_avg_pool3d(image[None, None], (x, y, z))[0, 0]
    kinds = torch.where(mean > TISSUE_VALUE, TISSUE, AIR).to(torch.uint8)
    kinds[wanted] = LUNG
    return kinds
