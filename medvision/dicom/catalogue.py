"""What lies in a user's folders: every stack with its verdict, every unusable file with its reason."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from medvision.dicom.entries import SeriesEntry
from medvision.dicom.grid import Grid
from medvision.dicom.headers import Header, has_geometry
from medvision.dicom.index import HeaderIndex
from medvision.dicom.problems import Problem
from medvision.dicom.quality import look_at_headers
from medvision.dicom.reading import read_all
from medvision.dicom.sources import SourceFile, gather
from medvision.dicom.stacks import Stack, lay_grid, split_series
from medvision.errors import GeometryError, NothingToDoError
from medvision.progress import track
from medvision.remote.places import Place
from medvision.volumes import QualityCheck

MIN_SLICES = 20
"""Stacks with fewer slices are localisers, dose pictures and test shots rather than chest scans."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All that was found, sorted by Series Instance UID and path."""

    series: tuple[SeriesEntry, ...]
    problems: tuple[Problem, ...]


def catalogue(
    sources: Sequence[Place],
    *,
    min_slices: int = MIN_SLICES,
    index: HeaderIndex | None = None,
    expect: Callable[[int], None] | None = None,
) -> Catalogue:
    """Read the headers of everything under the sources and sort it into series and problems.

    Args:
        sources: files, folders, `.zip` and `.tar*` archives, mixed and dirty; here or behind an address.
        min_slices: stacks with fewer are rejected.
        index: what earlier runs read; None reads every file.
        expect: told the number of files before the first one is read.

    Raises:
        NothingToDoError: there is no DICOM image at all; says what was found.
    """
    files, problems = gather(sources)
    if expect:
        expect(len(files))
    headers: list[Header] = []
    for reading in track(read_all(files, index or HeaderIndex(None)), "reading headers", total=len(files)):
        headers += reading.images
        problems += [reading.problem] if reading.problem else []
    if not any(header.pixels for header in headers):
        raise NothingToDoError(_nothing(sources, files, headers, problems))
    by_series: dict[str, list[Header]] = defaultdict(list)
    for header in headers:
        by_series[header.series_instance_uid].append(header)
    entries: list[SeriesEntry] = []
    for uid in sorted(by_series):
        made, bad = _judge_series(uid, by_series[uid], min_slices)
        entries += made
        problems += bad
    return Catalogue(tuple(entries), tuple(sorted(problems)))


def _nothing(
    sources: Sequence[Place],
    files: Sequence[SourceFile],
    headers: Sequence[Header],
    problems: Sequence[Problem],
) -> str:
    """One line: where, what was found instead, what to do."""
    where = ", ".join(map(str, sources[:3])) + (" …" if len(sources) > 3 else "")
    kinds = Counter(PurePath(file.shown).suffix.lower() or "without suffix" for file in files)
    found = [f"{len(files)} files"]
    found[0] += f" ({', '.join(f'{n} {kind}' for kind, n in kinds.most_common(4))})" if files else ""
    found += [f"{len(headers)} DICOM documents without an image"] if headers else []
    reasons = Counter(problem.reason for problem in problems)
    found += [f"{n} {reason}" for reason, n in reasons.most_common(3)]
    return f"no DICOM image in {where}: found {', '.join(found)}; give a folder or archive of CT images"


def _judge_series(
    uid: str, headers: list[Header], min_slices: int
) -> tuple[list[SeriesEntry], list[Problem]]:
    headers, problems = _set_aside_incomplete(headers)
    stacks, duplicates = split_series(headers)
    judged = [_judge(stack, min_slices) for stack in stacks]
    judged.sort(key=lambda entry: entry.status == "rejected")  # stable: the largest usable stack comes first
    safe = _file_name(uid)
    names = [safe if number == 1 else f"{safe}_{number}" for number in range(1, len(judged) + 1)]
    entries = [replace(entry, name=name) for name, entry in zip(names, judged, strict=True)]
    return entries, problems + duplicates


def _file_name(uid: str) -> str:
    """The UID where it is one (PS3.5 9.1); else its harmless characters and a hash that keeps two apart."""
    if re.fullmatch(r"[0-9][0-9.]{0,63}", uid):
        return uid
    digest = hashlib.sha256(uid.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return f"{re.sub(r'[^0-9A-Za-z.]', '', uid).strip('.')[:48]}-{digest}"


_NEEDED: tuple[tuple[str, Callable[[Header], bool]], ...] = (
    ("Image Position, Image Orientation or Pixel Spacing", has_geometry),
    ("Rescale Slope or Intercept", lambda header: header.rescale is not None),
)


def _set_aside_incomplete(headers: list[Header]) -> tuple[list[Header], list[Problem]]:
    """Images that lack what others of their series have are problems; where all do, the series is judged."""
    problems: list[Problem] = []
    for words, has_it in _NEEDED:
        complete = [header for header in headers if header.modality != "CT" or has_it(header)]
        if complete and len(complete) < len(headers):
            lacking = [header for header in headers if header.modality == "CT" and not has_it(header)]
            problems += [
                Problem(h.file.shown, "bad_header", f"{words} is absent or unreadable") for h in lacking
            ]
            headers = complete
    return headers, problems


def _judge(stack: Stack, min_slices: int) -> SeriesEntry:
    grid, problem = _plan(stack)
    checks = look_at_headers(stack, grid, min_slices)
    if grid is None and not any(check.verdict == "reject" for check in checks):
        checks.append(QualityCheck("geometry", "reject", "irregular", "a regular stack of slices", problem))
    rejected = any(check.verdict == "reject" for check in checks)
    return SeriesEntry("", stack, None if rejected else grid, tuple(checks))


def _plan(stack: Stack) -> tuple[Grid | None, str]:
    """The grid, or why there is none."""
    if stack.clashes or not all(map(has_geometry, stack.headers)):
        return None, "Image Position, Image Orientation or Pixel Spacing is absent or unreadable"
    try:
        return lay_grid(stack.headers), ""
    except GeometryError as error:
        return None, str(error)
