"""Where the slices of a stack lie: in order along their normal, and whether that makes a regular grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from medvision.dicom.grid import SAME_POSITION_MM, Grid, distance_along_normal, plan_grid
from medvision.dicom.headers import Header
from medvision.errors import GeometryError


def identity(header: Header) -> tuple[object, ...]:
    """Sorts images by what they are, not by where they lie."""
    return (header.sop_instance_uid, header.frame, header.position_mm or (), header.instance_number or 0)


def flat(places: Iterable[Iterable[Header]]) -> tuple[Header, ...]:
    """The slices of all places, in order."""
    return tuple(header for place in places for header in place)


def distance(header: Header) -> float:
    """Image Position (Patient) along the normal, in mm.

    Raises:
        GeometryError: position or orientation is absent.
    """
    if header.orientation is None or header.position_mm is None:
        raise GeometryError("no Image Position or Image Orientation")
    return distance_along_normal(header.orientation, header.position_mm)


def by_position(headers: Iterable[Header]) -> list[list[Header]]:
    """Ascending places, each with the slices that lie there."""
    placed = sorted(((distance(h), h) for h in headers), key=lambda pair: (pair[0], identity(pair[1])))
    places: list[list[Header]] = []
    last = float("-inf")
    for place_mm, header in placed:
        if place_mm - last < SAME_POSITION_MM:
            places[-1].append(header)
        else:
            places.append([header])
            last = place_mm
    return places


def has_no_repeats(headers: Sequence[Header]) -> bool:
    """Whether no two slices lie at the same place."""
    return all(len(place) == 1 for place in by_position(headers))


def is_regular(headers: Sequence[Header]) -> bool:
    """Whether the slices, each at a place of its own, make a regular grid, but for a few that are missing."""
    try:
        lay_grid(flat(by_position(headers)), even_only=True)
    except GeometryError:
        return False
    return has_no_repeats(headers)


def lay_grid(headers: Sequence[Header], *, even_only: bool = False) -> Grid:
    """The grid of sorted slices.

    Args:
        headers: sorted along their normal.
        even_only: do not interpolate a few uneven steps.

    Raises:
        GeometryError: with what is irregular.
    """
    first = headers[0]
    if first.orientation is None or first.pixel_spacing_mm is None:
        raise GeometryError("Image Orientation or Pixel Spacing is absent")
    positions = [header.position_mm for header in headers if header.position_mm is not None]
    return plan_grid(
        first.orientation,
        positions,
        first.pixel_spacing_mm,
        (first.rows, first.columns),
        lone_spacing_mm=first.slice_thickness_mm or 1.0,
        even_only=even_only,
    )
