"""Searching and fetching: a real Orthanc where there is one, misbehaving archives everywhere."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from pydicom.dataset import Dataset
from pynetdicom import evt

from medvision.dicom.network.archive import Archive, Connection, DimseArchive, open_archive
from medvision.dicom.network.find import Filter, find
from medvision.dicom.network.inbox import Inbox
from medvision.dicom.network.peers import PeerError
from medvision.dicom.network.retrieve import fetch
from medvision.dicom.network.sender import Outgoing, outgoing, send
from medvision.dicom.network.uids import STUDY_ROOT_FIND
from medvision.dicom.network.web import WebArchive
from medvision.errors import ConfigError, UsageError
from tests.dicom.network.network import (
    LEAK,
    Orthanc,
    archive,
    free_port,
    instance,
    objects,
    read,
    write,
)

pytestmark = pytest.mark.filterwarnings(LEAK)


@pytest.fixture(scope="module")
def filled(orthanc: Orthanc) -> Orthanc:
    """Three studies, one of another day."""
    for number, date in ((1, "20260101"), (2, "20260102"), (3, "20250101")):
        orthanc.upload(objects(f"1.7.{number}", StudyDate=date, StudyDescription=f"chest {number}"))
    return orthanc


def open_both(orthanc: Orthanc, way: str) -> Archive:
    address = orthanc.dicomweb if way == "web" else str(orthanc.peer)
    connection = Connection(
        via="move" if way == "move" else "get", listen=f"127.0.0.1:{orthanc.callback_port}"
    )
    return open_archive(address, connection)


@pytest.mark.parametrize("way", ["get", "web"])
def test_orthanc_is_searched(filled: Orthanc, way: str) -> None:
    asked = open_both(filled, way)

    rows = asked.find(Filter(study_date="20260101-20260131", modality="CT"))

    assert {row["study_instance_uid"] for row in rows} == {"1.7.1", "1.7.2"}
    assert {row["study_description"] for row in rows} == {"chest 1", "chest 2"}
    assert {(row["patient_id"], row["modalities"], row["n_instances"]) for row in rows} == {("P1", "CT", "3")}
    assert len(asked.find(Filter(study_date="20260101-20260131"), limit=1)) == 1
    assert asked.find(Filter(patient_id="nobody")) == []
    series = asked.find(Filter(study_date="20250101"), level="series")
    assert [(row["series_instance_uid"], row["modality"]) for row in series] == [("1.7.3.4", "CT")]


@pytest.mark.parametrize("level", ["study", "series"])
@pytest.mark.parametrize("way", ["get", "move", "web"])
def test_orthanc_gives_what_it_has(filled: Orthanc, inbox: Inbox, way: str, level: str) -> None:
    asked = open_both(filled, way)

    fetched = asked.fetch(inbox, "1.7.1", "1.7.1.4" if level == "series" else "")

    assert (fetched.completed, fetched.failed) == (3, 0)
    for dataset in objects("1.7.1", StudyDate="20260101", StudyDescription="chest 1"):
        assert read(inbox.path(instance(dataset))).PixelData == dataset.PixelData
    before = inbox.stamp("1.7.1")
    asked.fetch(inbox, "1.7.1")
    assert inbox.stamp("1.7.1") == before


@pytest.mark.parametrize("way", ["store", "stow"])
def test_orthanc_takes_what_is_sent_and_takes_it_once(orthanc: Orthanc, tmp_path: Path, way: str) -> None:
    datasets = objects(f"1.8.{way == 'stow':d}")
    files = outgoing(write(datasets, tmp_path))
    confirmed: list[str] = []

    def note(file: Outgoing) -> None:
        confirmed.append(file.path.name)

    for _ in range(2):
        if way == "store":
            send(
                files,
                orthanc.peer,
                ae_title="MEDVISION",
                stored=lambda file: confirmed.append(file.path.name),
            )
        else:
            WebArchive(orthanc.dicomweb).store(files, note)

    assert confirmed == ["000.dcm", "001.dcm", "002.dcm"] * 2
    assert orthanc.has(datasets[0].StudyInstanceUID) == {each.SOPInstanceUID for each in datasets}


def test_a_study_that_orthanc_lacks_is_said(filled: Orthanc, inbox: Inbox) -> None:
    with pytest.raises(PeerError, match=r"cannot retrieve: HTTP status 404"):
        open_both(filled, "web").fetch(inbox, "9.9.9")
    with pytest.raises(PeerError, match=r"cannot do C-GET: status 0xC000"):
        open_both(filled, "get").fetch(inbox, "9.9.9")


def answers(_: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
    for number in range(3):
        row = Dataset()
        row.StudyInstanceUID = f"1.{number}"
        yield 0xFF00, row
    yield 0xA700, None


def test_an_archive_that_fails_is_said() -> None:
    with archive([(evt.EVT_C_FIND, answers)], [STUDY_ROOT_FIND]) as peer:
        with pytest.raises(PeerError, match="cannot answer: status 0xA700"):
            find(peer, Filter(), ae_title="ME")
        assert len(find(peer, Filter(), limit=2, ae_title="ME")) == 2


def test_an_archive_without_c_get_is_said(inbox: Inbox) -> None:
    with (
        archive([(evt.EVT_C_FIND, answers)], [STUDY_ROOT_FIND]) as peer,
        pytest.raises(PeerError, match="does not offer the service"),
    ):
        fetch(peer, inbox, "1.2", ae_title="ME")


def test_addresses_are_told_apart(tmp_path: Path) -> None:
    assert isinstance(open_archive("http://pacs/dicom-web", Connection()), WebArchive)
    assert isinstance(open_archive("PACS@host:104", Connection()), DimseArchive)
    with pytest.raises(UsageError, match="AE_TITLE@host:port"):
        open_archive("pacs", Connection())
    with pytest.raises(UsageError, match="--listen nonsense"):
        open_archive("PACS@host:104", Connection(via="move", listen="nonsense"))
    with pytest.raises(ConfigError, match="cannot read the token"):
        open_archive("http://pacs", Connection(token_file=tmp_path / "none"))


class Web(BaseHTTPRequestHandler):
    """A DICOMweb service that answers what a test wants."""

    behave: Callable[[Web], tuple[int, object]]

    def do_GET(self) -> None:
        status, body = type(self).behave(self)
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""

    @property
    def asked(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query)


@contextmanager
def web(behave: Callable[[Web], tuple[int, object]]) -> Iterator[WebArchive]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Behaving", (Web,), {"behave": behave}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield WebArchive(f"http://127.0.0.1:{server.server_port}/dicom-web", token="t0ken")  # noqa: S106
    finally:
        server.shutdown()
        server.server_close()


def studies(first: int, last: int) -> list[dict[str, object]]:
    return [{"0020000D": {"vr": "UI", "Value": [f"1.2.{number}"]}} for number in range(first, last)]


def test_pages_are_followed_to_the_end() -> None:
    def behave(request: Web) -> tuple[int, object]:
        assert request.headers["Authorization"] == "Bearer t0ken"
        offset, limit = int(request.asked["offset"][0]), int(request.asked["limit"][0])
        return 200, studies(offset, min(offset + min(limit, 40), 130))

    with web(behave) as asked:
        assert len(asked.find(Filter())) == 130
        assert len(asked.find(Filter(), limit=50)) == 50


def test_a_service_that_knows_no_pages_gives_each_row_once() -> None:
    with web(lambda _: (200, studies(0, 30))) as asked:
        assert len(asked.find(Filter())) == 30


def test_a_busy_service_is_asked_again() -> None:
    statuses = iter([503, 429, 200, 200])

    def behave(_: Web) -> tuple[int, object]:
        status = next(statuses)
        return status, studies(0, 1) if status == 200 else []

    with web(behave) as asked:
        assert len(asked.find(Filter())) == 1


@pytest.mark.parametrize("status", [401, 500])
def test_an_error_names_no_patient(status: int) -> None:
    with (
        web(lambda _: (status, [])) as asked,
        pytest.raises(PeerError, match=f"cannot search: HTTP status {status}") as caught,
    ):
        asked.find(Filter(patient_id="ID-4711"))
    assert "4711" not in str(caught.value)


def test_what_is_no_dicomweb_is_said() -> None:
    with web(lambda _: (200, "hello")) as asked, pytest.raises(PeerError, match="no DICOMweb"):
        asked.find(Filter())


def test_nobody_there_is_said_without_the_question() -> None:
    asked = WebArchive(f"http://127.0.0.1:{free_port()}/dicom-web")
    with pytest.raises(PeerError, match="does not answer") as caught:
        asked.find(Filter(patient_id="ID-4711"))
    assert "4711" not in str(caught.value)
