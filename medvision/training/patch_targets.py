"""What is learnt of each patch: a rating as one number or step by step, readers' disagreement, other ratings.

Every target lies between 0 and 1 and is an output of its own. Step by step: is the rating above 1, above 2, …
(Frank and Hall, "A simple approach to ordinal classification", ECML 2001); where several readers have rated,
the target of a step is the share of them that goes beyond it, so that disagreement is learnt as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medvision.datasets.patches import PatchRecord
from medvision.errors import ContractError, DataError

Values = NDArray[np.float64]
Numbers = NDArray[np.intp]

MOST_STEPS = 8
"""Finer scales, such as means of readers, are parted into so many steps of about equal frequency."""


@dataclass(frozen=True, slots=True)
class PatchTargets:
    """The labels of N patches.

    Attributes:
        scores: (N,) the label where it is a number, else the class.
        opinions: (N, R) the same as each reader gave it; NaN where one gave none. R is 0 or more.
        ratings: (N, A) other ratings that are learnt beside it; NaN where there is none.
        stepwise: learn the label step by step.
    """

    scores: Values
    opinions: Values
    ratings: Values
    stepwise: bool

    def soft(self, chosen: Numbers, known: Numbers) -> Tensor:
        """(n, outputs) float32 targets of chosen patches, on scales that the known patches span."""
        main = self._steps(chosen, known) if self.stepwise else _scaled(self._mean()[:, None], chosen, known)
        return torch.from_numpy(np.concatenate([main, _scaled(self.ratings, chosen, known)], axis=1)).float()

    def one_number(self, chosen: Numbers, known: Numbers) -> Values:
        """(n,) what a regression learns of chosen patches: the label, or the mean over its steps."""
        return self._steps(chosen, known).mean(axis=1) if self.stepwise else self._mean()[chosen]

    def main_outputs(self, known: Numbers) -> int:
        """How many of the outputs are about the label."""
        return len(self._borders(known)) if self.stepwise else 1

    def _heard(self) -> Values:
        """(N, R ≥ 1) what each reader gave; the label where none gave anything."""
        if not self.opinions.shape[1]:
            return self.scores[:, None]
        silent = np.isnan(self.opinions).all(axis=1, keepdims=True)
        return np.where(silent, self.scores[:, None], self.opinions)

    def _mean(self) -> Values:
        return np.asarray(np.nanmean(self._heard(), axis=1))

    def _steps(self, chosen: Numbers, known: Numbers) -> Values:
        """Share of the readers beyond each border."""
        heard = self._heard()[chosen]
        above = [np.where(np.isnan(heard), np.nan, heard > border) for border in self._borders(known)]
        return np.stack([np.nanmean(step, axis=1) for step in above], axis=1)

    def _borders(self, known: Numbers) -> Values:
        """Values that a rating can go beyond."""
        levels = np.unique(self._heard()[known])
        levels = levels[~np.isnan(levels)]
        if len(levels) > MOST_STEPS + 1:
            shares = np.arange(1, MOST_STEPS + 1) / (MOST_STEPS + 1)
            return np.unique(np.quantile(self._mean()[known], shares))
        return levels[:-1] if len(levels) > 1 else levels


def combine_outputs(head: nn.Linear, main: int) -> nn.Linear:
    """The mean of the outputs about the label as one output; those of other ratings are left."""
    with torch.no_grad():
        combined = nn.Linear(head.in_features, 1)
        combined.weight.copy_(head.weight[:main].mean(dim=0, keepdim=True))
        combined.bias.copy_(head.bias[:main].mean(dim=0, keepdim=True))
    return combined


def read_numbers(source: object, records: Sequence[PatchRecord], columns: Sequence[str]) -> Values:
    """(N, columns) of a manifest as numbers; NaN where a cell is empty.

    Raises:
        ContractError: a column that is missing.
        DataError: a cell that is no number.
    """
    values = np.full((len(records), len(columns)), np.nan)
    for number, record in enumerate(records):
        for place, column in enumerate(columns):
            if column not in record.columns:
                there = ", ".join(record.columns)
                raise ContractError(f"{source}: column {column!r} is missing (there are: {there})")
            if cell := record.columns[column]:
                values[number, place] = _number(source, column, cell)
    return values


def _number(source: object, column: str, cell: str) -> float:
    try:
        return float(cell)
    except ValueError as error:
        raise DataError(
            f"{source}: column {column!r} holds {cell[:40]!r}; give numbers or nothing"
        ) from error


def _scaled(values: Values, chosen: Numbers, known: Numbers) -> Values:
    """Each column from 0 to 1 between the extremes of the known ones; their mean where there is no value."""
    if not values.shape[1]:
        return np.empty((len(chosen), 0))
    low, high = np.nanmin(values[known], axis=0), np.nanmax(values[known], axis=0)
    scaled = ((values - low) / np.maximum(high - low, np.finfo(float).tiny)).clip(0, 1)
    filled: Values = np.where(np.isnan(scaled[chosen]), np.nanmean(scaled[known], axis=0), scaled[chosen])
    return filled
