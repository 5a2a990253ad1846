"""Words drawn into every slice of a CT: pixels that are exactly the same from the first slice to the last.

A scanner's noise makes no two slices alike, so what stays to the last bit is no anatomy but drawn (or
padding, which is air here). A row of several small shapes of one height is a line of letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWN_ABOVE_HU = -900
"""Air and padding are the same in every slice of a processed scan, too."""
MIN_SLICES = 10
LETTER_HEIGHT_VOX = (5, 64)
MIN_LETTERS = 4
MAX_GAP = 2.0
"""Space between neighbouring letters, in heights of a letter."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """A connected shape's box: rows and columns, ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top


def shows_text(hu: NDArray[np.int16]) -> bool:
    """Whether a line of letters stands in every slice of a volume, exactly alike.

    Args:
        hu: int16, slices × rows × columns.
    """
    if len(hu) < MIN_SLICES:
        return False
    drawn = _same_in_every_slice(hu)
    return bool(drawn.any()) and _has_line(_letters(drawn))


def _same_in_every_slice(hu: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Rows × columns: above air, and one value through the whole volume."""
    same = np.zeros(hu.shape[1:], np.bool_)
    places = np.flatnonzero(hu[0] > DRAWN_ABOVE_HU)
    values = hu[0].ravel()[places]
    for plane in hu[1:]:
        alike = plane.ravel()[places] == values
        places, values = places[alike], values[alike]
        if not places.size:
            break
    same.flat[places] = True
    return same


def _letters(drawn: NDArray[np.bool_]) -> list[_Shape]:
    """Shapes of a letter's size, from left to right."""
    from scipy import ndimage

    labels, _ = ndimage.label(drawn, np.ones((3, 3)))
    shapes = [_Shape(r.start, r.stop, c.start, c.stop) for r, c in ndimage.find_objects(labels)]
    low, high = LETTER_HEIGHT_VOX
    letters = [s for s in shapes if low <= s.height <= high and s.right - s.left <= 2 * s.height]
    return sorted(letters, key=lambda shape: shape.left)


def _has_line(letters: Sequence[_Shape]) -> bool:
    return any(_length_of_line(letters[k:]) >= MIN_LETTERS for k in range(len(letters)))


def _length_of_line(letters: Sequence[_Shape]) -> int:
    """How many letters follow the first one on its line, itself included."""
    last, count = letters[0], 1
    for letter in letters[1:]:
        in_line = abs((letter.top + letter.bottom) - (last.top + last.bottom)) <= last.height
        alike = 0.5 <= letter.height / last.height <= 2
        near = 0 <= letter.left - last.right <= MAX_GAP * last.height
        if in_line and alike and near:
            last, count = letter, count + 1
    return count
