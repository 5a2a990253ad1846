"""Where files lie: in a folder of this machine, or behind an address."""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast
from urllib.parse import unquote, urlsplit

from medvision.errors import OutputError, UsageError
from medvision.files import write_whole
from medvision.remote.filesystem import OBJECT_STORES, one_line_errors, open_filesystem

_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_CHANGES = (
    "ETag",
    "etag",
    "e_tag",
    "LastModified",
    "last_modified",
    "mtime",
    "updated",
    "modified",
    "created",
)
"""What drivers call that by which a change of a file shows."""
BUFFER_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file behind an address; can be sent to another machine.

    Attributes:
        url: its address.
        size: bytes.
        state: changes when the content does; empty where the store does not tell.
    """

    url: str
    size: int
    state: str = ""

    def open(self) -> BinaryIO:
        """A stream that asks for the bytes that are read, and for no others."""
        return cast("BinaryIO", io.BufferedReader(_Ranges(self), BUFFER_BYTES))

    def read_bytes(self, start: int = 0, end: int | None = None) -> bytes:
        """Its content, or a range of it.

        Raises:
            OSError: it cannot be read.
        """
        driver, path = open_filesystem(self.url)
        with one_line_errors(self.url):
            return bytes(driver.cat_file(path, start=start, end=self.size if end is None else end))

    @property
    def state_number(self) -> int:
        """Its state as a number that an index can keep."""
        return int.from_bytes(hashlib.sha256(self.state.encode()).digest()[:7])

    def fetch(self, to: Path) -> None:
        """Copy it to this machine, whole.

        Raises:
            OSError: it cannot be read or written.
        """
        RemoteFolder(self.url).fetch("", to)


class _Ranges(io.RawIOBase):
    """A remote file as a raw stream."""

    def __init__(self, file: RemoteFile) -> None:
        self._file = file
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        end = min(self._position + len(buffer), self._file.size)
        if end <= self._position:
            return 0
        data = self._file.read_bytes(self._position, end)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """A folder behind an address; can be sent to another machine.

    Attributes:
        url: its address, without a slash at the end.
    """

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> RemoteFolder:
        return RemoteFolder(f"{self.url}/{name}" if name else self.url)

    def files(self) -> list[RemoteFile]:
        """Every file in it, in name order; the file itself where the address is that of one.

        Raises:
            OSError: it cannot be listed.
        """
        driver, path = open_filesystem(self.url)
        with one_line_errors(self.url):
            found = driver.find(path, detail=True)
        return [self._file(name, info) for name, info in sorted(found.items()) if info["type"] == "file"]

    def has(self, name: str) -> bool:
        """Whether there is such a file.

        Raises:
            OSError: the store does not answer.
        """
        driver, path = open_filesystem((self / name).url)
        with one_line_errors(self.url):
            return bool(driver.isfile(path))

    def fetch(self, name: str, to: Path) -> None:
        """Copy a file to this machine, whole.

        Raises:
            FileNotFoundError: it is not there.
            OSError: it cannot be read or written.
        """
        url = (self / name).url
        driver, path = open_filesystem(url)
        with write_whole(to) as aside, one_line_errors(url):
            driver.get_file(path, str(aside))

    def put(self, file: Path, name: str) -> None:
        """Copy a file of this machine there; it appears whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        url = (self / name).url
        driver, path = open_filesystem(url)
        try:
            with one_line_errors(url):
                _put(driver, str(file), path, is_object_store=urlsplit(url).scheme in OBJECT_STORES)
        except OSError as error:
            raise OutputError(f"cannot write {url}: {error.strerror}") from error

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no error.

        Raises:
            OutputError: it cannot be removed.
        """
        url = (self / name).url
        driver, path = open_filesystem(url)
        try:
            with one_line_errors(url):
                driver.rm_file(path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise OutputError(f"cannot remove {url}: {error.strerror}") from error

    def _file(self, name: str, info: dict[str, object]) -> RemoteFile:
        protocol = urlsplit(self.url).scheme
        known = [str(info[key]) for key in _CHANGES if info.get(key)]
        return RemoteFile(f"{protocol}://{name.lstrip('/')}", int(str(info["size"])), "|".join(known))


Place = Path | RemoteFolder


def as_path(place: Place) -> Path:
    """A path that names a place where only its name is wanted; nothing may lie there."""
    return place if isinstance(place, Path) else Path("/", place.url)


def parse_place(text: str) -> Place:
    """A path, or an address; `file://` is a path.

    Raises:
        UsageError: the address holds a password, or names no place.
    """
    if not _ADDRESS.match(text):
        return Path(text)
    parts = urlsplit(text)
    if parts.password:
        raise UsageError(
            f"{parts.scheme}://{parts.hostname}: a password belongs into the environment, not here"
        )
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if not parts.netloc:
        raise UsageError(f"{text}: the address names no bucket or host")
    return RemoteFolder(text.rstrip("/"))


def _put(driver: Any, file: str, path: str, *, is_object_store: bool) -> None:  # noqa: ANN401  as fsspec
    """Directly where a file appears when it is complete, else aside and renamed."""
    if is_object_store:
        driver.put_file(file, path)
        return
    folder, name = str(PurePosixPath(path).parent), PurePosixPath(path).name
    aside = f"{folder}/.{name}.part"
    driver.makedirs(folder, exist_ok=True)
    driver.put_file(file, aside)
    driver.mv(aside, path)
