"""`medvision listen`: who may send, how much is kept, when a study is complete, where results go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from medvision.config.base import Settings

AETitle = Annotated[str, Field(pattern=r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$")]
"""PS3.5 6.2, VR AE: at most 16 characters, no backslash, no space at either end."""

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class TlsConfig(Settings):
    """Encryption by TLS 1.2 or newer (PS3.15 B.9)."""

    certificate: Path
    """PEM file with this side's certificate and its chain."""

    key: Path
    """PEM file with the certificate's private key, without a passphrase."""

    authorities: Path | None = None
    """PEM file of certificate authorities: the other side must show a certificate that one of them signed.
    None: a receiver asks for no certificate, a sender trusts the system's authorities."""


class PeerConfig(Settings):
    """Another application entity that this one calls."""

    ae_title: AETitle
    host: str = Field(min_length=1)
    port: Annotated[int, Field(ge=1, le=65535)] = 104

    tls: TlsConfig | None = None
    """None: unencrypted."""


class WebConfig(Settings):
    """A DICOMweb service (PS3.18)."""

    url: str = Field(pattern=r"^https?://[^\s]+$")
    """Where `studies` lies below, such as `https://pacs/dicom-web`."""

    token_file: Path | None = None
    """File whose content is sent as `Authorization: Bearer …`."""

    authorities: Path | None = None
    """PEM file of certificate authorities to trust instead of the usual ones."""


class DestinationConfig(Settings):
    """Where the DICOM objects among the results are sent: by C-STORE or by STOW-RS."""

    peer: PeerConfig | None = None
    web: WebConfig | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.peer is None) == (self.web is None):
            raise ValueError("give either peer (C-STORE) or web (STOW-RS)")
        return self

    @property
    def name(self) -> str:
        """By what the destination is known again after a restart."""
        if self.peer:
            return f"{self.peer.ae_title}@{self.peer.host}:{self.peer.port}"
        return self.web.url if self.web else ""


class AlarmConfig(Settings):
    """A message to another program when a finding should be looked at soon."""

    url: str = Field(pattern=r"^https?://[^\s]+$")
    """Gets a POST with a JSON document; see docs/pacs.md."""

    token_file: Path | None = None
    """File whose content is sent as `Authorization: Bearer …`."""

    authorities: Path | None = None
    """PEM file of certificate authorities to trust instead of the usual ones."""

    categories: tuple[str, ...] = ("4A", "4B", "4X")
    """Guideline categories that are urgent, where the report gives categories."""

    min_diameter_mm: float = Field(default=8.0, gt=0)
    """Without categories: mean diameter from which a finding is urgent, calcified ones left out."""

    include_patient: bool = False
    """Send Patient ID and name, too. Without it the document holds pseudonyms and UIDs only."""


class ListenConfig(Settings):
    """The receiver of `medvision listen`."""

    ae_title: AETitle = "MEDVISION"
    """This side's application entity title; who calls another is refused."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to listen on. `0.0.0.0` is every network of the machine: then give `allow` or `tls`."""

    port: Port = 11112
    """Port to listen on; 0 for any that is free."""

    allow: tuple[AETitle, ...] = ()
    """AE titles that may call; empty: every one."""

    tls: TlsConfig | None = None
    """None: unencrypted."""

    max_associations: int = Field(default=8, ge=1, le=100)
    """At the same time; one more is refused and tries again later."""

    idle_seconds: Seconds = 60.0
    """An association on which nothing happens for so long is ended."""

    quota_gib: float | None = Field(default=None, gt=0)
    """How much the received images may take; more is refused as Out of Resources. None: the disk's size."""

    reserve_gib: float = Field(default=1.0, ge=0)
    """How much of the disk stays free."""

    keep_days: float | None = Field(default=None, ge=0)
    """Images of a finished study are deleted after so many days; None: never. Storage commitment is offered
    only where nothing is deleted."""

    quiet_seconds: Seconds = 60.0
    """A study is complete when nothing of it came for so long, or earlier by count or MPPS."""

    interrupted_seconds: Seconds = 600.0
    """The same after an association that broke off: the sender is expected to try again."""

    mpps_seconds: Seconds = 3600.0
    """How long a procedure step in progress (MPPS) keeps its study from being complete."""

    peers: tuple[PeerConfig, ...] = ()
    """Where those who ask for storage commitment are called back. Others are answered on the association on
    which they ask."""

    send_to: tuple[DestinationConfig, ...] = ()
    """Where results go."""

    alarm: AlarmConfig | None = None
    """None: no alarm."""

    monitor_port: Port | None = None
    """Where `/health` and `/metrics` (Prometheus) answer by HTTP; 0: any free port, None: nowhere."""

    monitor_host: str = Field(default="127.0.0.1", min_length=1)
    """Address of the same; what it tells is counts and sizes."""
