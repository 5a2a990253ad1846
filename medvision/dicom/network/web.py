"""DICOMweb (PS3.18): search by QIDO-RS, fetch by WADO-RS, store by STOW-RS."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from dicomweb_client import DICOMwebClient
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset

from medvision.dicom.network.find import SERIES_KEYS, STUDY_KEYS, Filter, Level, Row, to_row
from medvision.dicom.network.inbox import Inbox, InboxFullError
from medvision.dicom.network.instances import InstanceError, identify
from medvision.dicom.network.peers import PeerError
from medvision.dicom.network.retrieve import Fetched
from medvision.dicom.network.sender import Outgoing
from medvision.dicom.network.web_session import ATTEMPTS, ElsewhereError, TooMuchError, staying_session
from medvision.errors import ConfigError

PAGE = 100
"""Results asked for at a time."""
MOST_RESULTS = 200_000
"""Of one search: a service that always has more is not asked for ever."""
CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
ANY_SYNTAX = (("application/dicom", "*"),)
"""As stored, instead of transcoded to Explicit VR Little Endian (PS3.18 8.7.3.5.2)."""


def read_token(path: Path | None) -> str:
    """The bearer token that a file holds; empty without a file.

    Raises:
        ConfigError: it cannot be read.
    """
    if path is None:
        return ""
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the token in {path}: {type(error).__name__}") from error


class WebArchive:
    """One DICOMweb service."""

    def __init__(self, url: str, token: str = "", authorities: Path | None = None) -> None:
        """Nothing is asked yet.

        Args:
            url: where `studies` lies below.
            token: sent as `Authorization: Bearer`.
            authorities: PEM file of certificate authorities to trust instead of the usual ones.
        """
        self._client = DICOMwebClient(
            url, session=staying_session(token, authorities), timeout=(CONNECT_SECONDS, READ_SECONDS)
        )
        self._client.set_http_retry_params(retry=False)  # the session does it, for broken lines too
        self.name = f"{urlsplit(url).hostname}{urlsplit(url).path}"

    def __str__(self) -> str:
        return self.name

    def find(self, wanted: Filter, *, level: Level = "study", limit: int | None = None) -> list[Row]:
        """What the archive has, page by page; as `find.find`.

        Raises:
            PeerError: it cannot be reached, or fails.
        """
        keys = STUDY_KEYS if level == "study" else SERIES_KEYS
        own = "StudyInstanceUID" if level == "study" else "SeriesInstanceUID"
        rows: dict[str, Row] = {}
        with self._words("search"):
            for answer in self._pages(wanted, level, limit):
                dataset = Dataset.from_json(answer)
                rows.setdefault(str(dataset.get(own)), to_row(dataset, keys))
        return list(rows.values())[:limit]

    def fetch(self, inbox: Inbox, study_instance_uid: str, series_instance_uid: str = "") -> Fetched:
        """Fetch a study, or one of its series, into an inbox; a line that breaks is tried again.

        Raises:
            PeerError: it cannot be reached, or fails.
            InboxFullError: there is no room.
        """
        for attempt in range(1, ATTEMPTS):
            try:
                return self._fetch(inbox, study_instance_uid, series_instance_uid)
            except PeerError:
                if attempt == ATTEMPTS - 1:
                    raise
        raise PeerError(f"{self.name} was not asked")

    def store(self, files: Sequence[Outgoing], stored: Callable[[Outgoing], None] = lambda _: None) -> None:
        """Store files, one request each; as `sender.send`.

        Raises:
            PeerError: it cannot be reached, or does not want some of them.
        """
        refused = []
        for file in files:
            with self._words("store"):
                answer = self._client.store_instances([dcmread(file.path)])
            if answer.get("FailedSOPSequence"):
                refused.append(file.path.name)
            else:
                stored(file)
        if refused:
            raise PeerError(f"{self.name} did not take {len(refused)} of {len(files)} objects: {refused[0]}")

    def _pages(self, wanted: Filter, level: Level, limit: int | None) -> Iterator[dict[str, Any]]:
        """Ask until nothing new comes: some services answer every page with the first one."""
        known: set[str] = set()
        while limit is None or len(known) < limit:
            page = self._page(wanted, level, offset=len(known))
            fresh = [answer for answer in page if str(answer) not in known]
            known |= {str(answer) for answer in fresh}
            if len(known) > MOST_RESULTS:
                raise TooMuchError(f"more than {MOST_RESULTS} results")
            yield from fresh
            if not fresh:
                return

    def _page(self, wanted: Filter, level: Level, offset: int) -> list[dict[str, Any]]:
        if level == "study":
            return self._client.search_for_studies(
                limit=PAGE, offset=offset, fields=list(STUDY_KEYS), search_filters=wanted.keys("study")
            )
        filters = wanted.studies().keys("study") | wanted.keys("series")
        filters.pop("ModalitiesInStudy", None)
        study = filters.pop("StudyInstanceUID", None)
        return self._client.search_for_series(
            study, limit=PAGE, offset=offset, fields=list(SERIES_KEYS), search_filters=filters
        )

    def _fetch(self, inbox: Inbox, study: str, series: str) -> Fetched:
        completed = failed = 0
        with self._words("retrieve"):
            objects = (
                self._client.iter_series(study, series, media_types=ANY_SYNTAX)
                if series
                else self._client.iter_study(study, media_types=ANY_SYNTAX)
            )
            for dataset in objects:
                if _keep(inbox, dataset):
                    completed += 1
                else:
                    failed += 1
        return Fetched(completed, failed)

    @contextmanager
    def _words(self, what: str) -> Iterator[None]:
        """Errors without the URL, which holds what was searched for."""
        try:
            yield
        except (PeerError, InboxFullError):
            raise
        except ElsewhereError:
            raise PeerError(
                f"{self.name} sends to another host, which is not followed; give that address if it is right"
            ) from None
        except TooMuchError as error:
            raise PeerError(f"{self.name} answers with {error}; nothing of it is kept") from None
        except requests.HTTPError as error:
            code = error.response.status_code if error.response is not None else "unknown"
            raise PeerError(f"{self.name} cannot {what}: HTTP status {code}") from None
        except requests.RequestException as error:
            raise PeerError(f"{self.name} does not answer: {type(error).__name__}") from None
        except OSError:
            raise  # our own disk
        except Exception as error:  # noqa: BLE001  what is no DICOMweb makes its readers raise anything
            raise PeerError(f"{self.name} answers with no DICOMweb: {type(error).__name__}") from None


def _keep(inbox: Inbox, dataset: Dataset) -> bool:
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    try:
        inbox.store(identify(buffer.getvalue()), buffer.getvalue())
    except InstanceError:
        return False
    except OSError as error:
        raise InboxFullError(error.strerror or type(error).__name__) from error
    return True
