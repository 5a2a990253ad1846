"""DICOMDIR: the list of files that a CD, USB stick or export folder says it holds (PS3.10 8.6, PS3.3 F)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from medvision.dicom.problems import Problem

NAME = "dicomdir"
MAX_BYTES = 2**26
"""A DICOMDIR of 64 MiB lists some 100,000 images."""
MAX_COMPONENTS = 8
"""Referenced File ID (0004,1500) has one to eight components."""

FileID = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """What a DICOMDIR refers to.

    Attributes:
        file_ids: Referenced File ID (0004,1500) of each record that has one.
        problems: references that leave the folder; a list that cannot be read.
    """

    file_ids: tuple[FileID, ...] = ()
    problems: tuple[Problem, ...] = field(default=())


def is_dicomdir(path: str) -> bool:
    """Whether a file's name is the one that PS3.10 reserves, as discs and their copies spell it."""
    return NAME in path[-2 * len(NAME) :].casefold() and _plain(PurePath(path).name) == NAME


def read_listing(path: Path, shown: str) -> Listing:
    """Read a DICOMDIR; a file that is no DICOM lists nothing (reading its header names it)."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    if (size := path.stat().st_size) > MAX_BYTES:
        return Listing((), (_bad(shown, f"{size} bytes are too many for a list of files"),))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # values that break a VR's rules are judged here
            records = pydicom.dcmread(path, specific_tags=["DirectoryRecordSequence"])
            found = [_file_id(record) for record in records.get("DirectoryRecordSequence", ())]
    except InvalidDicomError:
        return Listing()
    except Exception as error:  # noqa: BLE001  pydicom raises anything on damaged sequences
        words = " ".join(str(error).split())[:200] or type(error).__name__
        return Listing((), (_bad(shown, f"the list of files is unreadable: {words}"),))
    unsafe = [file_id for file_id in found if file_id and not _stays_inside(file_id)]
    problems = [_bad(shown, f"refers to a file outside of its folder: {'/'.join(each)}") for each in unsafe]
    return Listing(tuple(file_id for file_id in found if file_id and _stays_inside(file_id)), tuple(problems))


def _file_id(record: object) -> FileID:
    """Referenced File ID; empty for records of patients, studies and series."""
    value = getattr(record, "ReferencedFileID", None)
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(str(component) for component in value)


def _stays_inside(file_id: FileID) -> bool:
    return len(file_id) <= MAX_COMPONENTS and all(
        component.strip(". ") and not set(component) & set("/\\:\0") for component in file_id
    )


def _bad(shown: str, detail: str) -> Problem:
    return Problem(shown, "bad_header", detail)


def locate(folder: Path, file_ids: Iterable[FileID]) -> tuple[list[Path], list[FileID]]:
    """Find the files of a list below its folder, in whatever case the disc's driver spells their names.

    Returns:
        the files that are there; what is not.
    """
    there: list[Path] = []
    absent: list[FileID] = []
    listed: dict[str, dict[str, str]] = {}
    for file_id in file_ids:
        path = _resolve(str(folder), file_id, listed)
        if path is None:
            absent.append(file_id)
        else:
            there.append(Path(path))
    return there, absent


def _resolve(folder: str, file_id: FileID, listed: dict[str, dict[str, str]]) -> str | None:
    """Step from folder to folder; each is listed once."""
    path = folder
    for component in file_id:
        if path not in listed:
            listed[path] = _names(path)
        name = listed[path].get(_plain(component))
        if name is None:
            return None
        path = os.path.join(path, name)  # noqa: PTH118  a Path for each component is slow
    return path


def _names(folder: str) -> dict[str, str]:
    try:
        return {_plain(name): name for name in sorted(os.listdir(folder))}  # noqa: PTH208  names are wanted
    except OSError:
        return {}


def absent_members(shown: str, file_ids: Iterable[FileID], members: Collection[str]) -> list[FileID]:
    """What a DICOMDIR inside an archive lists and the archive does not hold.

    Args:
        shown: the DICOMDIR, as the archive's path followed by the member's name.
        file_ids: what it lists.
        members: all members of the archive, written likewise.
    """
    folder = PurePath(shown).parent
    present = {tuple(map(_plain, PurePath(member).parts)) for member in members}
    above = tuple(map(_plain, folder.parts))
    return [file_id for file_id in file_ids if (*above, *map(_plain, file_id)) not in present]


def absences(shown: str, absent: Iterable[FileID]) -> list[Problem]:
    """A problem for each file that a DICOMDIR lists and that is not there."""
    folder = PurePath(shown).parent
    return [
        Problem(str(folder.joinpath(*file_id)), "not_found", f"is listed in {shown} but not there")
        for file_id in absent
    ]


def _plain(name: str) -> str:
    """A name as ISO 9660 drivers agree on it: no case, no version, no final dot."""
    return name.casefold().partition(";")[0].rstrip(".")
