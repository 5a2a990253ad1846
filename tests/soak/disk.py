"""A disk that stops working: the N-th thing done to files below a folder fails, and perhaps all that follow.

Python's files are exchanged for those of `_pyio`, which do everything through `os`: so every open, write,
rename and removal is counted, those of libraries written in Python too, and none of SQLite's or Rust's.
"""

from __future__ import annotations

import _pyio
import builtins
import errno
import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

FULL, BROKEN, READ_ONLY, FORBIDDEN, STALE = (
    errno.ENOSPC,
    errno.EIO,
    errno.EROFS,
    errno.EACCES,
    errno.ESTALE,
)
NEEDS_ROOM = frozenset({"open", "write", "fsync", "replace", "mkdir"})
"""What a full disk refuses; to remove something is always possible there."""
READS = frozenset({"look", "read"})
CHANGES = NEEDS_ROOM | {"unlink", "rmdir"}


@dataclass
class Disk:
    """What happens below a folder.

    Attributes:
        folder: whose files are counted.
        kinds: what is counted.
        number: first operation that fails; None: none does.
        reason: `errno` of the failures.
        lasting: whether all later ones fail too.
        done: what was counted, in order.
    """

    folder: Path
    kinds: frozenset[str] = CHANGES
    number: int | None = None
    reason: int = FULL
    lasting: bool = True
    done: list[tuple[str, str]] = field(default_factory=list)
    lock: Any = field(default_factory=threading.Lock)

    def note(self, kind: str, path: str) -> None:
        """Count an operation, and let it fail where its turn has come."""
        if kind not in self.kinds or not path.startswith(f"{self.folder}{os.sep}"):
            return
        with self.lock:
            self.done.append((kind, os.path.relpath(path, self.folder)))
            turn = len(self.done) - 1
        if self.number is not None and (turn == self.number or (self.lasting and turn > self.number)):
            names = () if kind in {"write", "read"} else (path,)  # as the system tells them
            raise OSError(self.reason, os.strerror(self.reason), *names)


def _path(where: Any) -> str:
    if isinstance(where, int):
        return os.readlink(f"/proc/self/fd/{where}")  # noqa: PTH115  Path goes through what is exchanged
    return os.path.abspath(os.fsdecode(where))  # noqa: PTH100  links stay links


@contextmanager
def watched(disk: Disk) -> Iterator[Disk]:
    """Count, and fail, for the time of a block."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("write", "read", "fsync", "mkdir", "unlink", "rmdir", "replace", "rename"):
            kind = "replace" if name == "rename" else name
            patch.setattr(os, name, _counted(getattr(os, name), kind, disk))
        patch.setattr(os, "remove", os.unlink)
        patch.setattr(os, "open", _opening(os.open, disk))
        patch.setattr(builtins, "open", _pyio.open)
        patch.setattr(io, "open", _pyio.open)
        yield disk


def _counted(call: Callable[..., Any], kind: str, disk: Disk) -> Callable[..., Any]:
    def counted(where: Any, *rest: Any, **named: Any) -> Any:
        if named.get("dir_fd") is None:
            disk.note(kind, _path(where))
        return call(where, *rest, **named)

    return counted


def _opening(call: Callable[..., int], disk: Disk) -> Callable[..., int]:
    def opening(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if named.get("dir_fd") is None:
            disk.note("open" if flags & os.O_CREAT else "look", _path(path))
        return call(path, flags, *rest, **named)

    return opening
