"""Peers that send, break off, talk rubbish, mean somebody else, or say nothing: all at once."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from pydicom.dataset import FileDataset
from pynetdicom import AE
from pynetdicom.association import Association

from medvision.dicom.network.entity import keep_quiet
from medvision.dicom.network.peers import Peer
from medvision.dicom.network.uids import VERIFICATION
from tests.dicom.network.network import objects

CT = "1.2.840.10008.5.1.4.1.1.2"
PATIENCE_SECONDS = 300.0
PEERS, SLICES = 4, 4


class Visitor(threading.Thread):
    """One peer: so many associations after each other, each of a kind drawn by chance.

    Attributes:
        confirmed: SOP Instance UIDs that the receiver has confirmed.
        tally: how many associations of each kind there were.
    """

    def __init__(self, peer: Peer, number: int, associations: int) -> None:
        super().__init__(daemon=True, name=f"visitor {number}")
        self.confirmed: set[str] = set()
        self.tally: Counter[str] = Counter()
        self._peer, self._number, self._associations = peer, number, associations
        self._chance = random.Random(number)  # noqa: S311  behaviour, no secrets
        self._idle: list[socket.socket] = []

    def run(self) -> None:
        kinds: Sequence[tuple[Callable[[Sequence[FileDataset]], None], int]] = (
            (self.send, 60),
            (self.break_off, 12),
            (self.cut, 8),
            (self.talk_rubbish, 10),
            (self.mean_another, 5),
            (self.say_nothing, 5),
        )
        weights = [weight for _, weight in kinds]
        for number in range(self._associations):
            (kind,) = self._chance.choices([kind for kind, _ in kinds], weights)
            kind(objects(f"1.2.{self._number}.{number + 1}", SLICES))
            self.tally[kind.__name__] += 1
        for line in self._idle:
            line.close()

    def send(self, datasets: Sequence[FileDataset]) -> None:
        """As one should: until all is confirmed."""
        association = self._call()
        self._store(association, datasets)
        association.release()

    def break_off(self, datasets: Sequence[FileDataset]) -> None:
        """Abort between two slices."""
        association = self._call()
        self._store(association, datasets[: SLICES // 2])
        association.abort()

    def cut(self, datasets: Sequence[FileDataset]) -> None:
        """Lose the line within a slice."""
        association = self._call()
        self._store(association, datasets[:1])
        line = association.dul.socket.socket
        line.sendall(b"\x04\x00\x00\x00\x40\x00" + bytes(200))
        line.shutdown(socket.SHUT_RDWR)
        association.abort()

    def talk_rubbish(self, _: Sequence[FileDataset]) -> None:
        """Bytes of all kinds, and headers that claim more than comes."""
        starts = (
            b"",
            b"\x01\x00",
            b"\x01\x00\xff\xff\xff\xff",
            b"\x04\x00\x00\x00\x01\x00",
            b"GET / HTTP/1.1\r\n",
        )
        with self._connect() as line:
            line.sendall(self._chance.choice(starts) + self._chance.randbytes(300))

    def mean_another(self, _: Sequence[FileDataset]) -> None:
        """Call somebody who is not here."""
        entity = _entity()
        association = entity.associate(self._peer.host, self._peer.port, ae_title="ELSEWHERE")
        assert not association.is_established

    def say_nothing(self, _: Sequence[FileDataset]) -> None:
        """Connect and wait; the last few of such lines stay open."""
        self._idle.append(self._connect())
        if len(self._idle) > 1:
            self._idle.pop(0).close()

    def _call(self) -> Association:
        """Again where all places are taken."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            association = _entity().associate(self._peer.host, self._peer.port, ae_title=self._peer.ae_title)
            if association.is_established:
                return association
            self.tally["refused for want of a place"] += 1
            time.sleep(0.05)
        raise TimeoutError("no place became free")

    def _store(self, association: Association, datasets: Sequence[FileDataset]) -> None:
        for dataset in datasets:
            if association.send_c_store(dataset).get("Status") == 0:
                self.confirmed.add(str(dataset.SOPInstanceUID))

    def _connect(self) -> socket.socket:
        return socket.create_connection((self._peer.host, self._peer.port), timeout=30)


def _entity() -> AE:
    keep_quiet()
    entity = AE("SCANNER")
    entity.acse_timeout = entity.dimse_timeout = 60
    entity.add_requested_context(CT)
    entity.add_requested_context(VERIFICATION)
    return entity


def crowd(peer: Peer, associations: int, first_study: int) -> list[Visitor]:
    """Let four come at once, and wait until they have gone."""
    visitors = [Visitor(peer, first_study + number, associations) for number in range(PEERS)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    return visitors


def echoes(peer: Peer) -> bool:
    """Whether it answers a C-ECHO."""
    association = _entity().associate(peer.host, peer.port, ae_title=peer.ae_title)
    if not association.is_established:
        return False
    status = association.send_c_echo().get("Status")
    association.release()
    return status == 0
