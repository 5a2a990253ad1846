"""Readers' marks that are easy to count, as objects and as LIDC-IDRI's XML."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medvision.datasets.lidc_frames import PixelFrame
from medvision.datasets.lidc_xml import RATINGS, Outline, ReaderMark, Reading

FRAME = PixelFrame(pixel_spacing_mm=0.5, slice_spacing_mm=1.0)
SERIES = "1.2.3"
NAMESPACE = "http://www.nih.gov"
RATED = dict.fromkeys(RATINGS, 3) | {"calcification": 6, "texture": 5, "malignancy": 4}


def outline(points, z_mm=0.0, *, inside=True) -> Outline:
    return Outline(f"{SERIES}.z{z_mm:g}", float(z_mm), inside, np.array(points))


def square(left, top, size, z_mm=0.0, *, inside=True) -> Outline:
    """Around size × size pixels: it runs through the pixels next to them."""
    right, bottom = left + size + 1, top + size + 1
    return outline([(left, top), (right, top), (right, bottom), (left, bottom)], z_mm, inside=inside)


def mark(reader=0, left=10, top=10, size=6, slices: Sequence[float] = (0, 1, 2), **ratings) -> ReaderMark:
    outlines = tuple(square(left, top, size, z) for z in slices)
    return ReaderMark(reader, outlines, RATED | ratings, is_nodule=True)


def point(reader, x, y, z_mm, *, is_nodule=True) -> ReaderMark:
    return ReaderMark(reader, (outline([(x, y)], z_mm),), {}, is_nodule)


def reading(*marks: ReaderMark, n_readers=4) -> Reading:
    return Reading(SERIES, marks, n_readers)


def to_xml(found: Reading, namespace=NAMESPACE, root="LidcReadMessage", prefix="") -> str:
    """As LIDC-IDRI writes it, small nodules and non-nodules included."""
    sessions = "".join(
        f"<readingSession>{''.join(_mark(m) for m in found.marks if m.reader == reader)}</readingSession>"
        for reader in range(found.n_readers)
    )
    header = (
        f"<ResponseHeader><SeriesInstanceUid>{found.series_instance_uid}</SeriesInstanceUid></ResponseHeader>"
    )
    body = header + sessions
    if prefix:
        body = body.replace("</", "\0").replace("<", f"<{prefix}:").replace("\0", f"</{prefix}:")
        return f'<{prefix}:{root} xmlns:{prefix}="{namespace}">{body}</{prefix}:{root}>'
    declared = f' xmlns="{namespace}"' if namespace else ""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}{declared}>{body}</{root}>'


def _mark(found: ReaderMark) -> str:
    if not found.is_nodule:
        return f"<nonNodule><nonNoduleID>7</nonNoduleID>{_roi(found.outlines[0], 'locus')}</nonNodule>"
    ratings = "".join(f"<{name}>{value}</{name}>" for name, value in found.ratings.items())
    rated = f"<characteristics>{ratings}</characteristics>" if ratings else ""
    rois = "".join(f"<roi>{_roi(item, 'edgeMap')}</roi>" for item in found.outlines)
    return f"<unblindedReadNodule><noduleID>1</noduleID>{rated}{rois}</unblindedReadNodule>"


def _roi(item: Outline, point_name: str) -> str:
    points = "".join(
        f"<{point_name}><xCoord>{x}</xCoord><yCoord>{y}</yCoord></{point_name}>" for x, y in item.points_px
    )
    return (
        f"<imageZposition>{item.z_mm}</imageZposition><imageSOP_UID>{item.sop_instance_uid}</imageSOP_UID>"
        f"<inclusion>{str(item.inside).upper()}</inclusion>{points}"
    )
