"""Batches of patches, made in a thread while the network learns from the ones before.

Not torch's DataLoader: its workers are forked, and beside a program that has threads of its own, such as a
Prefect flow, a forked worker may hang or die.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

from torch import Tensor

from medvision.prefetch import prefetch

AHEAD = 8
"""Batches that wait in memory; 2 MiB each at the usual size."""


class Patches(Protocol):
    """What a loader takes its batches from."""

    def __len__(self) -> int:
        """Number of patches."""

    def batch(self, indices: range) -> dict[str, Tensor]:
        """These patches, stacked along the first axis; called from several threads."""


class Rounds(Protocol):
    """What changes the patches every so many batches, by what was learnt from those before."""

    @property
    def every(self) -> int:
        """Batches a round."""

    def begin(self, batch: int) -> None:
        """A round begins with this batch; after an interruption also one that had begun before."""


class PatchLoader:
    """Goes through the patches in their order; the last batch may be smaller.

    Args:
        patches: where they come from.
        batch_size: patches a batch.
        threads: that make batches.
        first: number of the first batch, where earlier ones were learnt from before an interruption.
        share: this process and how many there are: of each batch it gets every so manieth patch. No patch is
            in two shares, and together they are the batch.
        rounds: told when all batches before a round have been learnt from; none of the round is made earlier.
    """

    def __init__(
        self,
        patches: Patches,
        batch_size: int,
        threads: int = 1,
        *,
        first: int = 0,
        share: tuple[int, int] = (0, 1),
        rounds: Rounds | None = None,
    ) -> None:
        self.patches, self.batch_size, self.threads, self.first = patches, batch_size, threads, first
        self.share, self.rounds = share, rounds

    def __len__(self) -> int:
        """Number of batches, those before the first one too."""
        return math.ceil(len(self.patches) / self.batch_size)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yield what `batch` of the patches makes, such as (B, 1, E, E, E) images."""
        first, every = self.first, self.rounds.every if self.rounds else len(self)
        while first < len(self):
            last = min((first // every + 1) * every, len(self))
            if self.rounds:
                self.rounds.begin(first // every * every)
            for _, batch in prefetch(self._make, range(first, last), threads=self.threads, ahead=AHEAD):
                yield batch.result()
            first = last

    def _make(self, number: int) -> dict[str, Tensor]:
        return self.patches.batch(self.indices(number))

    def indices(self, number: int) -> range:
        """Numbers of the patches of a batch, or of this process's share of it."""
        first = number * self.batch_size
        whole = range(first, min(first + self.batch_size, len(self.patches)))
        rank, ranks = self.share
        return whole[rank::ranks]
