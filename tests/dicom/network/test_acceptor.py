"""Who falls silent in the middle, or never stops, keeps nobody out for good."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from medvision.dicom.network.acceptor import LONGEST_PDU_BYTES
from medvision.dicom.network.inbox import Inbox
from medvision.dicom.network.peers import Peer
from medvision.dicom.network.receiver import Address
from medvision.dicom.network.sender import outgoing, send
from medvision.dicom.network.tls import client_context, server_context
from tests.dicom.network.network import LEAK, Certificates, associate, listening, objects, wait_until, write

pytestmark = pytest.mark.filterwarnings(LEAK)

A_ASSOCIATE_RQ, P_DATA_TF = 1, 4
ONE_AT_A_TIME = Address(port=0, idle_seconds=0.5, max_associations=1)


def header(kind: int, length: int) -> bytes:
    """PS3.8 9.3.1."""
    return struct.pack(">BBL", kind, 0, length)


@contextmanager
def connected(peer: Peer, first: bytes) -> Iterator[socket.socket]:
    with socket.create_connection((peer.host, peer.port), timeout=20) as line:
        line.sendall(first)
        yield line


def answers(peer: Peer) -> bool:
    association = associate(peer)
    if not association.is_established:
        return False
    status = association.send_c_echo().get("Status")
    association.release()
    return status == 0


@pytest.mark.parametrize(
    "first",
    [
        b"",
        header(A_ASSOCIATE_RQ, 200)[:3],
        header(A_ASSOCIATE_RQ, 200),
        header(A_ASSOCIATE_RQ, 200) + bytes(100),
        b"GET / HTTP/1.1\r\n\r\n",
        header(P_DATA_TF, 20),
    ],
    ids=["silence", "half a header", "a header", "half a request", "HTTP", "data without association"],
)
def test_a_stranger_who_falls_silent_gives_the_place_free(inbox: Inbox, first: bytes) -> None:
    with listening(inbox, ONE_AT_A_TIME) as peer, connected(peer, first):
        wait_until(lambda: answers(peer))


def test_a_sender_that_falls_silent_within_a_slice_gives_the_place_free(inbox: Inbox) -> None:
    interrupted: list[set[str]] = []
    with listening(inbox, ONE_AT_A_TIME, interrupted=interrupted.append) as peer:
        association = associate(peer)
        assert association.send_c_store(objects(n=1)[0]).Status == 0
        line = association.dul.socket.socket
        line.sendall(header(P_DATA_TF, 1000) + bytes(100))
        wait_until(lambda: interrupted)
        wait_until(lambda: answers(peer))
        association.abort()

    assert interrupted == [{"1.2.3"}]
    assert len(inbox.instances("1.2.3")) == 1


def test_a_pdu_without_end_is_not_read(inbox: Inbox) -> None:
    with (
        listening(inbox, Address(port=0)) as peer,
        connected(peer, header(A_ASSOCIATE_RQ, LONGEST_PDU_BYTES + 1)) as line,
    ):
        assert line.recv(10) == b"", "the connection is closed, though the caller waits"


def test_silence_where_tls_is_spoken_keeps_nobody_out(
    inbox: Inbox, certificates: Certificates, tmp_path
) -> None:
    files = certificates
    address = Address(port=0, tls=server_context(files.certificate, files.key, files.authority))
    own = client_context(files.authority, files.certificate, files.key)
    with listening(inbox, address) as peer, connected(peer, b""), connected(peer, b"\x16\x03"):
        caller = Peer(peer.ae_title, "localhost", peer.port, own)
        send(outgoing(write(objects(n=2), tmp_path / "out")), caller, ae_title="SCANNER")

    assert len(inbox.instances("1.2.3")) == 2
