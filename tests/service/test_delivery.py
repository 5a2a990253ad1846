"""Results reach their destination once, through everything that can happen on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import FileDataset
from pynetdicom import evt

from medvision.config.network import DestinationConfig, PeerConfig, WebConfig
from medvision.dicom.network.peers import Peer, PeerError
from medvision.errors import ConfigError
from medvision.reporting.report import Report
from medvision.service.delivery import Courier, couriers
from medvision.service.records import Records
from tests.dicom.network.network import LEAK, archive, free_port, objects, write
from tests.service.conftest import STUDY, put

pytestmark = pytest.mark.filterwarnings(LEAK)

CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture
def files(results: Path, make_report: Callable[..., Report]) -> list[Path]:
    """Three DICOM results of a finished case."""
    return write(objects(), put(results, make_report()))[:3]


def courier(results: Path, peer: Peer) -> Courier:
    config = DestinationConfig(peer=PeerConfig(ae_title=peer.ae_title, host=peer.host, port=peer.port))
    return Courier(config, "MEDVISION", results, Records(results.parent / "state"))


class Pacs:
    """Takes objects, and dies at a chosen one."""

    def __init__(self, dies_at: int | None = None, status: int = 0) -> None:
        self.taken: list[str] = []
        self.dies_at = dies_at
        self.status = status

    def store(self, event: evt.Event) -> int:
        if len(self.taken) == self.dies_at:
            self.dies_at = None
            event.assoc.abort()
            return 0
        self.taken.append(str(event.request.AffectedSOPInstanceUID))
        return self.status


def test_a_pacs_that_dies_in_the_middle_gets_the_rest_and_nothing_twice(
    results: Path, files: list[Path]
) -> None:
    pacs = Pacs(dies_at=1)
    with archive([(evt.EVT_C_STORE, pacs.store)], [CT]) as peer:
        with pytest.raises(PeerError, match="broke off"):
            courier(results, peer).deliver(STUDY)
        assert len(courier(results, peer).missing(STUDY)) == 2
        for _ in range(2):
            courier(results, peer).deliver(STUDY)

    assert sorted(pacs.taken) == sorted(each.SOPInstanceUID for each in objects())
    assert len(files) == 3


def test_a_result_that_changed_is_sent_again(results: Path, files: list[Path]) -> None:
    pacs = Pacs()
    with archive([(evt.EVT_C_STORE, pacs.store)], [CT]) as peer:
        courier(results, peer).deliver(STUDY)
        changed: FileDataset = objects()[1]
        changed.InstanceNumber = 99
        changed.save_as(files[1], enforce_file_format=True)
        courier(results, peer).deliver(STUDY)

    assert pacs.taken[3:] == [changed.SOPInstanceUID]


def test_what_the_pacs_refuses_stays_to_be_done(results: Path, files: list[Path]) -> None:
    pacs = Pacs(status=0xA700)
    with archive([(evt.EVT_C_STORE, pacs.store)], [CT]) as peer:
        with pytest.raises(PeerError, match=r"did not take 3 of 3 objects: status 0xA700"):
            courier(results, peer).deliver(STUDY)
        assert len(courier(results, peer).missing(STUDY)) == len(files)


def test_what_the_pacs_does_not_accept_is_said(results: Path, files: list[Path]) -> None:
    other = "1.2.840.10008.5.1.4.1.1.4"
    with (
        archive([(evt.EVT_C_STORE, Pacs().store)], [other]) as peer,
        pytest.raises(PeerError, match="not offer"),
    ):
        courier(results, peer).deliver(STUDY)
    assert files


def test_only_finished_cases_are_sent(results: Path, files: list[Path]) -> None:
    write(objects("1.9"), results / STUDY / "unfinished")
    (files[0].parent / ".004.dcm.part").write_bytes(b"half")

    assert {file.path for file in courier(results, Peer("X", "h", 1)).missing(STUDY)} == set(files)


def test_a_web_service_that_is_away_is_tried_later(results: Path, files: list[Path]) -> None:
    config = DestinationConfig(web=WebConfig(url=f"http://127.0.0.1:{free_port()}/dicom-web"))
    away = Courier(config, "MEDVISION", results, Records(results.parent / "state"))

    with pytest.raises(PeerError, match="does not answer"):
        away.deliver(STUDY)
    assert len(away.missing(STUDY)) == len(files)


def test_a_destination_named_twice_is_an_error(results: Path) -> None:
    config = DestinationConfig(peer=PeerConfig(ae_title="PACS", host="h"))

    with pytest.raises(ConfigError, match="PACS@h:104 twice"):
        couriers([config, config], "MEDVISION", results, Records(results.parent / "state"))
