"""One Series Instance UID can hold several acquisitions: splitting a series into stacks of slices.

A stack has one orientation, matrix, spacing, frame of reference, kernel and kind of image, and at most one
slice at each position. Everything is sorted by content, so that neither file names nor their order matter.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medvision.dicom.headers import NO_RESCALE, Header
from medvision.dicom.parting import PARTING, part_acquisitions, part_interleaved, part_runs
from medvision.dicom.pixels import stored_values, to_hu
from medvision.dicom.places import by_position, distance, flat, has_no_repeats, identity, is_regular, lay_grid
from medvision.dicom.problems import PixelError, Problem
from medvision.errors import GeometryError

__all__ = ["Stack", "lay_grid", "split_series"]

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
    ordered = sorted(headers, key=identity)
    others = tuple(header for header in ordered if header.modality != "CT")
    stacks = [Stack(others, _n_files(others))] if others else []
    problems: list[Problem] = []
    for group in _group([header for header in ordered if header.modality == "CT"]):
        made, duplicates = _separate(group)
        stacks += made
        problems += duplicates
    return sorted(stacks, key=_largest_first), problems


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
        placed = by_position(group)
    except GeometryError:
        return [Stack(tuple(group), _n_files(group))], []
    kept, problems = _drop_duplicates(placed)
    whole = Stack(flat(kept), _n_files(group), len(group) - sum(map(len, kept)))
    clashes = tuple(distance(place[0]) for place in kept if len(place) > 1)
    if clashes:
        parts = part_acquisitions(whole.headers, has_no_repeats) or part_runs(whole.headers)
    elif is_regular(whole.headers):
        parts = part_interleaved(whole.headers)
    else:
        parts = part_acquisitions(whole.headers, is_regular)
    if parts is None:
        return [replace(whole, clashes=clashes)], problems
    return [Stack(flat(by_position(part)), _n_files(part)) for part in parts], problems


def _n_files(headers: Iterable[Header]) -> int:
    return len({header.file.path for header in headers})


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
    for (image, _), header in sorted(decoded, key=lambda pair: (*identity(pair[1]), pair[0])):
        if image in different:
            twin = different[image].file.shown
            problems.append(Problem(header.file.shown, "duplicate", f"holds the same slice as {twin}"))
        else:
            different[image] = header
    return list(different.values()), problems


def _contents(header: Header) -> tuple[str, str] | Problem:
    """Hashes of one image (its HU and acquisition) and of its file; asked for only where positions repeat."""
    try:
        data = header.file.read_bytes()
        hu = np.empty((header.rows, header.columns), np.int16)
        to_hu(stored_values(header, data), header.rescale or NO_RESCALE, hu)
    except OSError as error:
        return Problem(header.file.shown, "unreadable", error.strerror or type(error).__name__)
    except PixelError as error:
        return Problem(header.file.shown, error.reason, str(error))
    image = hashlib.sha256(hu.tobytes())
    image.update(repr([attribute(header) for attribute in PARTING]).encode())
    return image.hexdigest(), hashlib.sha256(data).hexdigest()
