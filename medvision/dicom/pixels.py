"""From the bytes of one file to HU.

Native syntaxes are read where they lie; the others are decoded by `compressed`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from medvision.dicom.codestreams import Frames
from medvision.dicom.compressed import COMPRESSED, Stored, clean_unused_bits, decode_frame
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
from medvision.dicom.problems import PixelError

AIR_HU = -1024
"""What padding and everything below it become."""
PADDING_MAX_HU = -900.0
PADDING_MIN_HU = 3000.0
"""A Pixel Padding Value that means something between these two is tissue: the header is not believed."""

_NATIVE = frozenset([IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED_LITTLE])
_INT16_MAX = 32767


def is_decodable(pixels: PixelEncoding) -> bool:
    """Whether there is a decoder for it."""
    return pixels.transfer_syntax in _NATIVE | COMPRESSED and pixels.bits_allocated in (8, 16, 32)


def stored_values(header: Header, data: bytes) -> Stored:
    """Decode one frame.

    Args:
        header: of the frame.
        data: the whole file.

    Returns:
        stored values (before rescale), rows × columns.

    Raises:
        PixelError: the bytes cannot be decoded.
    """
    return open_frames(header, data)(header)


def open_frames(header: Header, data: bytes) -> Callable[[Header], Stored]:
    """Look at a file once; what comes back decodes any of its frames, from any thread.

    Args:
        header: of any frame.
        data: the whole file.

    Raises:
        PixelError: the bytes cannot be decoded; also raised by what comes back.
    """
    pixels = header.pixels
    if pixels is None or not is_decodable(pixels):
        raise PixelError("unsupported_syntax", f"no decoder for {pixels and pixels.transfer_syntax}")
    if pixels.length is None:
        frames = Frames(data, pixels.offset, pixels.n_frames)
        return lambda one: decode_frame(frames[one.frame], pixels, (one.rows, one.columns))
    plain = _inflate(data) if pixels.deflated else data
    return lambda one: _native(one, pixels, plain)


def _native(header: Header, pixels: PixelEncoding, data: bytes) -> Stored:
    kind = "i" if pixels.signed else "u"
    dtype = np.dtype(f"{'>' if pixels.big_endian else '<'}{kind}{pixels.bits_allocated // 8}")
    count = header.rows * header.columns
    offset = pixels.offset + header.frame * count * dtype.itemsize
    if offset + count * dtype.itemsize > len(data):
        raise PixelError("truncated", f"file ends at byte {len(data)}, inside Pixel Data")
    values = np.frombuffer(data, dtype, count, offset).reshape(header.rows, header.columns)
    return clean_unused_bits(values.astype(dtype.newbyteorder("="), copy=False), pixels)


def _inflate(data: bytes) -> bytes:
    try:
        return inflate(data, dataset_start(data))
    except BadElementError as error:
        raise PixelError("bad_pixels", str(error)) from error


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
    if stored.dtype in (np.int16, np.uint16) and _is_quick(rescale):
        n_below = _add(stored, int(rescale.intercept), out)
    else:
        exact = stored.astype(np.float64) * rescale.slope + rescale.intercept
        n_below = int(np.count_nonzero(exact < AIR_HU))
        out[:] = np.rint(np.clip(exact, AIR_HU, _INT16_MAX))
    return n_below + _fill_padding(stored, rescale, out)


_LOWEST_QUICK_INTERCEPT = -8192


def _is_quick(rescale: Rescale) -> bool:
    """Whether adding in 16 bits is exact."""
    whole = rescale.intercept.is_integer()
    return rescale.slope == 1 and whole and _LOWEST_QUICK_INTERCEPT <= rescale.intercept <= 0


def _add(stored: NDArray[np.integer], intercept: int, out: NDArray[np.int16]) -> int:
    """Rescale by addition in 16 bits: clipped first, so that the sum wraps back into range."""
    limits = np.iinfo(stored.dtype)
    lowest = max(limits.min, AIR_HU - intercept)
    highest = min(limits.max, _INT16_MAX - intercept)
    least = stored.min()
    if lowest <= least and stored.max() <= highest:
        np.add(stored.view(np.int16), np.int16(intercept), out=out)
        return 0
    n_below = int(np.count_nonzero(stored < lowest)) if least < lowest else 0
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
