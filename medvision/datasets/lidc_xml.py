"""The readers' marks of LIDC-IDRI as its XML files hold them, in pixels.

Four readers marked every CT: nodules of 3 mm and more with outlines and ratings, smaller nodules and other
findings with a point (Armato et al., Med Phys 2011;38:915-931).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

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
    points_px: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ReaderMark:
    """What one reader marked at one place.

    Attributes:
        reader: which of the four, from 0.
        outlines: one a slice, or more.
        ratings: name in `RATINGS` to value; empty for a small nodule.
        is_nodule: False for a finding that the reader took for none.
    """

    reader: int
    outlines: tuple[Outline, ...]
    ratings: Mapping[str, int]
    is_nodule: bool

    @property
    def is_outlined(self) -> bool:
        """Whether it is a nodule of 3 mm or more: only those have outlines and not just a point."""
        return self.is_nodule and any(len(outline.points_px) > 1 for outline in self.outlines)


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One XML file: the marks of all readers in one Series."""

    series_instance_uid: str
    marks: tuple[ReaderMark, ...]
    n_readers: int


def read_lidc_xml(path: Path) -> Reading | None:
    """Read one XML file.

    Returns:
        The marks, or None where the XML is no reading of a CT (LIDC-IDRI has readings of radiographs, too).

    Raises:
        DataError: it is no XML, or a reading whose parts are damaged.
    """
    try:
        # Expat bounds the growth of entities (since 2.4.1), and nothing is fetched.
        root = ET.parse(path).getroot()  # noqa: S314
        uid = root.findtext("{*}ResponseHeader/{*}SeriesInstanceUid")
        if not root.tag.endswith("}LidcReadMessage") or not uid:
            return None
        sessions = root.findall("{*}readingSession")
        marks = [mark for reader, session in enumerate(sessions) for mark in _marks(session, reader)]
        return Reading(uid.strip(), tuple(marks), len(sessions))
    except (ET.ParseError, OSError, ValueError) as error:
        raise DataError(f"{path} is no LIDC-IDRI reading: {error}") from error


def _marks(session: ET.Element, reader: int) -> list[ReaderMark]:
    nodules = [
        ReaderMark(reader, tuple(map(_outline, nodule.findall("{*}roi"))), _ratings(nodule), is_nodule=True)
        for nodule in session.findall("{*}unblindedReadNodule")
    ]
    others = [
        ReaderMark(reader, (_outline(finding),), {}, is_nodule=False)
        for finding in session.findall("{*}nonNodule")
    ]
    return nodules + others


def _outline(roi: ET.Element) -> Outline:
    points = [*roi.findall("{*}edgeMap"), *roi.findall("{*}locus")]
    z_mm = float(_text(roi, "imageZposition"))
    if not points or not math.isfinite(z_mm):
        raise ValueError(f"an outline at z {z_mm} with {len(points)} points")
    return Outline(
        sop_instance_uid=_text(roi, "imageSOP_UID"),
        z_mm=z_mm,
        inside=roi.findtext("{*}inclusion", "TRUE").strip().upper() == "TRUE",
        points_px=np.array([(int(_text(p, "xCoord")), int(_text(p, "yCoord"))) for p in points]),
    )


def _ratings(nodule: ET.Element) -> dict[str, int]:
    found = {name: nodule.findtext(f"{{*}}characteristics/{{*}}{name}") for name in RATINGS}
    return {name: int(text) for name, text in found.items() if text}


def _text(element: ET.Element, name: str) -> str:
    text = element.findtext(f"{{*}}{name}")
    if not text:
        raise ValueError(f"{element.tag.rpartition('}')[2]} without {name}")
    return text.strip()
