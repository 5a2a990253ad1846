"""A DICOMweb service in wrong hands: it leads nowhere else, and neither its size nor its answers do harm."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmwrite

from medvision.dicom.network import web, web_session
from medvision.dicom.network.find import Filter
from medvision.dicom.network.inbox import Inbox, Room
from medvision.dicom.network.peers import PeerError
from medvision.dicom.network.web import WebArchive
from tests.dicom.builders import header

JSON = "application/dicom+json"
Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def serving(answer: Callable[[str], Answer]) -> Iterator[tuple[str, list[str]]]:
    """An HTTP server; its address, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, headers, body = answer(self.path)
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def search(url: str) -> list[object]:
    return WebArchive(f"{url}/dicom-web", token="t0ken").find(Filter())  # noqa: S106


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return Inbox(folder, Room(None, 0))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_another_host_is_not_asked(status):
    with serving(lambda _: (200, {"Content-Type": JSON}, b"[]")) as (other, asked_there):
        target = f"{other}/latest/meta-data"
        with (
            serving(lambda _: (status, {"Location": target}, b"")) as (url, _),
            pytest.raises(PeerError) as caught,
        ):
            search(url)
    assert "sends to another host" in str(caught.value)
    assert not asked_there


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "//127.0.0.2/x", "gopher://x"])
def test_nothing_but_http_to_the_same_host_is_followed(target):
    with serving(lambda _: (302, {"Location": target}, b"")) as (url, _), pytest.raises(PeerError):
        search(url)


def test_the_same_host_may_send_on_but_not_in_circles():
    with serving(lambda path: (302, {"Location": path + "x"}, b"")) as (url, asked):
        with pytest.raises(PeerError, match="does not answer: TooManyRedirects"):
            search(url)
        assert len(asked) <= web_session.MOST_REDIRECTS + 1


def test_addresses_inside_answers_are_not_asked():
    with serving(lambda _: (200, {}, b"secret")) as (other, asked_there):
        row = {
            "0020000D": {"vr": "UI", "Value": ["1.2"]},
            "00081190": {"vr": "UR", "Value": [f"{other}/retrieve"]},
            "00080030": {"vr": "TM", "BulkDataURI": f"{other}/bulk"},
            "00100010": {"vr": "PN", "BulkDataURI": "file:///etc/passwd"},
        }

        def answer(path: str) -> Answer:
            return 200, {"Content-Type": JSON}, json.dumps([row] if "offset=0" in path else []).encode()

        with serving(answer) as (url, _), pytest.warns(UserWarning, match="bulk data URI"):
            assert len(search(url)) == 1
    assert not asked_there


HOSTILE = {
    "brackets without end": b"[" * 200_000,
    "a number too long": b"[" + b"9" * 5000 + b"]",
    "no data sets": b"[1, null, []]",
    "no elements": b'[{"0020000D": 7}]',
    "no values": b'[{"0020000D": {"vr": "UI", "Value": {"a": 1}}}]',
    "no tags": b'[{"zzz": {"vr": "UI"}}]',
    "no base64": b'[{"00081190": {"vr": "OB", "InlineBinary": 7}}]',
    "sequences without end": b'[{"00081115": {"vr": "SQ", "Value": [' * 900,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_dicomweb_ends_in_one_line(what):
    with serving(lambda _: (200, {"Content-Type": JSON}, HOSTILE[what])) as (url, _):
        with pytest.raises(PeerError, match="no DICOMweb") as caught:
            search(url)
        assert "\n" not in str(caught.value)


def test_an_answer_that_unpacks_without_end_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr(web_session, "MOST_ANSWER_BYTES", 1 << 20)
    bomb = gzip.compress(b"[" + b" " * (64 << 20) + b"]")
    headers = {"Content-Type": JSON, "Content-Encoding": "gzip"}
    with (
        serving(lambda _: (200, headers, bomb)) as (url, _),
        pytest.raises(PeerError, match="more than 1048576"),
    ):
        search(url)


def test_a_service_that_always_has_more_is_not_asked_for_ever(monkeypatch):
    monkeypatch.setattr(web, "MOST_RESULTS", 500)
    count = iter(range(10_000))

    def answer(_: str) -> Answer:
        page = [{"0020000D": {"vr": "UI", "Value": [f"1.2.{next(count)}"]}} for _ in range(100)]
        return 200, {"Content-Type": JSON}, json.dumps(page).encode()

    with serving(answer) as (url, _), pytest.raises(PeerError, match="more than 500 results"):
        search(url)


MULTIPART = 'multipart/related; type="application/dicom"; boundary=xyz'


def parts(*objects: bytes) -> bytes:
    return (
        b"".join(b"\r\n--xyz\r\nContent-Type: application/dicom\r\n\r\n" + one for one in objects)
        + b"\r\n--xyz--"
    )


def encoded(number: int = 1, series: str = "1.2.3", size: int = 3 << 20) -> bytes:
    dataset, buffer = header(f"1.2.3.{number}", series, "1.2"), BytesIO()
    dataset.PixelData = bytes(size)
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def test_a_study_of_many_parts_comes_whole_and_a_part_too_large_does_not(inbox, monkeypatch):
    objects = [encoded(number) for number in range(1, 5)]
    body = parts(*objects)
    monkeypatch.setattr(web_session, "LARGEST_OBJECT_BYTES", 4 << 20)
    with serving(lambda _: (200, {"Content-Type": MULTIPART}, body)) as (url, _):
        assert WebArchive(url).fetch(inbox, "1.2").completed == 4
    monkeypatch.setattr(web_session, "LARGEST_OBJECT_BYTES", 2 << 20)
    with (
        serving(lambda _: (200, {"Content-Type": MULTIPART}, body)) as (url, _),
        pytest.raises(PeerError, match="more than"),
    ):
        WebArchive(url).fetch(inbox, "1.2")


@pytest.mark.parametrize("uid", ["../../etc", "/etc", "1.2/../..", "1.2\\..", "..", "", "1.2\n3"])
def test_an_identifier_that_is_a_path_is_not_kept(uid, inbox, tmp_path):
    hostile = encoded(size=100, series="9.8.7.6.5").replace(b"9.8.7.6.5\0", uid.encode().ljust(10, b"\0"))
    with serving(lambda _: (200, {"Content-Type": MULTIPART}, parts(hostile))) as (url, _):
        assert WebArchive(url).fetch(inbox, "1.2").completed == 0
    assert not list(tmp_path.rglob("*.dcm"))
