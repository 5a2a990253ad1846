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


def own_values(header: Header, parts: dict[int, str]) -> list[object]:
    """What differs from slice to slice, then the numbers of two parts: what slices share, and attributes.

    Args:
        header: of one image.
        parts: gets the text of both parts.
    """
    shared = {name: getattr(header, name) for name in _SHARED}
    shared["pixels"] = header.pixels and asdict(header.pixels) | {"offset": 0}
    return [
        *(getattr(header, name) for name in _OWN),
        header.pixels.offset if header.pixels else 0,
        _part(json.dumps(shared, default=asdict), parts),
        _part(json.dumps(header.attributes), parts),
    ]


def parts_of(images: Iterable[Sequence[Any]]) -> Iterator[int]:
    """The numbers of all parts that images refer to."""
    for own in images:
        yield from own[-2:]


def _part(text: str, parts: dict[int, str]) -> int:
    """A number made of the text itself, so that equal texts have one number in every run."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)
    parts[number] = text
    return number


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
            self._pixels[number, offset] = PixelEncoding(**pixels | {"offset": offset})
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
