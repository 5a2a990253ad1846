"""Every file under the sources a user named: files, folder trees, archives; links followed, loops not."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

from medvision.dicom.archives import Workspace, is_archive, unpack
from medvision.dicom.media import absences, absent_members, is_dicomdir, locate, read_listing
from medvision.dicom.problems import Problem, Reason
from medvision.errors import NetworkError
from medvision.files import file_sha256
from medvision.remote.places import Place, RemoteFile, RemoteFolder


class Stamp(NamedTuple):
    """By what a file is known again: as long as all of it is the same, the content is taken to be the same.

    Attributes:
        key: absolute path as bytes; for an archive's member, followed by its number and name.
        size: bytes; for a member, of the archive, and so on.
        mtime_ns: last change.
        inode: another file that took its place has another one.
    """

    key: bytes
    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file to look at.

    Attributes:
        path: where its bytes lie; only a name where they are remote.
        shown: what the user is told; for an archive's member, the archive and the name inside.
        size: bytes.
        stamp: by what an index knows it again.
        sha256: of its content, where an index knows it.
        workspace: keeps an unpacked file alive as long as anything refers to it; not sent to workers.
        remote: where its bytes lie, if not on this machine.
    """

    path: Path
    shown: str
    size: int
    stamp: Stamp | None = field(default=None, compare=False, repr=False)
    sha256: str | None = field(default=None, compare=False, repr=False)
    workspace: Workspace | None = field(default=None, compare=False, repr=False)
    remote: RemoteFile | None = field(default=None, compare=False, repr=False)

    def __reduce__(self) -> tuple[type[SourceFile], tuple[object, ...]]:
        return SourceFile, (self.path, self.shown, self.size, None, self.sha256, None, self.remote)

    def open(self) -> BinaryIO:
        """A stream of its bytes; of a remote file, only those that are read travel.

        Raises:
            OSError: it cannot be read.
        """
        return self.remote.open() if self.remote else self.path.open("rb", buffering=0)

    def read_bytes(self) -> bytes:
        """All its bytes.

        Raises:
            OSError: it cannot be read.
        """
        return self.remote.read_bytes() if self.remote else self.path.read_bytes()

    def hash_bytes(self) -> str:
        """SHA-256 of its bytes.

        Raises:
            OSError: it cannot be read.
        """
        if self.remote:
            return hashlib.sha256(self.remote.read_bytes()).hexdigest()
        return file_sha256(self.path)


def gather(sources: Sequence[Place]) -> tuple[list[SourceFile], list[Problem]]:
    """List every regular file, each once, whatever links and overlapping sources lead to it.

    A DICOMDIR among the sources stands for the files that it lists. What a DICOMDIR lists and is not there is
    a problem; what lies beside it unlisted is looked at like everything else.
    """
    found = _Found([], [])
    seen: set[tuple[int, int]] = set()
    for folder in sources:
        if isinstance(folder, RemoteFolder):
            found.add_remote(folder)
    local = [source for source in sources if isinstance(source, Path)]
    for item in _walk(local, seen):
        found.add(item)
        if isinstance(item, SourceFile) and is_dicomdir(item.shown):
            listed = _note_listing(item, found)
            if item.path in local:
                for each in _walk(listed, seen):
                    found.add(each)
    return found.files, found.problems


@dataclass(slots=True)
class _Found:
    files: list[SourceFile]
    problems: list[Problem]
    workspace: Workspace | None = None

    def add(self, item: SourceFile | Problem) -> None:
        if isinstance(item, Problem):
            self.problems.append(item)
        elif is_archive(item.shown):
            self.workspace = self.workspace or Workspace()
            self._unpack(item, self.workspace)
        else:
            self.files.append(item)

    def add_remote(self, folder: RemoteFolder) -> None:
        """Every file behind an address; archives come here to be unpacked."""
        try:
            files = folder.files()
        except OSError as error:
            raise NetworkError(f"{folder} cannot be listed: {error.strerror}") from error
        if not files:
            self.problems.append(Problem(printable(folder.url), "not_found", "nothing lies there"))
        for file in files:
            if is_archive(file.url):
                self._fetch_archive(file)
            else:
                self.files.append(_remote_source(file))

    def _fetch_archive(self, file: RemoteFile) -> None:
        self.workspace = self.workspace or Workspace()
        place = self.workspace.new_path()
        try:
            file.fetch(place)
        except OSError as error:
            self.problems.append(Problem(printable(file.url), "unreadable", str(error.strerror)))
            return
        self._unpack(replace(_remote_source(file), path=place), self.workspace)
        place.unlink()

    def _unpack(self, archive: SourceFile, workspace: Workspace) -> None:
        unpacked, bad = unpack(archive.path, archive.shown, workspace)
        self.problems += bad
        members = [
            SourceFile(
                path=member.path,
                shown=printable(member.shown),
                size=member.path.stat().st_size,
                stamp=_member_stamp(archive, number, member.shown),
                workspace=workspace,
            )
            for number, member in enumerate(unpacked)
        ]
        self.files += members
        for member in members:
            if is_dicomdir(member.shown):
                listing = read_listing(member.path, member.shown)
                absent = absent_members(member.shown, listing.file_ids, [each.shown for each in members])
                self.problems += [*listing.problems, *absences(member.shown, absent)]


def _remote_source(file: RemoteFile) -> SourceFile:
    """Known again by its address, its size and what its store says of changes; else not at all."""
    stamp = Stamp(file.url.encode(), file.size, 0, file.state_number) if file.state else None
    return SourceFile(Path(file.url), printable(file.url), file.size, stamp, remote=file)


def _note_listing(file: SourceFile, found: _Found) -> list[Path]:
    """Name what a DICOMDIR lists and is not there; return what is."""
    listing = read_listing(file.path, file.shown)
    there, absent = locate(file.path.parent, listing.file_ids)
    found.problems += [*listing.problems, *absences(file.shown, absent)]
    return there


def _member_stamp(archive: SourceFile, number: int, name: str) -> Stamp | None:
    """An archive can hold several members of one name: the number tells them apart."""
    if archive.stamp is None:
        return None
    inside = f"/{number}{name.removeprefix(archive.shown)}".encode("utf-8", "surrogatepass")
    return archive.stamp._replace(key=archive.stamp.key + inside)


def printable(path: Path | str) -> str:
    """A path as text that every file and terminal can take, whatever bytes the name holds."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def _walk(sources: Iterable[Path], seen: set[tuple[int, int]]) -> Iterator[SourceFile | Problem]:
    """Depth first, in name order; a folder or file that was seen already is passed over. One stat a file."""
    here = os.fspath(Path.cwd())
    waiting: list[Path | os.DirEntry[str]] = [*map(Path, sources)]
    waiting.reverse()
    while waiting:
        item = waiting.pop()
        path = os.fspath(item)
        try:
            info = item.stat()
            if (info.st_dev, info.st_ino) in seen:
                continue
            seen.add((info.st_dev, info.st_ino))
            if stat.S_ISDIR(info.st_mode):
                waiting += _contents(path)
                continue
        except OSError as error:
            reason: Reason = "not_found" if isinstance(error, FileNotFoundError) else "unreadable"
            yield Problem(printable(path), reason, error.strerror or type(error).__name__)
            continue
        if stat.S_ISREG(info.st_mode):
            key = os.fsencode(os.path.join(here, path))  # noqa: PTH118  a Path a file is slow
            stamp = Stamp(key, info.st_size, info.st_mtime_ns, info.st_ino)
            yield SourceFile(Path(path), printable(path), info.st_size, stamp)
        else:
            yield Problem(printable(path), "not_a_file", "a device, pipe or socket")


def _contents(folder: str) -> list[os.DirEntry[str]]:
    """What lies in a folder, the last name first."""
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name, reverse=True)
