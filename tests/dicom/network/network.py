"""Peers on loopback: a receiver in this process, objects to send, certificates, a real Orthanc."""

from __future__ import annotations

import gc
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset
from pynetdicom import AE, build_context, evt
from pynetdicom.association import Association

from medvision.dicom.network.inbox import Inbox
from medvision.dicom.network.instances import Instance
from medvision.dicom.network.peers import Peer
from medvision.dicom.network.receiver import Address, Receiver
from medvision.dicom.network.uids import VERIFICATION
from tests.dicom.builders import Slices

LEAK = "ignore:unclosed <s:ResourceWarning"
"""pynetdicom 3.0.4 drops the socket of a failed connection without closing it."""


@pytest.fixture(autouse=True, scope="module")
def dropped_sockets() -> Iterator[None]:
    """Collects them while their warning is still ignored, and not in the middle of somebody else's test."""
    yield
    gc.collect()


STUDY = "1.2.3"
CT = "1.2.840.10008.5.1.4.1.1.2"
ORTHANC = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def objects(study: str = STUDY, n: int = 3, **extra: object) -> list[FileDataset]:
    """Tiny CT slices of one series."""
    slices = Slices(
        positions_mm=[2.0 * k for k in range(n)],
        rows=4,
        columns=4,
        series_uid=f"{study}.4",
        study_uid=study,
        extra=extra,
    )
    return [slices.dataset(k) for k in range(n)]


def content(dataset: FileDataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def instance(dataset: Dataset) -> Instance:
    return Instance(
        str(dataset.SOPClassUID),
        str(dataset.SOPInstanceUID),
        str(dataset.StudyInstanceUID),
        str(dataset.SeriesInstanceUID),
    )


def write(datasets: Sequence[FileDataset], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for number, dataset in enumerate(datasets):
        dataset.save_as(folder / f"{number:03d}.dcm", enforce_file_format=True)
    return sorted(folder.iterdir())


@contextmanager
def listening(inbox: Inbox, address: Address | None = None, **hooks: object) -> Iterator[Peer]:
    """A receiver for the time of a test."""
    address = address or Address(port=0)
    receiver = Receiver(address, inbox, **hooks)  # type: ignore[arg-type]
    port = receiver.open()
    try:
        yield Peer(address.ae_title, "127.0.0.1", port)
    finally:
        receiver.close(grace_seconds=2)


def associate(
    peer: Peer,
    ae_title: str = "SCANNER",
    called: str | None = None,
    contexts: tuple[str, ...] = (CT, VERIFICATION),
) -> Association:
    """A scanner that does what the test says."""
    entity = AE(ae_title)
    entity.acse_timeout = entity.dimse_timeout = 10
    entity.requested_contexts = [build_context(uid) for uid in contexts]
    return entity.associate(peer.host, peer.port, ae_title=called or peer.ae_title)


@contextmanager
def archive(
    handlers: list[tuple[evt.EventType, Callable[..., object]]], contexts: Sequence[str]
) -> Iterator[Peer]:
    """Another application entity that does what the handlers say."""
    entity = AE("ARCHIVE")
    for uid in contexts:  # C-GET turns the roles round
        entity.add_supported_context(uid, scu_role=True, scp_role=True)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        yield Peer("ARCHIVE", "127.0.0.1", server.socket.getsockname()[1])
    finally:
        server.shutdown()
        server.server_close()
        for association in server.active_associations:
            association.abort()


def wait_until(ready: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for what another thread or process does; no time is asserted."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclass(frozen=True)
class Certificates:
    """A throw-away authority, and a certificate for localhost that it signed."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = datetime.now(UTC)
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def begin(subject: str, public: object) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name("test authority"))
        builder = builder.public_key(public).serial_number(x509.random_serial_number())  # type: ignore[arg-type]
        return builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))

    identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = (
        begin("test authority", authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(identifier, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    signed = (
        begin("localhost", key.public_key())
        .add_extension(names, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    made = Certificates(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    made.authority.write_bytes(authority.public_bytes(pem))
    made.certificate.write_bytes(signed.public_bytes(pem))
    made.key.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


@dataclass(frozen=True)
class Orthanc:
    """A real PACS."""

    peer: Peer
    rest: str
    dicomweb: str
    callback_port: int

    def get(self, path: str) -> object:
        with urllib.request.urlopen(f"{self.rest}{path}", timeout=20) as answer:  # noqa: S310  loopback
            return json.load(answer)

    def post(self, path: str, body: bytes) -> object:
        request = urllib.request.Request(f"{self.rest}{path}", body, method="POST")  # noqa: S310  loopback
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return json.load(answer)

    def upload(self, datasets: Sequence[FileDataset]) -> None:
        for dataset in datasets:
            self.post("/instances", content(dataset))

    def has(self, study: str) -> set[str]:
        """SOP Instance UIDs of a study."""
        found = self.post("/tools/lookup", study.encode())
        assert isinstance(found, list)
        return {
            each["MainDicomTags"]["SOPInstanceUID"]
            for place in found
            if place["Type"] == "Study"
            for each in self.get(f"{place['Path']}/instances")  # type: ignore[attr-defined]
        }


@contextmanager
def start_orthanc(folder: Path) -> Iterator[Orthanc]:
    http, dicom, callback = free_port(), free_port(), free_port()
    settings = {
        "HttpPort": http,
        "DicomPort": dicom,
        "DicomAet": "ORTHANC",
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "OverwriteInstances": True,
        "DicomModalities": {"medvision": ["MEDVISION", "127.0.0.1", callback]},
        "Plugins": [str(DICOMWEB_PLUGIN)] if DICOMWEB_PLUGIN.exists() else [],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [str(ORTHANC), str(folder / "orthanc.json")], stdout=log, stderr=log, cwd=folder
        )
    rest = f"http://127.0.0.1:{http}"
    made = Orthanc(Peer("ORTHANC", "127.0.0.1", dicom), rest, f"{rest}/dicom-web", callback)

    def answers() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            made.get("/system")
        except OSError:
            return False
        return True

    try:
        wait_until(answers, 60)
        yield made
    finally:
        process.terminate()
        process.wait(30)


def read(path: Path) -> Dataset:
    return pydicom.dcmread(path)
