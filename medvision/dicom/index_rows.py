"""A Header as JSON and back. What the slices of a series have in common is kept, and decoded, once."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from typing import Any

from medvision.dicom.headers import Header, PixelEncoding, Rescale
from medvision.dicom.sources import SourceFile

_SELECTED_AT_ONCE = 500


def select(
    database: sqlite3.Connection, columns: str, table: str, keys: Iterable[object]
) -> Iterator[tuple[Any, ...]]:
    """Rows by primary key, some hundred at a time."""
    wanted = list(keys)
    for start in range(0, len(wanted), _SELECTED_AT_ONCE):
        some = wanted[start : start + _SELECTED_AT_ONCE]
        key = "key" if table == "files" else "id"
        marks = ",".join("?" * len(some))
        yield from database.execute(f"SELECT {columns} FROM {table} WHERE {key} IN ({marks})", some)  # noqa: S608


_OWN = ("frame", "sop_instance_uid", "position_mm", "instance_number", "acquisition_time")
_APART = frozenset({*_OWN, "file", "pixels", "attributes"})
_SHARED = tuple(field.name for field in fields(Header) if field.name not in _APART)
_ENCODING = tuple(field.name for field in fields(PixelEncoding) if field.name != "offset")


class Numbering:
    """Parts by number; what was numbered once is not written as JSON again."""

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {}
        self._new: dict[int, str] = {}

    def own_values(self, header: Header) -> list[object]:
        """What differs from slice to slice, then the numbers of two parts: the rest, and the attributes."""
        pixels = header.pixels
        shared = [getattr(header, name) for name in _SHARED]
        encoding = pixels and [getattr(pixels, name) for name in _ENCODING]
        key = (*shared, encoding and tuple(encoding), repr(header.orientation))  # -0.0 equals 0.0
        if key not in self._numbers:
            named = dict(zip(_SHARED, shared, strict=True))
            named["pixels"] = encoding and dict(zip(_ENCODING, encoding, strict=True))
            self._add(key, json.dumps(named, default=asdict))
        if header.attributes not in self._numbers:
            self._add(header.attributes, json.dumps(header.attributes))
        return [
            *(getattr(header, name) for name in _OWN),
            pixels.offset if pixels else 0,
            self._numbers[key],
            self._numbers[header.attributes],
        ]

    def take_new(self) -> dict[int, str]:
        """The texts that have not been taken yet, by number."""
        new, self._new = self._new, {}
        return new

    def _add(self, key: object, text: str) -> None:
        """A number is made of the text itself, so that equal texts have one number in every run."""
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)
        self._numbers[key] = number
        self._new[number] = text


def parts_of(images: Iterable[Sequence[Any]]) -> Iterator[int]:
    """The numbers of all parts that images refer to."""
    for own in images:
        yield from own[-2:]


class Parts:
    """Parts as Header wants them, each decoded once."""

    def __init__(self) -> None:
        self._values: dict[int, Any] = {}
        self._pixels: dict[tuple[int, int], PixelEncoding] = {}

    def load(self, database: sqlite3.Connection, numbers: set[int]) -> None:
        """Read those that are not there yet."""
        for number, text in select(database, "id, text", "parts", numbers - self._values.keys()):
            self._values[number] = _decode(json.loads(text))

    def build(self, file: SourceFile, own: Sequence[Any]) -> Header:
        """One image of a file from what `own_values` made of it; its parts are loaded."""
        (
            frame,
            sop_instance_uid,
            position_mm,
            instance_number,
            acquisition_time,
            offset,
            number,
            attributes,
        ) = own
        shared, pixels = self._values[number]
        if pixels is not None and (number, offset) not in self._pixels:
            self._pixels[number, offset] = PixelEncoding(**pixels, offset=offset)
        return Header(
            file=file,
            frame=frame,
            sop_instance_uid=sop_instance_uid,
            position_mm=tuple(position_mm) if position_mm else None,
            instance_number=instance_number,
            acquisition_time=acquisition_time,
            pixels=self._pixels.get((number, offset)),
            attributes=self._values[attributes],
            **shared,
        )


def _decode(value: Any) -> Any:  # noqa: ANN401  JSON
    """Attributes, or what slices share with their PixelEncoding apart."""
    if isinstance(value, list):
        return _as_tuples(value)
    pixels = value.pop("pixels")
    rescale = value.pop("rescale")
    shared = {name: _as_tuples(item) for name, item in value.items()}
    if rescale is not None:
        rescale = Rescale(rescale["slope"], rescale["intercept"], _as_tuples(rescale["padding"]))
    return shared | {"rescale": rescale}, pixels


def _as_tuples(value: Any) -> Any:  # noqa: ANN401  JSON
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value
