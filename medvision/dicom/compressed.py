"""One compressed frame to stored values.

The quick way is imagecodecs: its decoders leave Python's lock, so that threads help, and they refuse damaged
data. Frames that do not describe themselves go the full way, through pydicom's decoder plugins.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.dicom.codestreams import Codestream, Kind, describe, is_complete
from medvision.dicom.headers import PixelEncoding
from medvision.dicom.problems import PixelError

RLE_LOSSLESS = "1.2.840.10008.1.2.5"
_JPEG = "1.2.840.10008.1.2.4."
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
COMPRESSED = frozenset(
    [_JPEG + number for number in ("50", "51", "57", "70", "80", "81", "90", "91", "201", "202", "203")]
    + [RLE_LOSSLESS]
)
"""Transfer Syntaxes with a decoder."""

Stored = NDArray[np.integer]


def decode_frame(frame: bytes, pixels: PixelEncoding, matrix: tuple[int, int]) -> Stored:
    """Decode one frame.

    Args:
        frame: its fragments, joined.
        pixels: what the header says of it.
        matrix: rows, columns.

    Returns:
        stored values, rows × columns, signed as Pixel Representation says.

    Raises:
        PixelError: the frame is damaged or is not what the header says.
    """
    try:
        values = _decode(frame, pixels, matrix)
    except (PixelError, MemoryError):
        raise
    except Exception as error:  # decoders of third parties raise anything
        raise PixelError("bad_pixels", f"cannot be decoded: {_one_line(error)}") from error
    if values.shape != matrix:
        raise PixelError("bad_pixels", f"decodes to {values.shape}, not {matrix[0]} × {matrix[1]}")
    return values


def _decode(frame: bytes, pixels: PixelEncoding, matrix: tuple[int, int]) -> Stored:
    if pixels.transfer_syntax == RLE_LOSSLESS and pixels.bits_allocated <= 16:
        return _decode_rle(frame, pixels, matrix)
    stream = describe(frame)
    if stream is None:
        return decode_with_pydicom(frame, pixels, matrix)
    if stream.components != 1 or (stream.rows, stream.columns) != matrix or stream.precision > 16:
        found = f"{stream.rows} × {stream.columns} × {stream.components} of {stream.precision} bits"
        raise PixelError("bad_pixels", f"{stream.kind} frame holds {found}, not {matrix[0]} × {matrix[1]}")
    if not is_complete(frame):
        raise PixelError("bad_pixels", f"{stream.kind} frame lacks its end marker")
    values = _decoder(stream.kind)(frame[stream.start :])
    return _with_sign(values, stream, pixels)


def _decoder(kind: Kind) -> Callable[[bytes], Stored]:
    import imagecodecs

    by_kind: dict[Kind, Callable[[bytes], Stored]] = {
        "JPEG": imagecodecs.jpeg_decode,
        "JPEG-LS": imagecodecs.jpegls_decode,
        "JPEG 2000": imagecodecs.jpeg2k_decode,
    }
    return by_kind[kind]


def _decode_rle(frame: bytes, pixels: PixelEncoding, matrix: tuple[int, int]) -> Stored:
    """PackBits, a segment for each byte of a sample, the highest first (PS3.5 annex G)."""
    import imagecodecs

    dtype = np.dtype(f"<{'i' if pixels.signed else 'u'}{pixels.bits_allocated // 8}")
    n_bytes = matrix[0] * matrix[1] * dtype.itemsize
    unpacked = imagecodecs.dicomrle_decode(frame, dtype, out=n_bytes)
    if len(unpacked) != n_bytes:
        raise PixelError("bad_pixels", f"RLE frame unpacks to {len(unpacked)} of {n_bytes} bytes")
    return clean_unused_bits(np.frombuffer(unpacked, dtype).reshape(matrix), pixels)


def clean_unused_bits(values: Stored, pixels: PixelEncoding) -> Stored:
    """Drop bits beyond Bits Stored, which may hold overlays, and extend the sign (PS3.5 8.1.1)."""
    above = pixels.bits_allocated - 1 - pixels.high_bit
    unused = pixels.bits_allocated - pixels.bits_stored
    if unused <= 0 or not 0 <= above <= unused:
        return values
    return np.asarray((values << above) >> unused)


def _with_sign(values: Stored, stream: Codestream, pixels: PixelEncoding) -> Stored:
    """Read the samples as Pixel Representation says, whatever the codestream says of their sign.

    JPEG and JPEG-LS have no sign; JPEG 2000 has one, which some scanners set wrongly.
    """
    n_bytes = values.dtype.itemsize
    if stream.signed == pixels.signed:
        return values
    plain = values.view(f"i{n_bytes}" if pixels.signed else f"u{n_bytes}")
    used = stream.precision
    if pixels.signed and pixels.high_bit == pixels.bits_stored - 1:
        used = min(used, pixels.bits_stored)
    unused = 8 * n_bytes - used
    return plain if unused <= 0 else np.asarray((plain << unused) >> unused)


def decode_with_pydicom(frame: bytes, pixels: PixelEncoding, matrix: tuple[int, int]) -> Stored:
    """The full way: whichever plugin of pydicom knows the Transfer Syntax.

    Raises:
        Exception: whatever the plugins raise.
    """
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder

    described: dict[str, Any] = {
        "rows": matrix[0],
        "columns": matrix[1],
        "number_of_frames": 1,
        "samples_per_pixel": 1,
        "photometric_interpretation": pixels.photometric or "MONOCHROME2",
        "bits_allocated": pixels.bits_allocated,
        "bits_stored": pixels.bits_stored,
        "pixel_representation": int(pixels.signed),
        "pixel_keyword": "PixelData",
    }
    decoder = get_decoder(pixels.transfer_syntax)
    values, _ = decoder.as_array(encapsulate([frame]), index=0, raw=True, **described)
    return np.asarray(values)


def _one_line(error: Exception) -> str:
    """The same for the same file: without the addresses in memory that Pillow tells."""
    said = _ADDRESS.sub("", " ".join(str(error).split()))
    return said[:200] or type(error).__name__
