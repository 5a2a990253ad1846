"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medvision.errors import OutputError

LEAST_FREE_BYTES = 64 << 20
"""With less free space no job is begun: it would end half-way with a full disk."""


def make_folder(folder: Path) -> Path:
    """Create a folder and prove that it can be written.

    Raises:
        OutputError: the folder cannot be made or written, or its disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"cannot write to {folder}: {error.strerror}; choose another output folder"
        ) from error
    if (free := shutil.disk_usage(folder).free) < LEAST_FREE_BYTES:
        raise OutputError(f"cannot write to {folder}: only {free >> 20} MiB free; make room there")
    return folder


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, read in pieces.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def write_whole(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; rename it into place when the block ends without an error.

    A reader never sees half a file; a killed run leaves a hidden `.part` file that the next run replaces.
    """
    aside = path.with_name(f".{path.name}.part")
    try:
        yield aside
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole."""
    with write_whole(path) as aside:
        aside.write_text(text, encoding="utf-8")
