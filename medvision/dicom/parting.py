"""What tells acquisitions of one series apart, where their slices lie at or between each other's places."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise

from medvision.dicom.headers import Header
from medvision.dicom.places import by_position, distance, is_regular

PARTING: tuple[Callable[[Header], Hashable], ...] = (
    lambda header: header.acquisition_number,
    lambda header: header.temporal_position,
    lambda header: header.trigger_time,
    lambda header: header.contrast_agent,
    lambda header: dict(header.attributes).get("KVP"),
    lambda header: header.slice_thickness_mm,
    lambda header: header.image_type,
    lambda header: header.acquisition_time,
)
"""What may tell acquisitions at the same or interleaved positions apart, in this order."""


def _all_of_them(header: Header) -> Hashable:
    return tuple(attribute(header) for attribute in PARTING)


def part_acquisitions(
    headers: Sequence[Header], fits: Callable[[Sequence[Header]], bool]
) -> list[list[Header]] | None:
    """Part slices by the first attribute all of whose parts fit; None where none does."""
    for attribute in (*PARTING, _all_of_them):
        parts = _parts(headers, attribute)
        if parts and all(map(fits, parts)):
            return parts
    return None


def _parts(headers: Sequence[Header], attribute: Callable[[Header], Hashable]) -> list[list[Header]] | None:
    """Slices with equal values; None where all are equal, or where most slices have a value of their own."""
    parts: dict[Hashable, list[Header]] = defaultdict(list)
    for header in headers:
        parts[attribute(header)].append(header)
    return list(parts.values()) if 1 < len(parts) <= len(headers) // 2 else None


_ACQUISITION: tuple[Callable[[Header], Hashable], ...] = PARTING[:3]
"""What names an acquisition or phase outright."""


def part_interleaved(headers: Sequence[Header]) -> list[list[Header]] | None:
    """Part acquisitions whose slices lie between each other's, though together they look like one fine stack.

    Acquisitions that follow each other, as in step-and-shoot scans, stay together.
    """
    for attribute in _ACQUISITION:
        parts = _parts(headers, attribute)
        if parts and _overlap(parts) and all(map(is_regular, parts)):
            return parts
    return None


def _overlap(parts: Sequence[Sequence[Header]]) -> bool:
    """Whether the extents of two parts have more than a point in common."""
    extents = sorted((distance(part[0]), distance(part[-1])) for part in parts)
    return any(later[0] < earlier[1] for earlier, later in pairwise(extents))


def part_runs(headers: Sequence[Header]) -> list[list[Header]] | None:
    """Part slices, by Instance Number, wherever a position comes again; None unless all parts are regular."""
    numbers = {header.instance_number for header in headers}
    if None in numbers or len(numbers) < len(headers):
        return None
    place_of = {id(header): k for k, place in enumerate(by_position(headers)) for header in place}
    runs: list[list[Header]] = [[]]
    seen: set[int] = set()
    for header in sorted(headers, key=lambda header: header.instance_number or 0):
        if place_of[id(header)] in seen:
            runs.append([])
            seen = set()
        seen.add(place_of[id(header)])
        runs[-1].append(header)
    enough = len(runs) <= len(headers) // 2
    return runs if enough and all(map(is_regular, runs)) else None
