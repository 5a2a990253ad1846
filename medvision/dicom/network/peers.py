"""Whom to call: `AE_TITLE@host:port`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association

from medvision.config.network import PeerConfig
from medvision.dicom.network.tls import client_context
from medvision.errors import UsageError

_ADDRESS = re.compile(r"(?P<ae_title>[^\\@]{1,16})@(?P<host>\[[^\]]+\]|[^:\[\]]+)(:(?P<port>\d{1,5}))?")
DICOM_PORT = 104


@dataclass(frozen=True, slots=True)
class Peer:
    """Another application entity.

    Attributes:
        ae_title: what it calls itself.
        host: name or address.
        port: where it listens.
        tls: how the line is encrypted; None where it is not.
    """

    ae_title: str
    host: str
    port: int
    tls: SSLContext | None = None

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


class PeerError(Exception):
    """The other side did not do what was asked; trying again may help."""


def parse_peer(text: str, tls: SSLContext | None = None) -> Peer:
    """Read `AE_TITLE@host:port`; without a port, 104.

    Raises:
        UsageError: it is something else.
    """
    match = _ADDRESS.fullmatch(text)
    port = int(match["port"] or DICOM_PORT) if match else 0
    if match is None or not 0 < port <= 65535 or not match["ae_title"].strip():
        raise UsageError(f"{text!r} is no address: write AE_TITLE@host:port, such as ORTHANC@localhost:4242")
    return Peer(match["ae_title"].strip(), match["host"].strip("[]"), port, tls)


def configured_peer(config: PeerConfig) -> Peer:
    """The peer that a configuration names.

    Raises:
        ConfigError: its certificates cannot be read.
    """
    tls = (
        client_context(config.tls.authorities, config.tls.certificate, config.tls.key) if config.tls else None
    )
    return Peer(config.ae_title, config.host, config.port, tls)


def call(entity: AE, peer: Peer, **options: Any) -> Association:  # noqa: ANN401  as AE.associate takes them
    """Open an association.

    Args:
        entity: who calls, with the contexts that it wants.
        peer: who is called.
        options: further arguments of `AE.associate`, such as `ext_neg`.

    Raises:
        PeerError: it does not answer, or refuses.
    """
    tls = (peer.tls, peer.host) if peer.tls else None
    association = entity.associate(peer.host, peer.port, ae_title=peer.ae_title, tls_args=tls, **options)
    if association.is_established:
        return association
    if association.is_rejected:
        raise PeerError(f"{peer} refuses {entity.ae_title}: {_refusal(association)}")
    if association.rejected_contexts:
        raise PeerError(f"{peer} does not offer the service that was asked for")
    secured = " by TLS" if peer.tls else ""
    raise PeerError(f"{peer} does not answer{secured}; is it running, and is host and port right?")


def _refusal(association: Association) -> str:
    """PS3.8 9.3.4 in words."""
    answer = association.acceptor.primitive
    reason = getattr(answer, "reason_str", "") or "no reason given"
    return " ".join(str(reason).split()).lower()
