"""The few Data Elements that ingest needs, read from the first bytes of a DICOM file.

A full parser builds an object for every element; a cohort of 100,000 slices needs some 40 of them from each
file, and where Pixel Data begins. This one walks the elements (PS3.5 section 7), keeps the bytes of those
wanted, and steps over the rest. Values stay bytes: what they mean is `header`'s business.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Container
from dataclasses import dataclass

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"

MAX_NESTING = 32
"""Sequences inside sequences; real files stay below ten."""
MAX_ELEMENTS = 1_000_000
"""Elements and items before Pixel Data; an Enhanced CT of 2,000 frames has some 200,000."""
MAX_INFLATION, INFLATION_ALLOWANCE_BYTES = 100, 2**26
"""What a deflated Data Set may unpack to: so many times its size, and some more."""

_PREAMBLE_BYTES = 132
_UNDEFINED_LENGTH = 0xFFFFFFFF
_PIXEL_DATA = 0x7FE00010
_FLOAT_PIXEL_DATA = (0x7FE00008, 0x7FE00009)
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_TRANSFER_SYNTAX_UID = 0x00020010
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())


class NotDicomError(Exception):
    """The bytes are no DICOM file."""


class BadElementError(Exception):
    """A Data Element that breaks the encoding rules."""


class EndOfDataError(Exception):
    """The bytes end inside a Data Element."""


@dataclass(frozen=True, slots=True)
class Elements:
    """What was read of one file.

    Attributes:
        values: tag → raw bytes, of the wanted tags at the top level.
        transfer_syntax: Transfer Syntax UID (0002,0010), or the one that the bytes show.
        big_endian: byte order of numbers in `values` and of native Pixel Data.
        pixel_offset: where the Pixel Data's value begins; None where there is none.
        pixel_length: its bytes as declared; None for encapsulated (undefined length).
    """

    values: dict[int, bytes]
    transfer_syntax: str
    big_endian: bool
    pixel_offset: int | None
    pixel_length: int | None


def read_elements(data: bytes, wanted: Container[int]) -> Elements:
    """Read the wanted elements before Pixel Data.

    Args:
        data: the file, or its beginning as far as Pixel Data.
        wanted: tags as 0xGGGGEEEE.

    Raises:
        NotDicomError: neither a preamble nor a Data Set at the start.
        BadElementError: an element that breaks the encoding rules.
        EndOfDataError: the data end before Pixel Data or the end of an element.
    """
    start = _PREAMBLE_BYTES if data[128:132] == b"DICM" else 0
    if not start and not _looks_like_dataset(data):
        raise NotDicomError("no DICM prefix and no Data Set at the start")
    meta = _Walker(data, explicit=True, big_endian=False)
    position = meta.read_meta(start) if data[start : start + 2] == b"\x02\x00" else start
    syntax = meta.values.get(_TRANSFER_SYNTAX_UID, b"").rstrip(b"\0 ").decode("ascii", "replace")
    if syntax == DEFLATED_LITTLE:
        data, position = inflate(data, position), 0
    explicit = _is_explicit(data, position)
    big_endian = syntax == EXPLICIT_BIG
    walker = _Walker(data, explicit=explicit, big_endian=big_endian)
    walker.values.update({tag: value for tag, value in meta.values.items() if tag in wanted})
    pixel_offset, pixel_length = walker.read_dataset(position, wanted)
    if not syntax:
        syntax = EXPLICIT_LITTLE if explicit else IMPLICIT_LITTLE
    return Elements(walker.values, syntax, big_endian, pixel_offset, pixel_length)


def inflate(data: bytes, position: int = 0) -> bytes:
    """Unpack a deflated Data Set (PS3.5 A.5), bounded; incomplete data give what can be unpacked.

    Raises:
        BadElementError: the data are no deflate stream, or unpack to too much.
    """
    limit = INFLATION_ALLOWANCE_BYTES + MAX_INFLATION * len(data)
    try:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        unpacked = unpacker.decompress(data[position:], limit)
    except zlib.error as error:
        raise BadElementError(f"deflated Data Set cannot be unpacked: {error}") from error
    if unpacker.unconsumed_tail:
        raise BadElementError(f"deflated Data Set unpacks to more than {limit} bytes")
    return unpacked


def dataset_start(data: bytes) -> int:
    """Where the Data Set begins, behind preamble and File Meta Information."""
    start = _PREAMBLE_BYTES if data[128:132] == b"DICM" else 0
    return _Walker(data, explicit=True, big_endian=False).read_meta(start)


def _looks_like_dataset(data: bytes) -> bool:
    """Without preamble (old exports; PS3.10 asks for one) a file begins with group 2 or group 8."""
    if len(data) < 16 or data[0:2] not in (b"\x02\x00", b"\x08\x00") or data[3] > 0x30:
        return False
    if data[4:6] in _SHORT_VRS or data[4:6] in _LONG_VRS:
        return True
    return data[0:2] == b"\x08\x00" and int(struct.unpack_from("<I", data, 4)[0]) <= 64


def _is_explicit(data: bytes, position: int) -> bool:
    """Whether the first element carries a VR: headers that lie about their syntax are common enough."""
    vr = data[position + 4 : position + 6]
    return vr in _SHORT_VRS or vr in _LONG_VRS


class _Walker:
    """Steps from element to element; a position is always an offset into `data`."""

    def __init__(self, data: bytes, *, explicit: bool, big_endian: bool) -> None:
        order = ">" if big_endian else "<"
        self.data = data
        self.explicit = explicit
        self.values: dict[int, bytes] = {}
        self._n_elements = 0
        self._tag = struct.Struct(order + "HH")
        self._short = struct.Struct(order + "H")
        self._long = struct.Struct(order + "I")

    def read_meta(self, position: int) -> int:
        """Keep group 0002, always explicit little endian (PS3.10 section 7.1); return where it ends."""
        while self.data[position : position + 2] == b"\x02\x00":
            tag, start, length = self._header(position, explicit=True)
            position = self._end(start, length, explicit=True, depth=0)
            self.values[tag] = self.data[start:position]
        return position

    def read_dataset(self, position: int, wanted: Container[int]) -> tuple[int | None, int | None]:
        """Keep the wanted elements up to Pixel Data; return its offset and length."""
        size, explicit = len(self.data), self.explicit
        while position < size:
            tag, start, length = self._header(position, explicit=explicit)
            if tag == _PIXEL_DATA:
                return start, None if length == _UNDEFINED_LENGTH else length
            if tag in _FLOAT_PIXEL_DATA or tag == 0:
                return None, None  # maps are no CT; zeros behind the Data Set pad it to a block of a disk
            position = self._end(start, length, explicit=explicit, depth=0)
            if tag in wanted:
                self.values[tag] = self.data[start:position]
        return None, None

    def _header(self, position: int, *, explicit: bool) -> tuple[int, int, int]:
        """Tag, where the value starts, its length."""
        self._n_elements += 1
        if self._n_elements > MAX_ELEMENTS:
            raise BadElementError(f"the header has more than {MAX_ELEMENTS} elements")
        try:
            group, element = self._tag.unpack_from(self.data, position)
            tag = group << 16 | element
            if not explicit or group == 0xFFFE:
                return tag, position + 8, int(self._long.unpack_from(self.data, position + 4)[0])
            vr = self.data[position + 4 : position + 6]
            if vr in _SHORT_VRS:
                return tag, position + 8, int(self._short.unpack_from(self.data, position + 6)[0])
            if vr in _LONG_VRS:
                return tag, position + 12, int(self._long.unpack_from(self.data, position + 8)[0])
        except struct.error as error:
            raise EndOfDataError(f"ends inside the element at byte {position}") from error
        if tag == 0:
            return 0, position + 8, 0
        raise BadElementError(f"element ({group:04X},{element:04X}) has no valid VR: {vr!r}")

    def _end(self, start: int, length: int, *, explicit: bool, depth: int) -> int:
        """Where the value that starts at `start` ends."""
        if length == _UNDEFINED_LENGTH:
            return self._sequence_end(start, explicit=explicit, depth=depth + 1)
        end = start + length
        if end > len(self.data):
            raise EndOfDataError(f"a value of {length} bytes at byte {start} goes beyond the end")
        return end

    def _sequence_end(self, position: int, *, explicit: bool, depth: int) -> int:
        """Step over the items of a sequence, or the fragments of an encapsulated value."""
        if depth > MAX_NESTING:
            raise BadElementError(f"sequences are nested deeper than {MAX_NESTING}")
        while True:
            tag, start, length = self._header(position, explicit=False)
            if tag == _SEQUENCE_END:
                return start
            if tag != _ITEM:
                raise BadElementError(f"expected an item at byte {position}, found tag {tag:08X}")
            if length == _UNDEFINED_LENGTH:
                position = self._item_end(start, explicit=explicit, depth=depth)
            else:
                position = self._end(start, length, explicit=explicit, depth=depth)

    def _item_end(self, position: int, *, explicit: bool, depth: int) -> int:
        """Step over the elements of an item of undefined length."""
        explicit = explicit and _is_explicit(self.data, position)  # UN holds implicit VR (PS3.5 6.2.2)
        while True:
            tag, start, length = self._header(position, explicit=explicit)
            if tag == _ITEM_END:
                return start
            position = self._end(start, length, explicit=explicit, depth=depth)
