"""Native Pixel Data without what can hide in it: bits above Bits Stored, bytes behind the last pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medvision.dicom.deidentify.elements import read_text

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_ROWS, _COLUMNS, _SAMPLES, _FRAMES = 0x00280010, 0x00280011, 0x00280002, 0x00280008
_ALLOCATED, _STORED, _HIGH_BIT, _SIGNED = 0x00280100, 0x00280101, 0x00280102, 0x00280103
_PIXEL_DATA = 0x7FE00010
_HIDING_BITS = 16
"""Only words of this width have bits to spare in practice: CT has 12 of 16."""


def tidy_pixels(dataset: Dataset, *, big_endian: bool) -> None:
    """Cut Pixel Data to the size that the header says, and make its unused bits repeat the sign (or 0).

    Old scanners drew overlays, names among them, into the unused bits (PS3.5 8.1.2). Encapsulated Pixel Data
    is left as it is.

    Args:
        dataset: changed in place.
        big_endian: byte order of the words.
    """
    element = dataset.get(_PIXEL_DATA)
    if element is None or element.is_undefined_length or not isinstance(element.value, bytes):
        return
    allocated = _number(dataset, _ALLOCATED, 0)
    n_values = _number(dataset, _ROWS, 0) * _number(dataset, _COLUMNS, 0)
    n_values *= _number(dataset, _SAMPLES, 1) * _number(dataset, _FRAMES, 1)
    value = element.value[: -(-n_values * allocated // 8)] if n_values and allocated else element.value
    if allocated == _HIDING_BITS and len(value) % 2 == 0:
        value = _without_unused_bits(dataset, value, ">" if big_endian else "<")
    element.value = value + b"\0" * (len(value) % 2)


def _without_unused_bits(dataset: Dataset, value: bytes, order: str) -> bytes:
    stored = _number(dataset, _STORED, _HIDING_BITS)
    below = _number(dataset, _HIGH_BIT, stored - 1) + 1 - stored
    above = _HIDING_BITS - stored - below
    if not 0 < stored < _HIDING_BITS or below < 0 or above < 0:
        return value
    signed = _number(dataset, _SIGNED, 0) == 1
    words = np.frombuffer(value, f"{order}{'i' if signed else 'u'}2")
    cleared = (words << above) >> (above + below) << below
    return value if np.array_equal(cleared, words) else cleared.astype(words.dtype).tobytes()


def _number(dataset: Dataset, tag: int, default: int) -> int:
    text = read_text(dataset, tag)
    return int(text) if text.isdecimal() else default
