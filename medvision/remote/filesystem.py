"""The driver behind an address: obstore where it knows the protocol, else whatever fsspec finds.

Secrets come from where the driver looks for them (AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS …), never
from an address.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from medvision.errors import UsageError

OBJECT_STORES = frozenset(["s3", "s3a", "gs", "gcs", "az", "adl", "azure", "abfs", "abfss"])
"""Where a file appears whole when it is written, and not before."""
RETRIES = {"max_retries": 5}


def open_filesystem(url: str) -> tuple[Any, str]:
    """The fsspec filesystem of an address, and the path inside it.

    Raises:
        UsageError: no driver is installed for its protocol, or the address is none.
    """
    protocol = urlsplit(url).scheme
    driver = _driver(protocol, os.getpid())
    return driver, driver._strip_protocol(url)


@contextmanager
def one_line_errors(url: str) -> Iterator[None]:
    """Whatever a driver raises becomes an OSError whose `strerror` says what went wrong there.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: anything else.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(2, "not there", url) from error
    except Exception as error:  # drivers raise what they like
        words = " ".join(str(error).split())[:300] or type(error).__name__
        raise OSError(5, words, url) from error


@cache
def _driver(protocol: str, _process: int) -> Any:  # noqa: ANN401  fsspec has no types
    """One a process: its threads do not survive a fork."""
    try:
        import fsspec
    except ImportError as error:
        raise UsageError(f"{protocol}:// needs fsspec: pip install 'medvision[remote]'") from error
    if protocol in OBJECT_STORES and (store := _obstore(protocol)) is not None:
        return store
    try:
        return fsspec.filesystem(protocol)
    except (ImportError, ValueError) as error:
        words = " ".join(str(error).split())
        raise UsageError(
            f"{protocol}:// cannot be opened: {words}; pip install 'medvision[remote]'"
        ) from error


def _obstore(protocol: str) -> Any | None:  # noqa: ANN401
    try:
        from obstore.fsspec import FsspecStore
    except ImportError:
        return None
    plain = os.environ.get("AWS_ENDPOINT_URL_S3", os.environ.get("AWS_ENDPOINT_URL", "")).startswith(
        "http://"
    )
    return FsspecStore(protocol, client_options={"allow_http": plain}, retry_config=RETRIES)
