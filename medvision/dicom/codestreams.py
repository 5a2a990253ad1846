"""Where the compressed bytes of one frame lie in Pixel Data (PS3.5 A.4), and what they say of themselves.

A codestream begins with its own size and precision. They are read before any decoder is: a decoder takes as
much memory as the codestream asks for, and Transfer Syntax, Bits Stored and Pixel Representation may lie.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from medvision.dicom.problems import PixelError

Kind = Literal["JPEG", "JPEG-LS", "JPEG 2000"]
_Span = tuple[int, int]
"""Where bytes begin and end in the file."""

_ITEM, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)
_ITEM_HEADER = struct.Struct("<HHI")
_SOI, _SOC_SIZ, _END = b"\xff\xd8", b"\xff\x4f\xff\x51", b"\xff\xd9"
_SOF_JPEG = frozenset([0xC0, 0xC1, 0xC2, 0xC3])
_SOF_JPEG_LS = 0xF7
_SOF = struct.Struct(">BHHB")
"""Precision, rows, columns, components, in JPEG (ITU T.81 B.2.2) as in JPEG-LS (T.87 C.2.2)."""
_SIZ = struct.Struct(">8I H B")
"""Sizes and offsets of image and tiles, components, depth of the first (JPEG 2000, T.800 A.5.1)."""
_BOX_BYTES = 4096
"""How far into a frame a JPEG 2000 codestream may begin: some writers leave it in the boxes of a JP2 file."""
_TAIL_BYTES = 1024
"""Where the end marker is looked for: writers pad, not only with the one byte that even length needs."""


@dataclass(frozen=True, slots=True)
class Codestream:
    """What a compressed frame says of itself.

    Attributes:
        kind: the family, by its markers.
        start: where the codestream begins in the frame's bytes.
        precision: bits a sample.
        signed: whether samples are; only JPEG 2000 can say so.
    """

    kind: Kind
    start: int
    rows: int
    columns: int
    components: int
    precision: int
    signed: bool


class Frames:
    """The compressed frames of one file.

    Which fragments belong to a frame is told by their number (one each: so it is where there is an Extended
    Offset Table), by the Basic Offset Table, or by the end markers.

    Raises:
        PixelError: the file ends inside Pixel Data, or Pixel Data is not made of fragments.
    """

    def __init__(self, data: bytes, offset: int, n_frames: int) -> None:
        items = list(_items(data, offset))
        table = _offset_table(data, items)
        self._data, self._n_frames = data, n_frames
        self._table = table or ()
        self._fragments = items if table is None else items[1:]

    def __getitem__(self, frame: int) -> bytes:
        """The bytes of one frame, counted from 0."""
        if self._n_frames == 1:
            found = self._fragments
        elif len(self._fragments) == self._n_frames:
            found = self._fragments[frame : frame + 1]
        elif len(self._table) == self._n_frames:
            found = self._by_table(frame)
        else:
            found = self._by_end_marker(frame)
        if not found:
            n_fragments = len(self._fragments)
            raise PixelError("bad_pixels", f"{n_fragments} fragments do not make {self._n_frames} frames")
        return b"".join(self._data[start:end] for start, end in found)

    def _by_table(self, frame: int) -> list[_Span]:
        first = self._fragments[0][0] if self._fragments else 0
        ends = [*self._table[1:], len(self._data)]
        return [part for part in self._fragments if self._table[frame] <= part[0] - first < ends[frame]]

    def _by_end_marker(self, frame: int) -> list[_Span]:
        found: list[_Span] = []
        number = 0
        for start, end in self._fragments:
            if number == frame:
                found.append((start, end))
            number += _END in self._data[max(start, end - 16) : end]
        return found


def _items(data: bytes, position: int) -> Iterator[_Span]:
    """Start and end of each item; a file may end behind one, without the delimiter."""
    while position < len(data):
        try:
            group, element, length = _ITEM_HEADER.unpack_from(data, position)
        except struct.error as error:
            raise PixelError("truncated", f"file ends at byte {len(data)}, inside Pixel Data") from error
        if (group, element) == _SEQUENCE_END:
            return
        if (group, element) != _ITEM:
            raise PixelError("bad_pixels", f"expected a fragment of Pixel Data at byte {position}")
        start, position = position + 8, position + 8 + length
        if position > len(data):
            raise PixelError("truncated", f"file ends at byte {len(data)}, inside Pixel Data")
        yield start, position


def _offset_table(data: bytes, items: Sequence[_Span]) -> tuple[int, ...] | None:
    """The Basic Offset Table, often empty; None where the first item is a frame, against PS3.5 A.4."""
    if not items or data[items[0][0] : items[0][0] + 2] in (_SOI, _SOC_SIZ[:2]):
        return None
    start, end = items[0]
    count = (end - start) // 4
    return struct.unpack_from(f"<{count}I", data, start)


def describe(frame: bytes) -> Codestream | None:
    """Read a frame's own header; None where it is no JPEG, JPEG-LS or JPEG 2000 codestream."""
    try:
        start = frame.find(_SOC_SIZ, 0, _BOX_BYTES)
        if start >= 0:
            return _describe_jpeg2000(frame, start)
        return _describe_jpeg(frame) if frame[:2] == _SOI else None
    except struct.error:
        return None


def is_complete(frame: bytes) -> bool:
    """Whether the codestream has its end marker: decoders fill up what is missing without a word."""
    return _END in frame[-_TAIL_BYTES:]


def _describe_jpeg2000(frame: bytes, start: int) -> Codestream:
    right, bottom, left, top, *_, components, depth = _SIZ.unpack_from(frame, start + 8)
    precision, signed = (depth & 0x7F) + 1, depth >= 0x80
    return Codestream("JPEG 2000", start, bottom - top, right - left, components, precision, signed)


def _describe_jpeg(frame: bytes) -> Codestream | None:
    """Walk the marker segments to the start of frame."""
    position = 2
    while position + 1 < len(frame) and frame[position] == 0xFF:
        marker = frame[position + 1]
        if marker in _SOF_JPEG or marker == _SOF_JPEG_LS:
            precision, rows, columns, components = _SOF.unpack_from(frame, position + 4)
            kind: Kind = "JPEG-LS" if marker == _SOF_JPEG_LS else "JPEG"
            return Codestream(kind, 0, rows, columns, components, precision, signed=False)
        if marker == 0xFF:
            position += 1  # fill bytes
        else:
            position += 2 + int(struct.unpack_from(">H", frame, position + 2)[0])
    return None
