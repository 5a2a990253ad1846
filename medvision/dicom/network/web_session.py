"""HTTP with a service that may be in wrong hands: it cannot send us elsewhere nor fill the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

ATTEMPTS = 4
"""Of what can be asked twice without harm; waits 0.5, 1, 2 seconds, or what Retry-After says."""
BUSY = (429, 502, 503, 504)
"""HTTP statuses of a service that may answer a little later."""
MOST_REDIRECTS = 5
MOST_ANSWER_BYTES = 64 << 20
"""Of an answer in one piece, unpacked: results come a page at a time."""
LARGEST_OBJECT_BYTES = 2 << 30
"""Of one DICOM object; a study of many comes in parts (`multipart/related`, PS3.18 8.6.1.2)."""
Read = Callable[..., Iterator[bytes]]
_PORTS = {"http": 80, "https": 443}


class ElsewhereError(requests.RequestException):
    """The service sends us to another host, port or scheme."""


class TooMuchError(requests.RequestException):
    """The service answers with more than is ever asked for."""


class _StayingSession(requests.Session):
    """Follows redirects within one origin only: another host is nobody whom the user has named."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where to go on, if anywhere."""
        target = super().get_redirect_target(resp)
        if target and _origin(urljoin(resp.url, target)) != _origin(resp.url):
            resp.close()
            raise ElsewhereError("the service sends to another host", response=resp)
        return target


class _BoundedAdapter(HTTPAdapter):
    """Stops reading where an answer is larger than it can be."""

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:  # noqa: ANN401
        """As the base does, with a meter on what is read."""
        response = super().build_response(req, resp)
        response.iter_content = _metered(response)  # type: ignore[method-assign]
        return response


def staying_session(token: str = "", authorities: Path | None = None) -> requests.Session:
    """A session that tries again where a service is busy, follows its certificate, and carries a token."""
    made = _StayingSession()
    made.max_redirects = MOST_REDIRECTS
    retry = Retry(
        total=ATTEMPTS - 1,
        backoff_factor=0.5,
        status_forcelist=BUSY,
        allowed_methods={"GET"},
        raise_on_status=False,
    )
    for scheme in ("http://", "https://"):
        made.mount(scheme, _BoundedAdapter(max_retries=retry))
    if token:
        made.headers["Authorization"] = f"Bearer {token}"
    if authorities:
        made.verify = str(authorities)
    return made


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme)


def _metered(response: requests.Response) -> Read:
    read = response.iter_content
    described = Message()
    described["Content-Type"] = response.headers.get("Content-Type", "")
    boundary = described.get_param("boundary")
    delimiter = f"\r\n--{boundary}".encode() if boundary else b""
    is_dicom = described.get_content_type() in ("multipart/related", "application/dicom")
    most = LARGEST_OBJECT_BYTES if is_dicom else MOST_ANSWER_BYTES

    def iter_content(*arguments: Any, **named: Any) -> Iterator[bytes]:  # noqa: ANN401
        since, tail = 0, b""  # bytes since a part began, and the last few of them
        for chunk in read(*arguments, **named):
            seen = tail + chunk
            begins = seen.rfind(delimiter) if delimiter else -1
            since = len(seen) - begins if begins >= 0 else since + len(chunk)
            if since > most:
                response.close()
                raise TooMuchError(f"more than {most} bytes")
            tail = seen[-len(delimiter) :] if delimiter else b""
            yield chunk

    return iter_content
