"""Patches as they are needed: remembered where they fit into memory, else read again from their files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import overload

import torch
from torch import Tensor

from medvision.datasets.patches import PatchRecord

MOST_REMEMBERED = 1 << 30
"""Bytes of float32 voxels."""


class PatchSource(Sequence[Tensor]):
    """The patches of some records, (D, H, W) float32 each."""

    def __init__(self, records: Sequence[PatchRecord], most_remembered: int = MOST_REMEMBERED) -> None:
        self._records = records
        size = sum(4 * math.prod(record.shape) for record in records)
        self._remembered: dict[int, Tensor] | None = {} if size <= most_remembered else None

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, at: int) -> Tensor: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Tensor]: ...

    def __getitem__(self, at: int | slice) -> Tensor | Sequence[Tensor]:
        """Read one.

        Raises:
            DataError: its file cannot be read, or holds values that are not finite.
        """
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        if self._remembered is None:
            return torch.from_numpy(self._records[at].load())
        if at not in self._remembered:
            self._remembered[at] = torch.from_numpy(self._records[at].load())
        return self._remembered[at]
