"""From the bytes of one file to HU.

Native syntaxes are read where they lie; the others go through pydicom's decoder plugins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.dicom.elements import (
    DEFLATED_LITTLE,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    BadElementError,
    dataset_start,
    inflate,
)
from medvision.dicom.headers import Header, PixelEncoding, Rescale
from medvision.dicom.problems import Reason

AIR_HU = -1024
"""What padding and everything below it become."""
PADDING_MAX_HU = -900.0
PADDING_MIN_HU = 3000.0
"""A Pixel Padding Value that means something between these two is tissue: the header is not believed."""

_NATIVE = frozenset([IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED_LITTLE])
_JPEG = "1.2.840.10008.1.2.4."
_COMPRESSED = frozenset(
    [_JPEG + number for number in ("50", "51", "57", "70", "80", "81", "90", "91", "201", "202", "203")]
    + ["1.2.840.10008.1.2.5"]  # RLE
)
_INT16_MAX = 32767


class PixelError(Exception):
    """Pixel Data that cannot be decoded."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def is_decodable(pixels: PixelEncoding) -> bool:
    """Whether there is a decoder for it."""
    return pixels.transfer_syntax in _NATIVE | _COMPRESSED and pixels.bits_allocated in (8, 16, 32)


def stored_values(header: Header, data: bytes) -> NDArray[np.integer]:
    """Decode one frame.

    Args:
        header: of the frame.
        data: the whole file.

    Returns:
        stored values (before rescale), rows × columns.

    Raises:
        PixelError: the bytes cannot be decoded.
    """
    pixels = header.pixels
    if pixels is None or not is_decodable(pixels):
        raise PixelError("unsupported_syntax", f"no decoder for {pixels and pixels.transfer_syntax}")
    if pixels.transfer_syntax in _NATIVE and pixels.length is not None:
        return _native(header, pixels, data)
    return _compressed(header, pixels, data)


def _native(header: Header, pixels: PixelEncoding, data: bytes) -> NDArray[np.integer]:
    if pixels.deflated:
        data = _inflate(data)
    kind = "i" if pixels.signed else "u"
    dtype = np.dtype(f"{'>' if pixels.big_endian else '<'}{kind}{pixels.bits_allocated // 8}")
    count = header.rows * header.columns
    offset = pixels.offset + header.frame * count * dtype.itemsize
    if offset + count * dtype.itemsize > len(data):
        raise PixelError("truncated", f"file ends at byte {len(data)}, inside Pixel Data")
    values = np.frombuffer(data, dtype, count, offset).reshape(header.rows, header.columns)
    return _clean_unused_bits(values.astype(dtype.newbyteorder("="), copy=False), pixels)


def _inflate(data: bytes) -> bytes:
    try:
        return inflate(data, dataset_start(data))
    except BadElementError as error:
        raise PixelError("bad_pixels", str(error)) from error


def _clean_unused_bits(values: NDArray[np.integer], pixels: PixelEncoding) -> NDArray[np.integer]:
    """Drop bits beyond Bits Stored, which may hold overlays, and extend the sign (PS3.5 8.1.1)."""
    above = pixels.bits_allocated - 1 - pixels.high_bit
    unused = pixels.bits_allocated - pixels.bits_stored
    if unused <= 0 or not 0 <= above <= unused:
        return values
    return np.asarray((values << above) >> unused)


def _compressed(header: Header, pixels: PixelEncoding, data: bytes) -> NDArray[np.integer]:
    from pydicom.pixels.decoders.base import get_decoder

    described: dict[str, Any] = {
        "rows": header.rows,
        "columns": header.columns,
        "number_of_frames": pixels.n_frames,
        "samples_per_pixel": 1,
        "photometric_interpretation": pixels.photometric or "MONOCHROME2",
        "bits_allocated": pixels.bits_allocated,
        "bits_stored": pixels.bits_stored,
        "pixel_representation": int(pixels.signed),
        "pixel_keyword": "PixelData",
    }
    try:
        decoder = get_decoder(pixels.transfer_syntax)
        values, _ = decoder.as_array(data[pixels.offset :], index=header.frame, raw=True, **described)
    except Exception as error:  # decoders of third parties raise anything
        raise PixelError("bad_pixels", f"cannot be decoded: {_one_line(error)}") from error
    if values.shape != (header.rows, header.columns):
        raise PixelError("bad_pixels", f"decodes to {values.shape}, not {header.rows} × {header.columns}")
    return np.asarray(values)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def is_believable_padding(rescale: Rescale) -> bool:
    """Whether Pixel Padding Value lies outside what tissue can be."""
    if rescale.padding is None:
        return True
    ends = [value * rescale.slope + rescale.intercept for value in rescale.padding]
    return max(ends) <= PADDING_MAX_HU or min(ends) >= PADDING_MIN_HU


def to_hu(stored: NDArray[np.integer], rescale: Rescale, out: NDArray[np.int16]) -> int:
    """Rescale stored values into `out` as int16 HU; padding and values below −1024 become −1024.

    Values beyond int16 are clipped to 32767.

    Returns:
        how many voxels were padding or below −1024.
    """
    if (
        stored.dtype in (np.int16, np.uint16)
        and rescale.slope == 1
        and rescale.intercept in _QUICK_INTERCEPTS
    ):
        n_below = _add(stored, int(rescale.intercept), out)
    else:
        exact = stored.astype(np.float64) * rescale.slope + rescale.intercept
        n_below = int(np.count_nonzero(exact < AIR_HU))
        out[:] = np.rint(np.clip(exact, AIR_HU, _INT16_MAX))
    return n_below + _fill_padding(stored, rescale, out)


_QUICK_INTERCEPTS = range(-8192, 1)


def _add(stored: NDArray[np.integer], intercept: int, out: NDArray[np.int16]) -> int:
    """Rescale by addition in 16 bits: clipped first, so that the sum wraps back into range."""
    limits = np.iinfo(stored.dtype)
    lowest = max(limits.min, AIR_HU - intercept)
    highest = min(limits.max, _INT16_MAX - intercept)
    n_below = int(np.count_nonzero(stored < lowest))
    np.clip(stored, lowest, highest, out=out.view(stored.dtype))
    np.add(out, np.int16(intercept), out=out)
    return n_below


def _fill_padding(stored: NDArray[np.integer], rescale: Rescale, out: NDArray[np.int16]) -> int:
    """Turn padding that rescales to more than −1024 HU into −1024 HU; return how many voxels."""
    if rescale.padding is None or not is_believable_padding(rescale):
        return 0
    low, high = rescale.padding
    if max(low * rescale.slope, high * rescale.slope) + rescale.intercept <= AIR_HU:
        return 0
    padded = (stored >= low) & (stored <= high) & (out > AIR_HU)
    out[padded] = AIR_HU
    return int(np.count_nonzero(padded))
