"""Ways to damage a DICOM file: bytes that are flipped, cut, moved and invented, and elements that lie.

Every function takes the file, the spans of its top-level elements and a source of chance, and returns what is
left of the file. The same seed gives the same damage.
"""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.uid import DeflatedExplicitVRLittleEndian

LENGTHS = (0, 1, 3, 7, 255, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
NUMBERS = (0, 1, 2, 3, 7, 12, 32, 64, 255, 8191, 8193, 32767, 65535)
TEXTS = (
    b"", b" ", b"NaN", b"-inf", b"1e999", b"1e300\\1e300\\1e300", b"nan\\nan\\nan", b"0\\0\\0", b"\\" * 9,
    b"0\\0\\0\\0\\0\\0", b"1\\0\\0\\1\\0\\0", b"99999999999999999999", b"-1", b"0x10", b"1,5",
    b"\xff\xfe\x00\xd8", b"\x1b$)C\xb1\xb1\x1b(B", b"../../../etc/passwd", b"9" * 400,
    b"\0" * 64, b"1.2.3.4.5.6.7.8.9",
)  # fmt: skip
VRS = (
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST TM UC UI UL UN US UT XX".split()
)
LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
CHARACTER_SETS = (
    b"ISO 2022 IR 149",
    b"ISO_IR 192",
    b"GB18030",
    b"nonsense",
    b"\\ISO 2022 IR 87",
    b"\xff\xff",
)
SYNTAXES = tuple(
    b"1.2.840.10008.1.2" + end
    for end in b" .1 .1.99 .2 .5 .4.50 .4.57 .4.70 .4.80 .4.90 .4.201 .9".split(b" ")
)
NESTED_ITEM = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"


@dataclass(frozen=True)
class Span:
    """One top-level element of a file: where its header, its length, its value lie."""

    tag: int
    start: int
    value: int
    end: int
    explicit: bool

    @property
    def length_format(self) -> str:
        """How the length is written in front of the value, little endian."""
        return "<I" if not self.explicit or self.value - self.start == 12 else "<H"


def spans_of(data: bytes) -> list[Span]:
    """The elements in front of Pixel Data; of a file that is deflated or big endian only the first group."""
    spans = {span.start: span for span in [*_by_walking(data), *_by_pydicom(data)]}
    return [span for _, span in sorted(spans.items()) if 0 <= span.start < span.end <= len(data)]


def _by_walking(data: bytes) -> Iterator[Span]:
    """Explicit little endian from the prefix to the first value of undefined length."""
    position = 132 if data[128:132] == b"DICM" else len(data)
    while position + 12 <= len(data) and data[position + 4 : position + 6].isupper():
        group, element, vr = struct.unpack_from("<HH2s", data, position)
        size = 12 if vr in LONG_VRS else 8
        length = struct.unpack_from(
            "<I" if size == 12 else "<H", data, position + size - (4 if size == 12 else 2)
        )[0]
        if length == 0xFFFFFFFF or (group, element) == (0x7FE0, 0x0010):
            return
        yield Span(group << 16 | element, position, position + size, position + size + length, explicit=True)
        position += size + length


def _by_pydicom(data: bytes) -> Iterator[Span]:
    """What pydicom has not yet made values of: nearly all but the first group."""
    try:
        dataset = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, force=True)
    except Exception:  # noqa: BLE001  a foreign file has no elements to aim at
        return
    if dataset.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        return
    for tag in sorted(dataset.keys()):
        raw = dataset.get_item(tag)
        if not isinstance(raw, RawDataElement) or raw.length == 0xFFFFFFFF or not raw.is_little_endian:
            continue
        explicit = not raw.is_implicit_VR
        size = 12 if explicit and str(raw.VR).encode() in LONG_VRS else 8
        yield Span(int(tag), raw.value_tell - size, raw.value_tell, raw.value_tell + raw.length, explicit)


Mutation = Callable[[bytes, Sequence[Span], random.Random], bytes]


def _place(data: bytes, rng: random.Random) -> int:
    """Mostly in the header, where it hurts."""
    end = len(data) if rng.random() < 0.3 else min(len(data), 3000)
    return rng.randrange(max(end, 1))


def flip_bits(data: bytes, _: Sequence[Span], rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _number in range(rng.choice([1, 1, 2, 8, 64])):
        at = _place(data, rng)
        changed[at : at + 1] = bytes([changed[at] ^ (1 << rng.randrange(8))]) if at < len(changed) else b""
    return bytes(changed)


def overwrite(data: bytes, _: Sequence[Span], rng: random.Random) -> bytes:
    at = _place(data, rng)
    new = rng.choice([rng.randbytes(rng.choice([1, 2, 4, 100])), b"\xff" * 4, bytes(8), NESTED_ITEM, *TEXTS])
    return data[:at] + new + data[at + len(new) :]


def cut_off(data: bytes, _: Sequence[Span], rng: random.Random) -> bytes:
    return data[: _place(data, rng)]


def cut_out(data: bytes, _: Sequence[Span], rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + rng.choice([1, 2, 8, 33, 1000, 100_000]) :]


def insert(data: bytes, _: Sequence[Span], rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.randbytes(rng.choice([1, 2, 7, 500])) + data[at:]


def repeat(data: bytes, _: Sequence[Span], rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at : at + rng.choice([2, 8, 60, 5000])] * rng.choice([2, 2, 50]) + data[at:]


def extend(data: bytes, _: Sequence[Span], rng: random.Random) -> bytes:
    return data + rng.choice([bytes(9), rng.randbytes(777), data[:4000], data, b"\xff" * 100_000])


def behead(data: bytes, _: Sequence[Span], rng: random.Random) -> bytes:
    """Without preamble, prefix or File Meta Information."""
    return data[rng.choice([1, 4, 128, 132, 144, 200]) :]


def swap_elements(data: bytes, spans: Sequence[Span], rng: random.Random) -> bytes:
    first, second = sorted(rng.sample(list(spans), 2), key=lambda span: span.start)
    return (
        data[: first.start] + data[second.start : second.end] + data[first.end : second.start]
        + data[first.start : first.end] + data[second.end :]
    )  # fmt: skip


def drop_element(data: bytes, spans: Sequence[Span], rng: random.Random) -> bytes:
    span = rng.choice(list(spans))
    return data[: span.start] + data[span.end :]


def double_element(data: bytes, spans: Sequence[Span], rng: random.Random) -> bytes:
    span = rng.choice(list(spans))
    return data[: span.end] + data[span.start : span.end] * rng.choice([1, 2000]) + data[span.end :]


def lie_about_length(data: bytes, spans: Sequence[Span], rng: random.Random) -> bytes:
    span = rng.choice(list(spans))
    size = struct.calcsize(span.length_format)
    length = rng.choice([*LENGTHS, span.end - span.value + rng.choice([-2, -1, 1, 2])])
    field = struct.pack(span.length_format, max(length, 0) & ((1 << 8 * size) - 1))
    return data[: span.value - size] + field + data[span.value :]


def lie_about_vr(data: bytes, spans: Sequence[Span], rng: random.Random) -> bytes:
    span = rng.choice(list(spans))
    return data[: span.start + 4] + rng.choice(VRS) + data[span.start + 6 :]


def replace_value(data: bytes, spans: Sequence[Span], rng: random.Random) -> bytes:
    """Another value with a length that is right."""
    span = rng.choice(list(spans))
    number = struct.pack("<H", rng.choice(NUMBERS))
    value = rng.choice([number, number, rng.randbytes(8), *TEXTS, *CHARACTER_SETS, *SYNTAXES])
    return with_value(data, span, value)


def with_value(data: bytes, span: Span, value: bytes) -> bytes:
    """The file with another value in one element; padded to even length, which is written right."""
    value += b" " * (len(value) % 2)
    size = struct.calcsize(span.length_format)
    return data[: span.value - size] + struct.pack(span.length_format, len(value)) + value + data[span.end :]


def replace_number(data: bytes, spans: Sequence[Span], rng: random.Random) -> bytes:
    """Rows, Columns, Bits and their like."""
    numbers = [span for span in spans if span.tag >> 16 == 0x28 and span.end - span.value == 2]
    span = rng.choice(numbers or list(spans))
    return data[: span.value] + struct.pack("<H", rng.choice(NUMBERS)) + data[span.value + 2 :]


def move_element(data: bytes, spans: Sequence[Span], rng: random.Random) -> bytes:
    """Give it another tag: as if one were there twice and the other not."""
    span, other = rng.choice(list(spans)), rng.choice(list(spans))
    return data[: span.start] + data[other.start : other.start + 4] + data[span.start + 4 :]


def nest_sequences(data: bytes, spans: Sequence[Span], rng: random.Random) -> bytes:
    """Sequences in sequences, shallow or very deep, closed or not."""
    span = rng.choice(list(spans))
    inner = (
        b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff" if span.explicit else b"\x08\x00\x15\x11\xff\xff\xff\xff"
    )
    depth = rng.choice([1, 3, 31, 40, 2000, 50_000])
    ends = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" * (depth if rng.random() < 0.5 else 0)
    return data[: span.start] + (inner + NESTED_ITEM) * depth + ends + data[span.start :]


def hit_pixels(data: bytes, spans: Sequence[Span], rng: random.Random) -> bytes:
    """Where Pixel Data begins: its length, its fragments, the first markers of a codestream."""
    at = max(span.end for span in spans) + rng.randrange(120)
    new = rng.choice([rng.randbytes(1), rng.randbytes(4), b"\xff\xff\xff\xff", bytes(4), NESTED_ITEM])
    return data[:at] + new + data[at + rng.choice([0, len(new)]) :]


BLIND: tuple[Mutation, ...] = (flip_bits, overwrite, cut_off, cut_out, insert, repeat, extend, behead)
AIMED: tuple[Mutation, ...] = (
    swap_elements, drop_element, double_element, lie_about_length, lie_about_length, lie_about_vr,
    replace_value, replace_value, replace_value, replace_number, move_element, nest_sequences,
    hit_pixels, hit_pixels,
)  # fmt: skip


def mutate(data: bytes, spans: Sequence[Span], rng: random.Random) -> tuple[str, bytes]:
    """Damage a file in one way, seldom in several; returns the names of what was done."""
    names = []
    for number in range(rng.choice([1, 1, 1, 1, 2, 3])):
        aimed = len(spans) > 1 and number == 0 and rng.random() < 0.6
        mutation = rng.choice(AIMED if aimed else BLIND)
        data = mutation(data, spans, rng)
        names.append(mutation.__name__)
    return " + ".join(names), data
