"""An archive to search and fetch from, whichever way it speaks: DIMSE or DICOMweb."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from medvision.dicom.network.find import Filter, Level, Row, find
from medvision.dicom.network.inbox import Inbox
from medvision.dicom.network.peers import Peer, parse_peer
from medvision.dicom.network.receiver import Address
from medvision.dicom.network.retrieve import Fetched, fetch, move, receiving
from medvision.dicom.network.tls import client_context
from medvision.dicom.network.web import WebArchive, read_token
from medvision.errors import UsageError

Way = Literal["get", "move"]


class Archive(Protocol):
    """What can be asked of an archive; each raises PeerError where it does not do it."""

    def find(self, wanted: Filter, *, level: Level = "study", limit: int | None = None) -> list[Row]:
        """Rows of what it has."""

    def fetch(self, inbox: Inbox, study_instance_uid: str, series_instance_uid: str = "") -> Fetched:
        """Fetch a study, or one of its series, into an inbox."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How an archive is spoken to.

    Attributes:
        ae_title: this side's.
        via: C-GET or C-MOVE.
        listen: `host:port` at which C-MOVE's objects are received; the archive must know it as `ae_title`.
        tls: encrypt DIMSE; implied by any of the files.
        tls_ca: PEM file of authorities to trust instead of the system's.
        tls_cert: PEM file of this side's certificate.
        tls_key: PEM file of its key.
        token_file: bearer token for DICOMweb.
    """

    ae_title: str = "MEDVISION"
    via: Way = "get"
    listen: str = "127.0.0.1:11112"
    tls: bool = False
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    token_file: Path | None = None


@dataclass(frozen=True, slots=True)
class DimseArchive:
    """An archive that speaks C-FIND and C-GET or C-MOVE.

    Attributes:
        peer: who it is.
        ae_title: this side's.
        move_to: where a receiver takes C-MOVE's objects; None for C-GET.
    """

    peer: Peer
    ae_title: str
    move_to: Address | None = None

    def find(self, wanted: Filter, *, level: Level = "study", limit: int | None = None) -> list[Row]:
        """Ask by C-FIND; see `find.find`."""
        return find(self.peer, wanted, level=level, limit=limit, ae_title=self.ae_title)

    def fetch(self, inbox: Inbox, study_instance_uid: str, series_instance_uid: str = "") -> Fetched:
        """Fetch by C-GET, or by C-MOVE to a receiver that exists meanwhile."""
        uids = study_instance_uid, series_instance_uid
        if self.move_to is None:
            return fetch(self.peer, inbox, *uids, ae_title=self.ae_title)
        with receiving(self.move_to, inbox) as wait_for:
            fetched = move(self.peer, self.ae_title, *uids, ae_title=self.ae_title)
            wait_for(fetched.completed)
            return fetched


def open_archive(address: str, connection: Connection) -> Archive:
    """The archive at `AE_TITLE@host:port`, or at a DICOMweb URL; nothing is asked yet.

    Raises:
        UsageError: the address is neither.
        ConfigError: a certificate or token cannot be read.
    """
    if address.startswith(("http://", "https://")):
        return WebArchive(address, read_token(connection.token_file), connection.tls_ca)
    given = connection.tls_ca, connection.tls_cert, connection.tls_key
    tls = client_context(*given) if connection.tls or any(given) else None
    peer = parse_peer(address, tls)
    return DimseArchive(peer, connection.ae_title, _move_to(connection))


def _move_to(connection: Connection) -> Address | None:
    if connection.via == "get":
        return None
    match = re.fullmatch(r"(\[[^\]]+\]|[^:\[\]]+):(\d{1,5})", connection.listen)
    if match is None or int(match[2]) > 65535:
        raise UsageError(f"--listen {connection.listen}: write ADDRESS:PORT, such as 127.0.0.1:11112")
    return Address(ae_title=connection.ae_title, host=match[1].strip("[]"), port=int(match[2]))
