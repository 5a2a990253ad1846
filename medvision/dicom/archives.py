"""Unpacking archives from strangers: bounded, without links, devices or paths that escape.

Members are written under numbers, never under their own names, so no name can leave the folder.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import tarfile
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from medvision.dicom.problems import Problem

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar.lzma")
MAX_DEPTH = 2
"""Archives inside archives: one level is common (a zip of zips from a portal), more is a trick."""
MAX_RATIO = 100
"""Unpacked bytes a packed byte; CT compresses about 2 to 10 times."""
MIN_ALLOWANCE_BYTES = 2**30
"""What even a tiny archive may unpack to."""
MAX_MEMBERS = 200_000
MAX_TAR_HEADER_BYTES = 2**24
"""Long names and PAX records in front of a member's content."""
_CHUNK_BYTES = 2**20
_COMPRESSIONS: dict[bytes, Callable[..., object]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
    b"\x5d\x00\x00": lzma.open,
}
"""How compressed files begin: .gz, .bz2, .xz, .lzma."""
_ERRORS = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError,
    RuntimeError, NotImplementedError, ValueError, UnicodeError,
)  # fmt: skip


class _TooLargeError(Exception):
    """The archive unpacks to more than its allowance."""


@dataclass(frozen=True, slots=True)
class Member:
    """One unpacked file: where its bytes lie, and what the user is told."""

    path: Path
    shown: str


class Workspace:
    """A temporary folder that disappears with the last object that refers to it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="medvision-"))
        self._count = 0
        self._cleanup = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def new_path(self) -> Path:
        """A path in the folder that no file has yet."""
        self._count += 1
        return self.folder / f"{self._count:07d}"


class _Allowance:
    """Counts unpacked bytes and members against the limits."""

    def __init__(self, archive: Path, workspace: Workspace) -> None:
        free = shutil.disk_usage(workspace.folder).free
        wanted = max(MIN_ALLOWANCE_BYTES, MAX_RATIO * archive.stat().st_size)
        self.bytes_left = min(wanted, int(free * 0.9))
        self.members_left = MAX_MEMBERS

    def take(self, n_bytes: int) -> None:
        self.bytes_left -= n_bytes
        if self.bytes_left < 0:
            raise _TooLargeError("it unpacks to more than is safe or than the disk holds")

    def take_member(self) -> None:
        self.members_left -= 1
        if self.members_left < 0:
            raise _TooLargeError(f"it holds more than {MAX_MEMBERS} members")


def is_archive(name: str) -> bool:
    """Whether a file name says that this is an archive."""
    return name.lower().endswith(SUFFIXES)


def unpack(archive: Path, shown: str, workspace: Workspace) -> tuple[list[Member], list[Problem]]:
    """Unpack every regular file of a `.zip` or `.tar*`, archives inside it included.

    A damaged archive gives what came before the damage, and a problem.
    """
    members: list[Member] = []
    problems: list[Problem] = []
    try:
        allowance = _Allowance(archive, workspace)
        for item in _unpack(archive, shown, workspace, allowance, depth=1):
            if isinstance(item, Problem):
                problems.append(item)
            else:
                members.append(item)
    except _TooLargeError as error:
        problems.append(Problem(shown, "archive_too_large", str(error)))
    return members, problems


def _unpack(
    archive: Path, shown: str, workspace: Workspace, allowance: _Allowance, *, depth: int
) -> Iterator[Member | Problem]:
    try:
        reader = _unpack_zip if zipfile.is_zipfile(archive) else _unpack_tar
        for item in reader(archive, shown, workspace, allowance):
            if isinstance(item, Problem) or not is_archive(item.shown):
                yield item
            elif depth >= MAX_DEPTH:
                yield Problem(item.shown, "bad_archive", "archives are nested too deeply")
            else:
                yield from _unpack(item.path, item.shown, workspace, allowance, depth=depth + 1)
                item.path.unlink(missing_ok=True)
    except _ERRORS as error:
        yield Problem(shown, "bad_archive", f"cannot be unpacked: {error or type(error).__name__}")


def _unpack_zip(
    archive: Path, shown: str, workspace: Workspace, allowance: _Allowance
) -> Iterator[Member | Problem]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            if info.is_dir():
                continue
            name = f"{shown}/{info.filename}"
            try:
                with file.open(info) as stream:
                    yield _write(stream, name, workspace, allowance)
            except _ERRORS as error:
                yield Problem(name, "bad_archive", f"member cannot be unpacked: {error}")


def _unpack_tar(
    archive: Path, shown: str, workspace: Workspace, allowance: _Allowance
) -> Iterator[Member | Problem]:
    with _decompressed(archive) as raw:
        stream = _HeaderMeter(raw)
        with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|") as file:
            while (info := stream.next_member(file)) is not None:
                name = f"{shown}/{info.name}"
                if info.isreg():
                    content = file.extractfile(info)
                    if content is not None:
                        yield _write(content, name, workspace, allowance)
                elif not info.isdir():
                    yield Problem(name, "unsafe_member", "links and devices in archives are not followed")


def _decompressed(archive: Path) -> IO[bytes]:
    """Open a tar file, whatever it is compressed with; its first bytes tell."""
    with archive.open("rb") as file:
        magic = file.read(6)
    for start, opener in _COMPRESSIONS.items():
        if magic.startswith(start):
            return cast("IO[bytes]", opener(archive, "rb"))
    return archive.open("rb")


class _HeaderMeter:
    """Passes a tar stream on and refuses headers without end, which tarfile reads into memory whole."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = MAX_TAR_HEADER_BYTES
        self._metered = True

    def next_member(self, file: tarfile.TarFile) -> tarfile.TarInfo | None:
        """The next member; what is read to find it counts."""
        self._left, self._metered = MAX_TAR_HEADER_BYTES, True
        try:
            return file.next()
        finally:
            self._metered = False

    def read(self, size: int = -1) -> bytes:
        """As a file."""
        data = self._stream.read(size)
        if self._metered:
            self._left -= len(data)
            if self._left < 0:
                raise _TooLargeError(f"a member's header is larger than {MAX_TAR_HEADER_BYTES} bytes")
        return data


def _write(stream: IO[bytes], shown: str, workspace: Workspace, allowance: _Allowance) -> Member:
    allowance.take_member()
    path = workspace.new_path()
    with path.open("wb") as target:
        while chunk := stream.read(_CHUNK_BYTES):
            allowance.take(len(chunk))
            target.write(chunk)
    return Member(path, shown)
