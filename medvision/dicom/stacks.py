"""One Series Instance UID can hold several acquisitions: splitting a series into stacks of slices.

A stack has one orientation, matrix, spacing, frame of reference, kernel and kind of image, and at most one
slice at each position. Everything is sorted by content, so that neither file names nor their order matter.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medvision.dicom.grid import SAME_POSITION_MM, Grid, distance_along_normal, plan_grid
from medvision.dicom.headers import NO_RESCALE, Header
from medvision.dicom.pixels import stored_values, to_hu
from medvision.dicom.problems import PixelError, Problem
from medvision.errors import GeometryError

ORIENTATION_STEP = 2e-3
"""Cosines that differ by less belong to one orientation."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Slices that belong together.

    Attributes:
        headers: sorted along the normal where they have a position.
        n_files: files that belong to it, duplicates included.
        n_duplicates: files left out because another one holds the same slice.
        clashes: positions in mm at which differing slices remain; such a stack cannot become a Volume.
    """

    headers: tuple[Header, ...]
    n_files: int
    n_duplicates: int = 0
    clashes: tuple[float, ...] = ()


def split_series(headers: Iterable[Header]) -> tuple[list[Stack], list[Problem]]:
    """Split the images of one series into stacks, largest first; problems name duplicates."""
    ordered = sorted(headers, key=_identity)
    others = tuple(header for header in ordered if header.modality != "CT")
    stacks = [Stack(others, _n_files(others))] if others else []
    problems: list[Problem] = []
    for group in _group([header for header in ordered if header.modality == "CT"]):
        made, duplicates = _separate(group)
        stacks += made
        problems += duplicates
    return sorted(stacks, key=_largest_first), problems


def _identity(header: Header) -> tuple[object, ...]:
    """Sorts images by what they are, not by where they lie."""
    return (header.sop_instance_uid, header.frame, header.position_mm or (), header.instance_number or 0)


def _largest_first(stack: Stack) -> tuple[object, ...]:
    first = stack.headers[0]
    return (-len(stack.headers), first.position_mm or (), first.sop_instance_uid)


def _group(headers: Sequence[Header]) -> list[list[Header]]:
    groups: dict[Hashable, list[Header]] = defaultdict(list)
    orientations: list[tuple[float, ...]] = []
    for header in headers:
        groups[_likeness(header, orientations)].append(header)
    return list(groups.values())


def _likeness(header: Header, orientations: list[tuple[float, ...]]) -> Hashable:
    """What all slices of a stack share."""
    spacing = header.pixel_spacing_mm
    return (
        header.study_instance_uid,
        header.patient_id,
        header.sop_class_uid,
        header.frame_of_reference_uid,
        header.image_type[:3],
        header.rows,
        header.columns,
        spacing and (round(spacing[0], 4), round(spacing[1], 4)),
        header.kernel,
        _orientation_number(header.orientation, orientations),
        header.position_mm is None,
    )


def _orientation_number(orientation: tuple[float, ...] | None, known: list[tuple[float, ...]]) -> int:
    """Index of the known orientation that this one equals within the tolerance; new ones are added."""
    if orientation is None:
        return -1
    for number, other in enumerate(known):
        if max(abs(a - b) for a, b in zip(orientation, other, strict=True)) < ORIENTATION_STEP:
            return number
    known.append(orientation)
    return len(known) - 1


def _separate(group: list[Header]) -> tuple[list[Stack], list[Problem]]:
    """Order one group along its normal, drop duplicates, part acquisitions that lie between each other."""
    try:
        placed = _by_position(group)
    except GeometryError:
        return [Stack(tuple(group), _n_files(group))], []
    kept, problems = _drop_duplicates(placed)
    whole = Stack(_flat(kept), _n_files(group), len(group) - sum(map(len, kept)))
    clashes = tuple(_distance(place[0]) for place in kept if len(place) > 1)
    if not clashes and _is_regular(whole.headers):
        return [whole], problems
    parts = _part_acquisitions(whole.headers, _has_no_repeats if clashes else _is_regular)
    if parts is None:
        return [replace(whole, clashes=clashes)], problems
    return [Stack(_flat(_by_position(part)), _n_files(part)) for part in parts], problems


def _has_no_repeats(headers: Sequence[Header]) -> bool:
    return all(len(place) == 1 for place in _by_position(headers))


def _is_regular(headers: Sequence[Header]) -> bool:
    try:
        lay_grid(_flat(_by_position(headers)))
    except GeometryError:
        return False
    return _has_no_repeats(headers)


def _n_files(headers: Iterable[Header]) -> int:
    return len({header.file.path for header in headers})


def _flat(places: Iterable[Iterable[Header]]) -> tuple[Header, ...]:
    return tuple(header for place in places for header in place)


def _distance(header: Header) -> float:
    if header.orientation is None or header.position_mm is None:
        raise GeometryError("no Image Position or Image Orientation")
    return distance_along_normal(header.orientation, header.position_mm)


def _by_position(headers: Iterable[Header]) -> list[list[Header]]:
    """Ascending places, each with the slices that lie there."""
    placed = sorted(((_distance(h), h) for h in headers), key=lambda pair: (pair[0], _identity(pair[1])))
    places: list[list[Header]] = []
    last = float("-inf")
    for distance, header in placed:
        if distance - last < SAME_POSITION_MM:
            places[-1].append(header)
        else:
            places.append([header])
            last = distance
    return places


def _drop_duplicates(places: list[list[Header]]) -> tuple[list[list[Header]], list[Problem]]:
    """Keep one of the slices at a place that are the same image, whatever their Transfer Syntax."""
    kept: list[list[Header]] = []
    problems: list[Problem] = []
    for place in places:
        if len(place) == 1:
            kept.append(place)
            continue
        different, bad = _distinct(place)
        kept.append(different or place[:1])
        problems += bad
    return kept, problems


def _distinct(place: list[Header]) -> tuple[list[Header], list[Problem]]:
    """One image of each content; the choice among equal ones depends on nothing but content."""
    different: dict[str, Header] = {}
    problems: list[Problem] = []
    decoded: list[tuple[tuple[str, str], Header]] = []
    for header in place:
        contents = _contents(header)
        if isinstance(contents, Problem):
            problems.append(contents)
        else:
            decoded.append((contents, header))
    for (image, _), header in sorted(decoded, key=lambda pair: (*_identity(pair[1]), pair[0])):
        if image in different:
            twin = different[image].file.shown
            problems.append(Problem(header.file.shown, "duplicate", f"holds the same slice as {twin}"))
        else:
            different[image] = header
    return list(different.values()), problems


def _contents(header: Header) -> tuple[str, str] | Problem:
    """Hashes of one image (its HU and acquisition) and of its file; asked for only where positions repeat."""
    try:
        data = header.file.path.read_bytes()
        hu = np.empty((header.rows, header.columns), np.int16)
        to_hu(stored_values(header, data), header.rescale or NO_RESCALE, hu)
    except OSError as error:
        return Problem(header.file.shown, "unreadable", error.strerror or type(error).__name__)
    except PixelError as error:
        return Problem(header.file.shown, error.reason, str(error))
    image = hashlib.sha256(hu.tobytes())
    image.update(repr([attribute(header) for attribute in _PARTING]).encode())
    return image.hexdigest(), hashlib.sha256(data).hexdigest()


_PARTING: tuple[Callable[[Header], Hashable], ...] = (
    lambda header: header.acquisition_number,
    lambda header: header.temporal_position,
    lambda header: header.slice_thickness_mm,
    lambda header: header.image_type,
    lambda header: header.acquisition_time,
)
"""What may tell acquisitions at the same or interleaved positions apart, in this order."""


def _all_of_them(header: Header) -> Hashable:
    return tuple(attribute(header) for attribute in _PARTING)


def _part_acquisitions(
    headers: Sequence[Header], fits: Callable[[Sequence[Header]], bool]
) -> list[list[Header]] | None:
    """Part slices by the first attribute all of whose parts fit; None where none does."""
    for attribute in (*_PARTING, _all_of_them):
        parts: dict[Hashable, list[Header]] = defaultdict(list)
        for header in headers:
            parts[attribute(header)].append(header)
        if len(parts) > 1 and all(map(fits, parts.values())):
            return list(parts.values())
    return None


def lay_grid(headers: Sequence[Header]) -> Grid:
    """The grid of sorted slices.

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
    )
