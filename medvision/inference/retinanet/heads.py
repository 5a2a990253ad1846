"""A head of the RetinaNet where it is needed, with the answer it would give if it looked everywhere.

The heads are nearly all of the network's work, and nodules are sought in the lungs alone. But their group
normalisation takes its mean and variance over the whole window, so the rest cannot simply be left out. Here a
head works on blocks: all those that its answer depends on, and a sample of the others, from which mean and
variance of the whole window are estimated, kind of place by kind of place (lung, tissue, air).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from medvision.models.retinanet.network import HEAD_LAYERS, Head

BLOCK = (4, 4, 16)
"""Places of a block: 16 in a row, as matrix units take them. With AMX blocks of 4³ are three times slower."""

CLUSTER = (16, 16, 16)
"""Places of a sample, in whole blocks: each convolution leaves only its middle as it should be."""

BATCH = 16
"""Blocks that are convolved at once."""

REACH = HEAD_LAYERS + 1
"""Places on each side that one place of a head's answer depends on."""

KINDS = 3
LUNG, TISSUE, AIR = range(KINDS)


@dataclass(frozen=True, slots=True)
class Places:
    """What is to be looked at, and what the rest is like.

    Attributes:
        wanted: bool (X, Y, Z): where an answer is wanted.
        kinds: uint8 (X, Y, Z): `LUNG`, `TISSUE` or `AIR`.
        sampled: bool (X, Y, Z): looked at for mean and variance alone.
    """

    wanted: Tensor
    kinds: Tensor
    sampled: Tensor

    def to(self, device: torch.device) -> Places:
        """On a device."""
        return Places(self.wanted.to(device), self.kinds.to(device), self.sampled.to(device))

    def worked_on(self) -> float:
        """Share of the map that a head has to work on."""
        return float((_grown(self.wanted, HEAD_LAYERS // 2) | self.sampled).float().mean())


def sample(kinds: Tensor, share: float) -> Tensor:
    """Draw clusters of blocks evenly among each kind of place; the same ones each time.

    Args:
        kinds: uint8 (X, Y, Z).
        share: of the clusters, in 0..1.

    Returns:
        bool (X, Y, Z).
    """
    counts = functional.one_hot(kinds.long(), KINDS).permute(3, 0, 1, 2).float()
    most = _pooled(counts, CLUSTER).argmax(dim=0)
    drawn = torch.zeros_like(most, dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)
    for kind in range(KINDS):
        of_kind = torch.nonzero(most == kind)
        count = min(len(of_kind), max(2, round(share * len(of_kind))))
        # One of each n along the scan: spread out, and in step with nothing in the body.
        drawn_at = torch.arange(count) + torch.rand(count, generator=generator)
        chosen = (drawn_at * len(of_kind) / max(count, 1)).long()
        drawn[tuple(of_kind[chosen].T)] = True
    return _spread(drawn, CLUSTER, kinds.shape)


@dataclass(frozen=True, slots=True)
class Source:
    """A level of the pyramid, as blocks are cut from it.

    Attributes:
        buffer: (X', Y', Z', C): channels last, a place of zeros around it, whole blocks.
        right: bool (X, Y, Z): where it holds what the network says.
    """

    buffer: Tensor
    right: Tensor


def whole(level: Tensor) -> Source:
    """A level that is known everywhere, (1, C, X, Y, Z)."""
    right = torch.ones(level.shape[2:], dtype=torch.bool, device=level.device)
    return Source(_buffer(level), right)


def projected(layer: nn.Conv3d, merged: Tensor, places: Places) -> Source:
    """A level that is worked out only where the heads need it.

    Args:
        layer: the pyramid's last convolution of the level.
        merged: (1, C, X, Y, Z), what it takes.
        places: where answers are wanted of the heads.
    """
    places = places.to(merged.device)
    blocks = _Blocks.around(_grown(places.wanted, REACH) | places.sampled)
    source = _buffer(merged)
    target = torch.zeros_like(source)
    blocks.convolve(layer, source, target)
    return Source(target, blocks.active)


def head_maps(head: Head, source: Source, places: Places) -> Tensor:
    """What a head says of a level.

    Args:
        head: of the network.
        source: the level.
        places: where.

    Returns:
        float32 (channels, X, Y, Z), right where an answer is wanted.
    """
    if not places.wanted.any():
        return torch.zeros(head.last.out_channels, *source.right.shape)
    places = places.to(source.right.device)
    totals = torch.bincount(places.kinds.flatten().long(), minlength=KINDS).double()
    taken, right = source.buffer, source.right
    given, spare = torch.zeros_like(taken), torch.zeros_like(taken)
    for number in range(HEAD_LAYERS):
        convolution = cast(nn.Conv3d, head.conv[3 * number])
        norm = cast(nn.GroupNorm, head.conv[3 * number + 1])
        blocks = _Blocks.around(_grown(places.wanted, HEAD_LAYERS - number) | places.sampled)
        right = _shrunk(right) & blocks.active
        sums = blocks.convolve(convolution, taken, given, _weights(right, places.kinds, totals))
        blocks.normalise(norm, given, sums)
        taken, given, spare = given, spare, given
    return _Blocks.around(places.wanted).answer(head.last, taken)


def _weights(clean: Tensor, kinds: Tensor, totals: Tensor) -> Tensor:
    """How many places of the window each clean place stands for; all together stand for 1."""
    counts = torch.bincount(kinds[clean].long(), minlength=KINDS).double()
    seen = torch.where(counts > 0, totals, 0)
    each = torch.where(counts > 0, seen / counts.clamp(min=1) / seen.sum(), 0).float()
    return each[kinds.long()] * clean


@dataclass(frozen=True, slots=True)
class _Blocks:
    """The blocks that are worked on.

    Attributes:
        corners: (N, 3) first place of each.
        active: bool (X, Y, Z) of the map.
    """

    corners: list[list[int]]
    active: Tensor

    @classmethod
    def around(cls, needed: Tensor) -> _Blocks:
        """All blocks that hold a needed place."""
        held = _pooled(needed[None].float(), BLOCK)[0] > 0
        corners = (torch.nonzero(held) * torch.tensor(BLOCK, device=held.device)).tolist()
        return cls(corners, _spread(held, BLOCK, needed.shape))

    @property
    def shape(self) -> Sequence[int]:
        """Of the map."""
        return self.active.shape

    def convolve(
        self, layer: nn.Conv3d, source: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> Tensor:
        """Write a convolution's output; return the weighted sums of it and of its square, (2, C)."""
        sums = torch.zeros(2, layer.out_channels, device=source.device)
        each = None if weights is None else functional.pad(weights, _behind(self.shape, BLOCK))
        for corners in self._batches():
            output = self._convolved(layer, source, corners)
            if each is not None:
                inside = torch.stack([each[_part(corner)] for corner in corners]).flatten()
                flat = output.permute(0, 2, 3, 4, 1).flatten(0, 3).float()
                sums[0] += inside @ flat
                sums[1] += inside @ flat.square()
            for corner, block in zip(corners, output, strict=True):
                self._write(target, corner, block)
        return sums

    def normalise(self, norm: nn.GroupNorm, target: Tensor, sums: Tensor) -> None:
        """Group normalisation with given sums, and ReLU, in place."""
        mean, square = sums.reshape(2, norm.num_groups, -1).mean(dim=2)
        scale = (square - mean.square()).clamp(min=0).add(norm.eps).rsqrt()
        each = norm.num_channels // norm.num_groups
        slope = norm.weight * scale.repeat_interleave(each)
        offset = norm.bias - mean.repeat_interleave(each) * slope
        for corner in self.corners:
            part = target[self._inside(corner)]
            part.copy_(torch.addcmul(offset, part.float(), slope).relu_())

    def answer(self, layer: nn.Conv3d, source: Tensor) -> Tensor:
        """The last convolution, as a map with zeros elsewhere."""
        result = torch.zeros(layer.out_channels, *self.shape, device=source.device)
        for corners in self._batches():
            for corner, block in zip(corners, self._convolved(layer, source, corners), strict=True):
                part = result[:, *_part(corner)]
                part.copy_(block[:, : part.shape[1], : part.shape[2], : part.shape[3]])
        return result

    def _batches(self) -> list[list[list[int]]]:
        return [self.corners[first : first + BATCH] for first in range(0, len(self.corners), BATCH)]

    @staticmethod
    def _convolved(layer: nn.Conv3d, source: Tensor, corners: list[list[int]]) -> Tensor:
        """(n, C, *BLOCK) of blocks that are seen with a place around them."""
        seen = torch.stack([source[_part(corner, around=2)] for corner in corners])
        return functional.conv3d(seen.permute(0, 4, 1, 2, 3), layer.weight, layer.bias)

    def _inside(self, corner: list[int]) -> tuple[slice, slice, slice]:
        """A block in a buffer, without what is behind the map."""
        x, y, z = (
            slice(a + 1, min(a + edge, n) + 1) for a, edge, n in zip(corner, BLOCK, self.shape, strict=True)
        )
        return x, y, z

    def _write(self, target: Tensor, corner: list[int], block: Tensor) -> None:
        part = target[self._inside(corner)]
        x, y, z = part.shape[:3]
        part.copy_(block[:, :x, :y, :z].permute(1, 2, 3, 0))


def _part(corner: Sequence[int], around: int = 0) -> tuple[slice, slice, slice]:
    """A block of a map; with two places around it, of a map with one before."""
    x, y, z = (slice(a, a + edge + around) for a, edge in zip(corner, BLOCK, strict=True))
    return x, y, z


def _behind(shape: Sequence[int], block: Sequence[int]) -> list[int]:
    """As `functional.pad` takes it: what a map lacks to whole blocks."""
    return [amount for n, edge in zip(shape[::-1], block[::-1], strict=True) for amount in (0, -n % edge)]


def _buffer(level: Tensor) -> Tensor:
    """(1, C, X, Y, Z) → (X', Y', Z', C): see `Source`."""
    pads = [amount + 1 for amount in _behind(level.shape[2:], BLOCK)]
    return functional.pad(level[0].permute(1, 2, 3, 0), (0, 0, *pads))


def _pooled(maps: Tensor, block: tuple[int, int, int]) -> Tensor:
    """(C, X, Y, Z) → mean of each block, zeros behind the map."""
    return functional.avg_pool3d(functional.pad(maps, _behind(maps.shape[1:], block))[None], block)[0]


def _spread(blocks: Tensor, block: tuple[int, int, int], shape: Sequence[int]) -> Tensor:
    """A value a block → a value a place."""
    for axis, (edge, size) in enumerate(zip(block, shape, strict=True)):
        blocks = blocks.repeat_interleave(edge, dim=axis).narrow(axis, 0, size)
    return blocks


def _grown(mask: Tensor, places: int) -> Tensor:
    """Dilated by a cube."""
    return _largest(mask.float(), places) > 0


def _shrunk(mask: Tensor) -> Tensor:
    """Eroded by one place; the map's border does not erode it, for zeros are what lies behind it."""
    return _largest((~mask).float(), 1) == 0


def _largest(values: Tensor, places: int) -> Tensor:
    """Of all that lie up to so many places away along each axis, one axis after another."""
    for axis in range(3):
        size, pad = [1, 1, 1], [0, 0, 0]
        size[axis], pad[axis] = 2 * places + 1, places
        values = functional.max_pool3d(values[None, None], size, 1, pad)[0, 0]
    return values
