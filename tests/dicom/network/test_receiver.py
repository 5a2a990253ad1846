"""What callers see of the receiver, over real sockets."""

from __future__ import annotations

import logging
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from pydicom.uid import RLELossless

from medvision.dicom.network.arrivals import Arrivals, Patience
from medvision.dicom.network.inbox import Inbox, Room
from medvision.dicom.network.instances import Instance
from medvision.dicom.network.peers import Peer, PeerError, parse_peer
from medvision.dicom.network.procedures import Procedures
from medvision.dicom.network.receiver import Address, Receiver
from medvision.dicom.network.sender import outgoing, send
from medvision.dicom.network.tls import client_context, server_context
from medvision.dicom.network.uids import MPPS
from medvision.errors import ConfigError, OutputError, UsageError
from tests.dicom.network.network import (
    CT,
    LEAK,
    Certificates,
    associate,
    content,
    free_port,
    instance,
    listening,
    objects,
    read,
    wait_until,
    write,
)
from tests.dicom.network.test_arrivals import begin, end

pytestmark = pytest.mark.filterwarnings(LEAK)


def test_it_echoes_and_stores(inbox: Inbox) -> None:
    arrived: list[Instance] = []
    datasets = objects()
    with listening(inbox, arrived=arrived.append) as peer:
        association = associate(peer)
        assert association.send_c_echo().Status == 0
        assert [association.send_c_store(dataset).Status for dataset in datasets] == [0, 0, 0]
        assert association.send_c_store(datasets[0]).Status == 0
        association.release()

    assert arrived == [instance(dataset) for dataset in datasets]
    for dataset in datasets:
        kept = read(inbox.path(instance(dataset)))
        assert kept == dataset
        assert kept.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2"


@pytest.mark.skipif(shutil.which("storescu") is None, reason="no dcmtk here: apt-get install dcmtk")
def test_dcmtk_stores(inbox: Inbox, tmp_path: Path) -> None:
    datasets = objects()
    write(datasets, tmp_path / "out")
    with listening(inbox) as peer:
        call = ["-aec", peer.ae_title, "localhost", str(peer.port)]
        subprocess.run(["echoscu", *call], check=True, capture_output=True)
        subprocess.run(["storescu", *call, "+sd", str(tmp_path / "out")], check=True, capture_output=True)

    assert [read(inbox.path(instance(dataset))) == dataset for dataset in datasets] == [True, True, True]


def test_compressed_objects_stay_as_they_are(inbox: Inbox, tmp_path: Path) -> None:
    (dataset,) = objects(n=1)
    dataset.compress(RLELossless)
    (path,) = write([dataset], tmp_path / "out")

    with listening(inbox) as peer:
        send(outgoing([path]), peer, ae_title="SCANNER")

    kept = read(inbox.path(instance(dataset)))
    assert kept.file_meta.TransferSyntaxUID == RLELossless
    assert kept.PixelData == dataset.PixelData


def test_only_who_is_allowed_and_means_us_is_admitted(inbox: Inbox) -> None:
    with listening(inbox, Address(port=0, allow=("SCANNER",))) as peer:
        admitted = associate(peer)
        assert admitted.is_established
        admitted.release()
        assert associate(peer, "STRANGER").is_rejected
        assert associate(peer, called="OTHER").is_rejected
        with pytest.raises(PeerError, match=r"refuses STRANGER: .*not recogni"):
            send(_one(inbox), peer, ae_title="STRANGER")


def _one(inbox: Inbox):
    (dataset,) = objects(n=1)
    return outgoing(write([dataset], inbox.folder.parent / "one"))


def test_one_association_too_many_is_refused(inbox: Inbox) -> None:
    with listening(inbox, Address(port=0, max_associations=1)) as peer:
        first = associate(peer)
        assert associate(peer).is_rejected
        first.release()
        wait_until(lambda: (again := associate(peer)).is_established and (again.release() or True))


def test_a_full_inbox_refuses_and_takes_again_when_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    datasets = objects()
    size = len(content(datasets[0]))
    inbox = Inbox(tmp_path, Room(quota_bytes=int(1.5 * size), reserve_bytes=0))
    with listening(inbox) as peer:
        association = associate(peer)
        assert [association.send_c_store(each).Status for each in datasets] == [0, 0xA700, 0xA700]
        inbox.delete(datasets[0].StudyInstanceUID)
        assert association.send_c_store(datasets[1]).Status == 0
        association.release()

    assert caplog.text.count("quota is used up") == 1


def test_a_disk_error_is_out_of_resources_too(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(inbox, "store", fail)
    with listening(inbox) as peer:
        association = associate(peer)
        assert association.send_c_store(objects()[0]).Status == 0xA700
        association.release()


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_what_cannot_be_filed_is_refused(inbox: Inbox) -> None:
    good, nameless, path = objects()
    del nameless.StudyInstanceUID
    path.SeriesInstanceUID = "../../evil"
    with listening(inbox) as peer:
        association = associate(peer)
        assert association.send_c_store(nameless).Status == 0xC000
        assert association.send_c_store(path).Status == 0xC000
        assert association.send_c_store(good).Status == 0
        association.release()

    assert [each.name for each in inbox.folder.parent.iterdir()] == ["inbox"]


@pytest.mark.parametrize("how", ["abort", "cut"])
def test_an_association_that_breaks_off_is_told(inbox: Inbox, how: str) -> None:
    broken: list[set[str]] = []
    (dataset,) = objects(n=1)
    with listening(inbox, interrupted=broken.append) as peer:
        association = associate(peer)
        association.send_c_store(dataset)
        if how == "abort":
            association.abort()
        else:
            association.dul.socket.socket.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: broken)

    assert broken == [{dataset.StudyInstanceUID}]


def test_a_released_association_is_no_interruption(inbox: Inbox) -> None:
    broken: list[set[str]] = []
    ended: list[set[str]] = []
    (dataset,) = objects(n=1)
    with listening(inbox, interrupted=broken.append, released=ended.append) as peer:
        association = associate(peer)
        association.send_c_store(dataset)
        association.release()
        wait_until(lambda: ended)

    assert broken == []
    assert ended == [{dataset.StudyInstanceUID}]


def test_scanners_can_say_what_they_do(inbox: Inbox, tmp_path: Path) -> None:
    arrivals = Arrivals(Patience(quiet=1e6), lambda study: [path.stem for path in inbox.instances(study)])
    procedures = Procedures(tmp_path / "steps", arrivals)
    datasets = objects(n=2)
    study = datasets[0].StudyInstanceUID

    def arrived(each: Instance) -> None:
        arrivals.note(each.study_instance_uid)

    with listening(inbox, arrived=arrived, procedures=procedures) as peer:
        association = associate(peer, contexts=(CT, MPPS))
        status, _ = association.send_n_create(begin(study), MPPS, "9.1")
        assert status.Status == 0
        for dataset in datasets:
            association.send_c_store(dataset)
        assert arrivals.take() is None
        made = end(*(dataset.SOPInstanceUID for dataset in datasets))
        status, _ = association.send_n_set(made, MPPS, "9.1")
        assert status.Status == 0
        association.release()

    assert arrivals.take() == study


def test_an_unoffered_service_is_not_accepted(inbox: Inbox) -> None:
    with listening(inbox) as peer:
        association = associate(peer, contexts=(CT, MPPS))
        assert [str(context.abstract_syntax) for context in association.accepted_contexts] == [CT]
        association.release()


def test_a_taken_port_is_a_clear_error(inbox: Inbox) -> None:
    with (
        listening(inbox) as peer,
        pytest.raises(OutputError, match=f"cannot listen on 127.0.0.1:{peer.port}"),
    ):
        Receiver(Address(port=peer.port), inbox).open()


def test_nothing_of_the_patient_is_logged(inbox: Inbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    dataset, bad = objects(n=2)
    for each in (dataset, bad):
        each.PatientName, each.PatientID = "Geheim^Nina", "ID-4711"
    del bad.StudyInstanceUID
    with listening(inbox) as peer:
        association = associate(peer)
        association.send_c_store(dataset)
        association.send_c_store(bad)
        dataset.InstanceNumber = 99
        association.send_c_store(dataset)
        association.abort()

    assert "came again with other content" in caplog.text
    assert "Geheim" not in caplog.text
    assert "4711" not in caplog.text


def test_tls_lets_only_the_certified_speak(inbox: Inbox, certificates: Certificates, tmp_path: Path) -> None:
    files = certificates
    address = Address(port=0, tls=server_context(files.certificate, files.key, files.authority))
    sent = outgoing(write(objects(n=1), tmp_path / "out"))
    with listening(inbox, address) as peer:
        own = client_context(files.authority, files.certificate, files.key)
        send(sent, Peer(peer.ae_title, "localhost", peer.port, own), ae_title="SCANNER")
        assert len(inbox.studies()) == 1
        for tls in (None, client_context(files.authority), client_context(None)):
            with pytest.raises(PeerError):
                send(sent, Peer(peer.ae_title, "localhost", peer.port, tls), ae_title="SCANNER")


@pytest.mark.skipif(shutil.which("storescu") is None, reason="no dcmtk here: apt-get install dcmtk")
def test_dcmtk_stores_by_tls(inbox: Inbox, certificates: Certificates, tmp_path: Path) -> None:
    files = certificates
    write(objects(), tmp_path / "out")
    tls = ["+tls", files.key, files.certificate, "+cf", files.authority]
    with listening(inbox, Address(port=0, tls=server_context(files.certificate, files.key, None))) as peer:
        call = [*tls, "-aec", peer.ae_title, "localhost", str(peer.port), "+sd", tmp_path / "out"]
        subprocess.run(["storescu", *map(str, call)], check=True, capture_output=True)

    assert len(inbox.instances("1.2.3")) == 3


@pytest.mark.parametrize("wrong", ["certificate", "key", "authority"])
def test_a_wrong_certificate_file_is_a_clear_error(
    certificates: Certificates, tmp_path: Path, wrong: str
) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    files = {"certificate": certificates.certificate, "key": certificates.key, "authority": None} | {
        wrong: bad
    }

    with pytest.raises(ConfigError, match=r"cannot use certificate.*bad\.pem"):
        server_context(files["certificate"], files["key"], files["authority"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("PACS@10.0.0.1:11112", Peer("PACS", "10.0.0.1", 11112)),
        ("PACS@pacs.example", Peer("PACS", "pacs.example", 104)),
        ("MY PACS@[::1]:4242", Peer("MY PACS", "::1", 4242)),
    ],
)
def test_an_address_is_read(text: str, peer: Peer) -> None:
    assert parse_peer(text) == peer


@pytest.mark.parametrize(
    "text", ["", "PACS", "@host:1", "PACS@", "PACS@h:0", "PACS@h:70000", "A" * 17 + "@h:1"]
)
def test_what_is_no_address_is_said(text: str) -> None:
    with pytest.raises(UsageError, match="AE_TITLE@host:port"):
        parse_peer(text)


def test_nobody_there_is_said(tmp_path: Path) -> None:
    sent = outgoing(write(objects(n=1), tmp_path))

    with pytest.raises(PeerError, match=r"NOBODY@127\.0\.0\.1:.* does not answer"):
        send(sent, Peer("NOBODY", "127.0.0.1", free_port()), ae_title="SCANNER")
