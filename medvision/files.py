"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from medvision.errors import OutputError

LEAST_FREE_BYTES = 64 << 20
"""With less free space no job is begun: it would end half-way with a full disk."""
MOST_JSON_BYTES = 512 << 20
"""A larger document is none that this package or its like has written."""


def make_folder(folder: Path) -> Path:
    """Create a folder and prove that it can be written.

    Raises:
        OutputError: the folder cannot be made or written, or its disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            file.write(b"?")  # a quota lets a file be made, and nothing be written
    except OSError as error:
        raise OutputError(
            f"cannot write to {folder}: {error.strerror}; choose another output folder"
        ) from error
    if (free := shutil.disk_usage(folder).free) < LEAST_FREE_BYTES:
        raise OutputError(f"cannot write to {folder}: only {free >> 20} MiB free; make room there")
    return folder


def user_cache() -> Path:
    """This package's folder in the user's cache (XDG Base Directory Specification); it need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "medvision"


def cache_name(out: Path) -> str:
    """What stands for an OUT folder in the user's cache: 16 hexadecimal digits."""
    return hashlib.sha256(os.fsencode(out.resolve())).hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, read in pieces.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path, encoding: str = "utf-8") -> Any:  # noqa: ANN401  whatever the file holds
    """Read a JSON document that may come from a stranger.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, nested without end, or too large.
    """
    if (size := path.stat().st_size) > MOST_JSON_BYTES:
        raise ValueError(f"{size} bytes are too many for a document")
    try:
        return json.loads(path.read_text(encoding=encoding))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


_writer = ""


def name_parts_apart(writer: str) -> None:
    """Give this process's half-written files a name of their own.

    Where several machines write to one folder, one that is taken for dead may still be at work.
    """
    global _writer  # noqa: PLW0603  one process, one name
    _writer = f".{writer}"


FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs a cell that begins like this (OWASP, CSV injection)."""
MOST_UNPACKED = 1100
"""Bytes that one packed byte can stand for, rounded up: DEFLATE's bound is 1032."""


def check_claimed_size(path: Path, shape: Sequence[int], item_bytes: int, *, packed: bool) -> None:
    """Refuse a header that claims more than its file can hold, before room is made for it.

    Raises:
        ValueError: it does, or claims nothing at all.
    """
    there, n_bytes = path.stat().st_size, math.prod(shape) * item_bytes
    if min(shape) < 1:
        raise ValueError(f"its header claims the shape {tuple(shape)}, which holds nothing")
    if n_bytes > there * (MOST_UNPACKED if packed else 1):
        raise ValueError(f"its header claims {n_bytes} bytes, which {there} bytes cannot hold")


def safe_cell(value: object) -> object:
    """Text that a spreadsheet would run gets an apostrophe in front; numbers stay numbers."""
    if value is None:
        return ""
    if isinstance(value, str) and value.lstrip().startswith(FORMULA_STARTS):
        return f"'{value}"
    return value


def plain_cell(text: str) -> str:
    """The text that `safe_cell` has made safe."""
    return text[1:] if text[:1] == "'" and text[1:].lstrip().startswith(FORMULA_STARTS) else text


ADVICE = {
    None: "look whether there is room",  # NumPy's short writes have no number
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there, or ask for a larger quota",
    errno.EROFS: "mount it to be written",
    errno.EACCES: "look at its permissions",
    errno.EPERM: "look at its permissions",
}
"""What to do where a file cannot be written."""


def cannot_write(path: Path, error: OSError) -> OutputError:
    """One line for a write that failed; an error that says so already stays as it is."""
    if isinstance(error, OutputError):
        return error
    advice = ADVICE.get(error.errno, "look at the disk or the share")
    reason = error.strerror or str(error)
    told = OutputError(f"cannot write {path}: {reason}; {advice}, then give the command again")
    told.strerror = reason
    return told


def remove(path: Path) -> None:
    """Remove a file, where it is there.

    Raises:
        OutputError: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path.parent, error) from error


@contextmanager
def write_whole(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; rename it into place when the block ends without an error.

    A reader never sees half a file; a killed run leaves a hidden `.part` file that the next run replaces.

    Raises:
        OutputError: it cannot be written.
    """
    aside = path.with_name(f".{path.name}{_writer}.part")
    try:
        yield aside
        aside.replace(path)
    except OSError as error:
        _discard(aside)
        if error.filename not in {None, str(aside), aside}:  # another file, such as one that is copied
            raise
        raise cannot_write(path, error) from error
    except BaseException:
        _discard(aside)
        raise


def sync(*paths: Path) -> None:
    """Have files on the disk for good, and the names in folders, before anything says that they are there.

    A renamed file may be empty after a power cut, and a name may be gone. Folders that cannot be synced
    (Windows, some network shares) look after that themselves.

    Raises:
        OutputError: the disk fails.
    """
    for path in paths:
        is_folder = path.is_dir()
        try:
            _sync(path, os.O_RDONLY if is_folder else os.O_RDWR)
        except OSError as error:
            if not (is_folder and error.errno in _NO_SUCH_SYNC):
                raise cannot_write(path, error) from error


_NO_SUCH_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EISDIR})


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_secret(path: Path, text: str) -> None:
    """Write a new file that only its owner can read; where it cannot be written, none is there.

    Raises:
        OSError: it cannot be written, or is there already.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
    except OSError:
        _discard(path)
        raise


def _discard(path: Path) -> None:
    with suppress(OSError):  # a disk that takes no more may refuse this, too
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, private: bool = False) -> None:
    """Write UTF-8 text whole; what is private can be read by its owner only.

    Raises:
        OutputError: it cannot be written.
    """
    with write_whole(path) as aside:
        if private:
            aside.touch(mode=0o600)
            aside.chmod(0o600)
        aside.write_text(text, encoding="utf-8")
