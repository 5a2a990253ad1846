"""Where received objects lie: whole or not at all, each once, never more than the disk is to hold.

INBOX/<study UID>/<series UID>/<SOP instance UID>.dcm
INBOX/.incoming/                                       half-written files; emptied when an inbox is opened
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from itertools import count
from pathlib import Path
from typing import BinaryIO

from medvision.dicom.network.instances import Instance, is_uid
from medvision.errors import OutputError
from medvision.files import make_folder, sync

INCOMING = ".incoming"
GIB = 1 << 30
_COMPARED_BYTES = 1 << 20


class Stored(Enum):
    """What became of an object."""

    NEW = "new"
    SAME = "same"  # the very bytes were here already
    REPLACED = "replaced"  # other content under the same UID: the one sent last counts


class InboxFullError(Exception):
    """There is no room; the sender is to try again later."""


@dataclass(frozen=True, slots=True)
class Room:
    """How much may be kept.

    Attributes:
        quota_bytes: of all objects together; None for as much as the disk holds.
        reserve_bytes: of the disk, to stay free.
    """

    quota_bytes: int | None = None
    reserve_bytes: int = GIB


class Inbox:
    """A folder of received objects; safe for several threads."""

    def __init__(self, folder: Path, room: Room = Room()) -> None:
        """Open or make an inbox that only its owner can read; what a killed process left half-written goes.

        Raises:
            OutputError: it cannot be written.
        """
        self.folder = make_folder(folder)
        self._incoming = folder / INCOMING
        self._room = room
        self._lock = threading.Lock()
        self._numbers = count()
        try:
            folder.chmod(0o700)
            shutil.rmtree(self._incoming, ignore_errors=True)
            self._incoming.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot use {folder} as inbox: {error.strerror}") from error
        self._used = sum(path.stat().st_size for path in self._files())

    @property
    def used_bytes(self) -> int:
        """What all objects take."""
        return self._used

    @property
    def free_bytes(self) -> int:
        """What is free on the disk."""
        return shutil.disk_usage(self.folder).free

    def why_full(self, size: int = 0) -> str:
        """Why an object of so many bytes cannot be kept now; empty where it can."""
        if self._room.quota_bytes is not None and self._used + size > self._room.quota_bytes:
            return "the quota is used up"
        return "the disk is full" if self.free_bytes - size < self._room.reserve_bytes else ""

    def store(self, instance: Instance, content: bytes) -> Stored:
        """Keep an object; when this returns, content and name are on the disk, whatever becomes of the power.

        Args:
            instance: who it is.
            content: a whole DICOM file.

        Raises:
            InboxFullError: there is no room for it; nothing has changed.
            OSError: the disk fails; what is there is whole, and is not promised.
        """
        path = self.path(instance)
        stored = Stored.SAME if _holds(path, content) else self._write(path, content)
        sync(path.parent)  # also when another thread has just named it
        return stored

    def path(self, instance: Instance) -> Path:
        """Where an object lies, or would."""
        study, series = instance.study_instance_uid, instance.series_instance_uid
        return self.folder / study / series / f"{instance.sop_instance_uid}.dcm"

    def study(self, study_instance_uid: str) -> Path:
        """The folder of a study."""
        return self.folder / study_instance_uid

    def studies(self) -> list[str]:
        """Study Instance UIDs of all that is here."""
        return sorted(path.name for path in self.folder.iterdir() if is_uid(path.name) and path.is_dir())

    def instances(self, study_instance_uid: str) -> list[Path]:
        """The files of a study, sorted."""
        return sorted(self.study(study_instance_uid).glob("*/*.dcm"))

    def stamp(self, study_instance_uid: str) -> str:
        """What a study consists of: another value as soon as an object is added, replaced or gone."""
        digest = hashlib.sha256()
        for path in self.instances(study_instance_uid):
            with suppress(FileNotFoundError):
                info = path.stat()
                digest.update(f"{path.parent.name}/{path.name} {info.st_size} {info.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def find(self, sop_instance_uids: Collection[str]) -> dict[str, Path]:
        """The files of those SOP Instances that are here; their names are on the disk for good."""
        wanted = set(sop_instance_uids)
        found = {path.stem: path for path in self._files() if path.stem in wanted}
        folders = {parent for path in found.values() for parent in (path.parent, path.parent.parent)}
        sync(*folders, self.folder)
        return found

    def delete(self, study_instance_uid: str) -> None:
        """Remove a study."""
        with self._lock:
            size = sum(path.stat().st_size for path in self.instances(study_instance_uid))
            shutil.rmtree(self.study(study_instance_uid), ignore_errors=True)
            self._used -= size

    def _files(self) -> Iterator[Path]:
        return self.folder.glob("*/*/*.dcm")

    @contextmanager
    def _reserved(self, size: int) -> Iterator[None]:
        """Count the bytes before they are written, so that many at once cannot overrun the quota."""
        with self._lock:
            if why := self.why_full(size):
                raise InboxFullError(why)
            self._used += size
        try:
            yield
        except BaseException:
            with self._lock:
                self._used -= size
            raise

    def _write(self, path: Path, content: bytes) -> Stored:
        with self._reserved(len(content)):
            aside = self._incoming / f"{next(self._numbers)}.part"
            try:
                _write_through(aside, content)
                return self._move(aside, path)
            finally:
                aside.unlink(missing_ok=True)

    def _move(self, aside: Path, path: Path) -> Stored:
        """Give a written file its name; the size of one that it replaces is given back."""
        with self._lock:
            if not path.parent.is_dir():
                path.parent.mkdir(parents=True)
                sync(path.parent.parent, self.folder)
            old = path.stat().st_size if path.exists() else None
            aside.replace(path)
            if old is None:
                return Stored.NEW
            self._used -= old
            return Stored.REPLACED


def _write_through(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _holds(path: Path, content: bytes) -> bool:
    """Whether a file has exactly this content."""
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size == len(content) and _same(file, content)
    except OSError:
        return False


def _same(file: BinaryIO, content: bytes) -> bool:
    view = memoryview(content)
    pieces = range(0, len(content), _COMPARED_BYTES)
    return all(file.read(_COMPARED_BYTES) == view[start : start + _COMPARED_BYTES] for start in pieces)
