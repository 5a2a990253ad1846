"""The header index: what earlier runs read of each file, so that the next one reads only what has changed.

An SQLite file, readable by its owner only, because it holds Patient IDs and paths: `index.sqlite` in a STORE,
which holds them anyway; in the user's cache for an OUT folder, which names nobody and may be passed on. It
saves time and nothing depends on it: it may be deleted at any time, and where it is
damaged, locked or cannot be written, a run says so and goes on without.

What is trusted: a file whose path, size, time of last change (in nanoseconds) and inode are as they were is
taken to have the same content, as `make`, `rsync` and `git status` do. Who changes a file and puts its time
back is not noticed; `--no-resume` reads everything anew and writes the index afresh.

    files   key (absolute path; for an archive's member, with its number and name), size, mtime_ns, inode,
            sha256 once known, problem (JSON: reason, detail), images (JSON: a list for each image)
    parts   JSON that many images share, such as everything that is the same in a whole series
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Self, TypeVar

from medvision.dicom.headers import CARRIED, Header, PixelEncoding, Rescale
from medvision.dicom.index_rows import Numbering, Parts, parts_of, select
from medvision.dicom.problems import Problem
from medvision.dicom.sources import SourceFile
from medvision.files import cache_name, user_cache

log = logging.getLogger(__name__)

INDEX = "index.sqlite"
INDEX_VERSION = 1
"""Raised when the same file would give another Header; an index of another version is emptied."""
APPLICATION_ID = 0x6D764958
"""Marks the file as ours ("mvIX"); another program's database is left alone."""
SETTLED_NS = 50_000_000
"""A file that changed so shortly before it was read may change again without a new time."""
_LOCK_SECONDS = 1.0
_PASSING = frozenset({"unreadable", "not_found"})
"""Problems that can go away without the file being changed."""

_TABLES = (
    "CREATE TABLE files (key BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, inode INTEGER, "
    "sha256 TEXT, problem TEXT, images TEXT) WITHOUT ROWID",
    "CREATE TABLE parts (id INTEGER PRIMARY KEY, text TEXT)",
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reading:
    """What one file gave: images (none for a DICOMDIR), or a problem."""

    file: SourceFile
    images: tuple[Header, ...] = ()
    problem: Problem | None = None


def cached_index(out: Path) -> Path:
    """Where the index of an OUT folder lies: one a folder, in the user's cache."""
    return user_cache() / "index" / f"{cache_name(out)}.sqlite"


class _IndexError(Exception):
    """The file is not an index that can be used; says why."""


class HeaderIndex:
    """Readings by file. Errors are told once; from then on it knows nothing and keeps nothing."""

    def __init__(self, path: Path | None, *, trusted: bool = True) -> None:
        """Open or make an index.

        Args:
            path: the SQLite file; None for an index that knows and keeps nothing.
            trusted: False to read every file anew and only write.
        """
        self._path = path
        self._trusted = trusted
        self._database: sqlite3.Connection | None = None
        self._parts = Parts()
        self._numbering = Numbering()
        if path is not None:
            self._try(lambda: self._connect(path), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def find(self, files: Sequence[SourceFile]) -> list[Reading]:
        """The readings of those files that are as they were."""
        if not self._trusted:
            return []
        return self._try(lambda: list(self._find(files)), [])

    def note(self, readings: Iterable[Reading]) -> None:
        """Keep what was read."""
        self._try(lambda: self._note(readings), None)

    def note_hashes(self, files: Iterable[SourceFile], sha256: Mapping[Path, str]) -> None:
        """Keep the SHA-256 of files whose content was read."""
        rows = [(sha256[file.path], *file.stamp) for file in files if file.stamp and sha256.get(file.path)]
        self._try(lambda: self._note_hashes(rows), None)

    def forget_others(self, files: Sequence[SourceFile]) -> None:
        """Drop what is known of other files: the index describes the last run's sources."""
        keys = {file.stamp.key for file in files if file.stamp}
        self._try(lambda: self._forget_others(keys), None)

    def _try(self, work: Callable[[], T], otherwise: T) -> T:
        """Nothing that happens to an index may stop a run."""
        if self._path is None:
            return otherwise
        try:
            return work()
        except (sqlite3.Error, OSError, _IndexError, ValueError, KeyError, TypeError) as error:
            log.warning("index %s is not used: %s; delete it or choose another place", self._path, error)
            self._path = None
            return otherwise

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if self._database is None:
            raise _IndexError("it is closed")
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            yield self._database

    def _connect(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._database = sqlite3.connect(path, timeout=_LOCK_SECONDS, isolation_level=None)
        self._database.execute("PRAGMA synchronous = OFF")  # it can be made again: no run waits for the disk
        with self._transaction() as database:
            _make_current(database)

    def _find(self, files: Sequence[SourceFile]) -> Iterator[Reading]:
        by_key = {file.stamp.key: file for file in files if file.stamp}
        with self._transaction() as database:
            rows = select(database, "key, size, mtime_ns, inode, sha256, problem, images", "files", by_key)
            decoded = [
                (by_key[key], sha256, problem, json.loads(images))
                for key, size, mtime_ns, inode, sha256, problem, images in rows
                if by_key[key].stamp == (key, size, mtime_ns, inode)
            ]
            self._parts.load(database, {part for *_, images in decoded for part in parts_of(images)})
        for file, sha256, problem, images in decoded:
            known = _with_hash(file, sha256)
            yield Reading(
                file=known,
                images=tuple(self._parts.build(known, own) for own in images),
                problem=Problem(file.shown, *json.loads(problem)) if problem else None,
            )

    def _note(self, readings: Iterable[Reading]) -> None:
        settled = time.time_ns() - SETTLED_NS
        rows = []
        for reading in readings:
            stamp, problem = reading.file.stamp, reading.problem
            if stamp is None or stamp.mtime_ns > settled or (problem and problem.reason in _PASSING):
                continue
            images = [self._numbering.own_values(header) for header in reading.images]
            said = json.dumps([problem.reason, problem.detail]) if problem else None
            rows.append((*stamp, said, json.dumps(images)))
        with self._transaction() as database:
            database.executemany(
                "INSERT OR IGNORE INTO parts VALUES (?, ?)", self._numbering.take_new().items()
            )
            database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, NULL, ?, ?)", rows)

    def _note_hashes(self, rows: Iterable[tuple[object, ...]]) -> None:
        with self._transaction() as database:
            database.executemany(
                "UPDATE files SET sha256 = ? WHERE key = ? AND size = ? AND mtime_ns = ? AND inode = ?", rows
            )

    def _forget_others(self, keys: set[bytes]) -> None:
        with self._transaction() as database:
            if database.execute("SELECT count(*) FROM files").fetchone()[0] <= len(keys):
                return
            known = [key for (key,) in database.execute("SELECT key FROM files")]
            gone = [(key,) for key in known if key not in keys]
            database.executemany("DELETE FROM files WHERE key = ?", gone)
            used = {
                part
                for (images,) in database.execute("SELECT images FROM files")
                for part in parts_of(json.loads(images))
            }
            unused = [(part,) for (part,) in database.execute("SELECT id FROM parts") if part not in used]
            database.executemany("DELETE FROM parts WHERE id = ?", unused)


def _make_current(database: sqlite3.Connection) -> None:
    """Make the tables where there are none, or none of this version; all of it or nothing."""
    current = _version()
    (kind,), (version_found,) = (database.execute(f"PRAGMA {name}").fetchone() for name in _MARKS)
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    if kind != APPLICATION_ID and tables:
        raise _IndexError("it is another program's database")
    if (kind, version_found) == (APPLICATION_ID, current):
        return
    for name in tables:
        database.execute(f'DROP TABLE "{name}"')
    for statement in _TABLES:
        database.execute(statement)
    for name, value in zip(_MARKS, (APPLICATION_ID, current), strict=True):
        database.execute(f"PRAGMA {name} = {value}")


_MARKS = ("application_id", "user_version")


def _version() -> int:
    """Of everything that decides what a Header holds, as `PRAGMA user_version` can keep it."""
    try:
        package = version("medvision")
    except PackageNotFoundError:
        package = ""
    kinds = [[field.name for field in fields(kind)] for kind in (Header, PixelEncoding, Rescale)]
    return zlib.crc32(json.dumps([INDEX_VERSION, package, kinds, CARRIED]).encode()) & 0x7FFFFFFF


def _with_hash(file: SourceFile, sha256: str | None) -> SourceFile:
    return replace(file, sha256=sha256) if sha256 else file
