"""Files fetched over HTTP: resumed where it stopped, whole or absent, their SHA-256 checked."""

from __future__ import annotations

import http.client
import logging
import re
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import urldefrag, urlsplit

from medvision.errors import ModelError, OutputError
from medvision.files import make_folder
from medvision.models.published import DownloadableWeights, check_sha256, weights_folder
from medvision.progress import track

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 30.0
CHUNK_BYTES = 1 << 20
_LEAST_DIGITS = 8
_NOT_THAT_RANGE = 416
_PARTIAL = 206


def is_url(weights: str) -> bool:
    """Whether a configuration's weights lie on a web server."""
    return weights.startswith(("http://", "https://"))


def at_url(text: str) -> DownloadableWeights:
    """Understand `https://…/file.pth#sha256=0123abcd…`, or a name that ends in its hash: `file-0123abcd.pth`.

    Raises:
        ModelError: neither says what the file's SHA-256 is.
    """
    url, fragment = urldefrag(text)
    digits = (
        fragment.removeprefix("sha256=").lower() if fragment.startswith("sha256=") else _digits_in_name(url)
    )
    if not re.fullmatch(rf"[0-9a-f]{{{_LEAST_DIGITS},64}}", digits) or not Path(urlsplit(url).path).name:
        raise ModelError(
            f"weights {text}: whether the right file came cannot be told; add its SHA-256, or at least "
            f"{_LEAST_DIGITS} first digits of it: {url}#sha256=…"
        )
    return DownloadableWeights(url, digits, 0.0)


def _digits_in_name(url: str) -> str:
    match = re.search(rf"-([0-9a-f]{{{_LEAST_DIGITS},64}})\.\w+$", urlsplit(url).path)
    return match[1] if match else ""


def fetch(weights: DownloadableWeights) -> Path:
    """Get a file into the folder of weights, where it is not there already.

    A download that stopped goes on where it was. Nothing is there under the file's name before it is whole
    and its SHA-256 is right.

    Returns:
        Its path.

    Raises:
        ModelError: the server cannot be reached, does not have the file, stops too early, or has another one.
        OutputError: the file cannot be written.
    """
    path = weights_folder() / weights.file_name
    if path.is_file():
        check_sha256(path, weights.sha256, f"delete it and run: medvision models pull {weights.url}")
        return path
    make_folder(path.parent)
    part = path.with_name(f"{path.name}.part")
    logger.info("fetching %s to %s", weights.url, path)
    _download(weights.url, part)
    try:
        check_sha256(part, weights.sha256, "it was deleted; fetch it again or from elsewhere")
    except ModelError:
        part.unlink()
        raise
    part.replace(path)
    return path


def _download(url: str, part: Path) -> None:
    """Append to `part` what is missing of the file."""
    have = part.stat().st_size if part.exists() else 0
    try:
        with _open(url, have) as answer:
            if answer.status != _PARTIAL:
                have = 0  # the server begins anew
            total = _expected(answer, have)
            _check_room(part, total)
            _write(answer, part, total, append=have > 0)
    except urllib.error.HTTPError as error:
        if error.code == _NOT_THAT_RANGE and have:
            return  # all of it is there; its hash will tell
        raise ModelError(f"{url} answers {error.code} {error.reason}; {_by_hand(part)}") from error
    except (
        urllib.error.URLError,
        http.client.HTTPException,
        ssl.SSLError,
        TimeoutError,
        ConnectionError,
    ) as error:
        reason = getattr(error, "reason", None) or error
        raise ModelError(f"{url} cannot be fetched: {reason}; {_by_hand(part)}") from error
    got = part.stat().st_size
    if total is not None and got < have + total:
        raise ModelError(
            f"{url} stopped after {got} of {have + total} bytes; run the same command again to go on"
        )


def _open(url: str, have: int) -> http.client.HTTPResponse:
    headers = {"User-Agent": "medvision", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  is_url has looked at the scheme
    return urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)  # type: ignore[no-any-return]  # noqa: S310


def _expected(answer: http.client.HTTPResponse, have: int) -> int | None:
    """Bytes to come, where the server says so."""
    start = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    if have and (start is None or int(start[1]) != have):
        raise http.client.HTTPException(f"the server sent another range than from byte {have} on")
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _check_room(part: Path, total: int | None) -> None:
    free = shutil.disk_usage(part.parent).free
    if total is not None and free < total:
        raise OutputError(f"cannot write {part}: {total >> 20} MiB to come, {free >> 20} MiB free; make room")


def _write(answer: http.client.HTTPResponse, part: Path, total: int | None, *, append: bool) -> None:
    chunks = None if total is None else -(-total // CHUNK_BYTES)
    try:
        file = part.open("ab" if append else "wb")
    except OSError as error:
        raise _not_written(part, error) from error
    with file:
        for chunk in track(_chunks(answer), f"fetching {part.name.removesuffix('.part')}", chunks):
            _append(file, part, chunk)


def _append(file: IO[bytes], part: Path, chunk: bytes) -> None:
    try:
        file.write(chunk)
        file.flush()
    except OSError as error:
        raise _not_written(part, error) from error


def _not_written(part: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write {part}: {error.strerror}; make room or name another folder")


def _chunks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    while chunk := answer.read(CHUNK_BYTES):
        yield chunk


def _by_hand(part: Path) -> str:
    return f"put {part.name.removesuffix('.part')} into {part.parent} by hand, or run the command again"
