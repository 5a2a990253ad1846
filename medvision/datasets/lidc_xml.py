"""The readers' marks of LIDC-IDRI as its XML files hold them, in pixels.

Four readers marked every CT: nodules of 3 mm and more with outlines and nine ratings, smaller nodules and
findings that are no nodules with a point (Armato et al., Med Phys 2011;38:915-931). An XML file comes from a
stranger: a document type, which is where entities are declared, is refused before anything is expanded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree as ET
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from medvision.errors import DataError

RATINGS = (
    "subtlety",
    "internalStructure",
    "calcification",
    "sphericity",
    "margin",
    "lobulation",
    "spiculation",
    "texture",
    "malignancy",
)
HIGHEST_RATING = 6
HIGHEST_PIXEL = 4095
"""Bounds the masks that an outline can ask for; LIDC-IDRI's CTs have 512 columns and rows."""
CT_ROOT, RADIOGRAPH_ROOT = "LidcReadMessage", "IdriReadMessage"

Kind = Literal["nodule", "small_nodule", "non_nodule"]
NoReading = Literal["radiograph", "other"]
"""What an XML file may be that is no reading of a CT."""


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """One closed outline on one slice.

    Attributes:
        sop_instance_uid: SOP Instance UID (0008,0018) of the slice.
        z_mm: imageZposition of the slice.
        inside: False where it cuts a hole.
        points_px: (n, 2) column and row, counted from 0, one point where the mark is no outline.
    """

    sop_instance_uid: str
    z_mm: float
    inside: bool
    points_px: NDArray[np.int64] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class ReaderMark:
    """What one reader marked at one place.

    Attributes:
        reader: which reading session of the file, from 0. Sessions are anonymous: reader 0 of one file is
            not reader 0 of another.
        outlines: one a slice, or more.
        ratings: name in `RATINGS` to value; empty for a small nodule. What was not rated is not in it.
        is_nodule: False for a finding that the reader took for none.
    """

    reader: int
    outlines: tuple[Outline, ...] = field(repr=False)
    ratings: Mapping[str, int]
    is_nodule: bool

    @property
    def kind(self) -> Kind:
        """A nodule of 3 mm or more, a smaller one, or no nodule."""
        if not self.is_nodule:
            return "non_nodule"
        return "nodule" if self.is_outlined else "small_nodule"

    @property
    def is_outlined(self) -> bool:
        """Whether it is a nodule of 3 mm or more: only those have outlines and not just a point."""
        return self.is_nodule and any(len(outline.points_px) > 1 for outline in self.outlines)


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One XML file: the marks of all readers in one Series.

    Attributes:
        series_instance_uid: Series Instance UID (0020,000E).
        marks: in the order of the file.
        n_readers: reading sessions in the file; 4, save for two files with 3 and 8.
    """

    series_instance_uid: str
    marks: tuple[ReaderMark, ...]
    n_readers: int


def read_lidc_xml(path: Path) -> Reading | NoReading:
    """Read one XML file.

    Returns:
        The marks; or what the file is instead: a reading of a radiograph, or other XML.

    Raises:
        DataError: it cannot be read, is no XML, declares a document type, or is a damaged reading.
    """
    try:
        return parse_lidc_xml(path.read_bytes())
    except (OSError, DataError) as error:
        raise DataError(f"{path}: {error}") from error


def parse_lidc_xml(data: bytes) -> Reading | NoReading:
    """Read the content of one XML file, as `read_lidc_xml` does; messages do not name the file.

    Raises:
        DataError: it is no XML, declares a document type, or is a damaged reading.
    """
    try:
        data = data.lstrip()
        _refuse_document_type(data)
        return _reading(ET.fromstring(data))  # noqa: S314  no document type, so no entities
    except (ET.ParseError, expat.ExpatError, ValueError, LookupError) as error:
        raise DataError(f"no LIDC-IDRI reading: {error}") from error


class _RootReachedError(Exception):
    """The first element has come: what declares entities can only stand before it."""


def _refuse_document_type(data: bytes) -> None:
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _found_document_type
    parser.StartElementHandler = _found_root
    try:
        parser.Parse(data, True)  # noqa: FBT003  positional only
    except _RootReachedError:
        return


def _found_document_type(name: str, *_: object) -> None:
    raise ValueError(f"it declares the document type {name[:40]!r}; remove the DOCTYPE, LIDC-IDRI has none")


def _found_root(*_: object) -> None:
    raise _RootReachedError


def _reading(root: ET.Element) -> Reading | NoReading:
    """Names are looked up with the root's namespace, whatever it is: that is ten times as fast as any."""
    namespace, _, name = root.tag.rpartition("}")
    if name != CT_ROOT:
        return "radiograph" if name == RADIOGRAPH_ROOT else "other"
    space = f"{namespace}}}" if namespace else ""
    uid = (root.findtext(f"{space}ResponseHeader/{space}SeriesInstanceUid") or "").strip()
    if not uid:
        raise ValueError("its ResponseHeader has no SeriesInstanceUid")
    sessions = root.findall(f"{space}readingSession")
    if not sessions:
        raise ValueError("it holds no readingSession")
    marks = [mark for reader, session in enumerate(sessions) for mark in _marks(session, reader, space)]
    return Reading(uid, tuple(marks), len(sessions))


def _marks(session: ET.Element, reader: int, space: str) -> list[ReaderMark]:
    nodules = [_nodule(nodule, reader, space) for nodule in session.findall(f"{space}unblindedReadNodule")]
    others = [
        ReaderMark(reader, (_outline(finding, space, "locus"),), {}, is_nodule=False)
        for finding in session.findall(f"{space}nonNodule")
    ]
    return nodules + others


def _nodule(nodule: ET.Element, reader: int, space: str) -> ReaderMark:
    outlines = tuple(_outline(roi, space, "edgeMap") for roi in nodule.findall(f"{space}roi"))
    if not outlines:
        raise ValueError(f"nodule {nodule.findtext(f'{space}noduleID')} has no roi")
    return ReaderMark(reader, outlines, _ratings(nodule, space), is_nodule=True)


def _outline(roi: ET.Element, space: str, point: str) -> Outline:
    z_mm = float(_text(roi, space, "imageZposition"))
    if not math.isfinite(z_mm):
        raise ValueError(f"imageZposition is {z_mm}")
    return Outline(
        sop_instance_uid=_text(roi, space, "imageSOP_UID"),
        z_mm=z_mm,
        inside=(roi.findtext(f"{space}inclusion") or "TRUE").strip().upper() == "TRUE",
        points_px=_points(roi, space, point),
    )


def _points(roi: ET.Element, space: str, point: str) -> NDArray[np.int64]:
    count = len(roi.findall(space + point))
    columns = [int(element.text or "") for element in roi.iter(f"{space}xCoord")]
    rows = [int(element.text or "") for element in roi.iter(f"{space}yCoord")]
    if not count or not count == len(columns) == len(rows):
        raise ValueError(f"an outline of {count} points has {len(columns)} xCoord and {len(rows)} yCoord")
    lowest, highest = min(columns + rows), max(columns + rows)
    if lowest < 0 or highest > HIGHEST_PIXEL:
        raise ValueError(f"an outline reaches from pixel {lowest} to {highest}: no CT does")
    return np.column_stack([columns, rows]).astype(np.int64)


def _ratings(nodule: ET.Element, space: str) -> dict[str, int]:
    """A 0 is what two nodules have that nobody rated."""
    found = {name: nodule.findtext(f"{space}characteristics/{space}{name}") for name in RATINGS}
    values = {name: int(text) for name, text in found.items() if text and text.strip()}
    for name, value in values.items():
        if not 0 <= value <= HIGHEST_RATING:
            raise ValueError(f"{name} is rated {value}, not 1 to {HIGHEST_RATING}")
    return {name: value for name, value in values.items() if value > 0}


def _text(element: ET.Element, space: str, name: str) -> str:
    text = (element.findtext(f"{space}{name}") or "").strip()
    if not text:
        raise ValueError(f"{element.tag.rpartition('}')[2]} without {name}")
    return text
