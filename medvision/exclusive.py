"""One process at a time in a folder."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medvision.errors import OutputError

logger = logging.getLogger(__name__)


@contextmanager
def alone_in(folder: Path, who: str) -> Iterator[None]:
    """Keep a second one out of a folder for the time of a block.

    The lock is the kernel's, on the folder itself: it leaves no file and goes with the process, however that
    ends, so none is ever stale. Where the file system knows no such lock (some network shares), or the
    operating system has none, everybody is let in.

    Args:
        folder: that is written to; it must be there.
        who: writes there, such as `infer`.

    Raises:
        OutputError: another process is at work there.
    """
    handle = _lock(folder, who)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _lock(folder: Path, who: str) -> int | None:
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
            raise OutputError(
                f"another {who} is at work in {folder}; wait for it, or choose another folder"
            ) from error
        logger.debug("%s cannot be locked: %s", folder, error)
        return None
    return handle
