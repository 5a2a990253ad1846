"""What comes out: categories, a risk, and what was missing for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Applies = Literal["yes", "no", "unknown"]


@dataclass(frozen=True, slots=True)
class Category:
    """What one guideline suggests for one nodule.

    Attributes:
        guideline: name and edition.
        category: such as "4A", or a range such as "3 to 4A" where the facts leave several open.
        possible: all that the facts leave open, the least suspicious first.
        words: one sentence for a reader.
        reason: which row of the guideline, and what was assumed.
    """

    guideline: str
    category: str
    possible: tuple[str, ...]
    words: str
    reason: str


@dataclass(frozen=True, slots=True)
class CancerRisk:
    """Probability of cancer by a published model, as a range over what is not known.

    Attributes:
        model: name and variant.
        lower: over all values of what is missing, in [0, 1].
        upper: the same; equal to `lower` where nothing is missing.
        missing: what was not known, in words.
    """

    model: str
    lower: float
    upper: float
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What one guideline suggests for the whole examination.

    Attributes:
        guideline: name and edition.
        applies: whether the patient is one it was made for; "unknown" until told.
        category: of the most suspicious nodule; empty where none is suggested.
        finding_id: that nodule; None where none is suggested.
        words: one or two sentences for a reader.
        reason: of the category, or why there is none.
        missing: what would make it more certain, in words.
        source: where the guideline is published.
    """

    guideline: str
    applies: Applies
    category: str
    finding_id: str | None
    words: str
    reason: str
    missing: tuple[str, ...]
    source: str
