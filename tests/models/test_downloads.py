"""Downloads against a server on this machine that behaves as badly as real ones do."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from medvision.errors import ModelError, OutputError
from medvision.models import downloads
from medvision.models.downloads import at_url, fetch
from medvision.models.published import DownloadableWeights

CONTENT = bytes(range(256)) * 1024
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """What it serves, how badly, and what it was asked for."""

    url: str = ""
    content: bytes = CONTENT
    stops_after: int | None = None
    knows_ranges: bool = True
    other_range: bool = False
    status: int = 200
    ranges: list[str | None] = field(default_factory=list)

    def weights(self, sha256: str = SHA256[:8]) -> DownloadableWeights:
        return DownloadableWeights(f"{self.url}/net-{SHA256[:8]}.pth", sha256, 0.3)


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            server.ranges.append(asked)
            start = (
                int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.knows_ranges else 0
            )
            if server.status != 200 or start >= len(server.content):
                self.send_error(server.status if server.status != 200 else 416)
                return
            self._answer(
                start + (5 if server.other_range else 0), is_part=bool(asked) and server.knows_ranges
            )

        def _answer(self, start: int, *, is_part: bool) -> None:
            body = server.content[start:]
            self.send_response(206 if is_part else 200)
            self.send_header("Content-Length", str(len(body)))
            if is_part:
                last = len(server.content) - 1
                self.send_header("Content-Range", f"bytes {start}-{last}/{len(server.content)}")
            self.end_headers()
            self.wfile.write(body[: server.stops_after])

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(state)) as listening:
        state.url = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        listening.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("MEDVISION_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(downloads, "CHUNK_BYTES", 1 << 16)
    return tmp_path / "weights"


def test_a_file_is_fetched_once_and_then_found(server: Server, folder: Path):
    path = fetch(server.weights())
    assert path == folder / f"net-{SHA256[:8]}.pth"
    assert path.read_bytes() == CONTENT
    assert fetch(server.weights()) == path
    assert server.ranges == [None]
    assert [file.name for file in folder.iterdir()] == [path.name]


def test_what_was_interrupted_goes_on_where_it_was(server: Server):
    server.stops_after = 100_000
    with pytest.raises(ModelError, match=r"stopped after 100000 of 262144 bytes; run the same command again"):
        fetch(server.weights())
    with pytest.raises(ModelError, match="stopped after 200000 of 262144 bytes"):
        fetch(server.weights())
    server.stops_after = None
    assert fetch(server.weights()).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-", "bytes=200000-"]


def test_a_server_without_ranges_begins_anew(server: Server, folder: Path):
    folder.mkdir()
    (folder / f"net-{SHA256[:8]}.pth.part").write_bytes(b"of an earlier attempt")
    server.knows_ranges = False
    assert fetch(server.weights()).read_bytes() == CONTENT


def test_a_part_that_is_all_of_it(server: Server, folder: Path):
    folder.mkdir()
    (folder / f"net-{SHA256[:8]}.pth.part").write_bytes(CONTENT)
    assert fetch(server.weights()).read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(CONTENT)}-"]


def test_another_range_than_asked_for_is_refused(server: Server, folder: Path):
    folder.mkdir()
    part = folder / f"net-{SHA256[:8]}.pth.part"
    part.write_bytes(CONTENT[:1000])
    server.other_range = True
    with pytest.raises(ModelError, match="the server sent another range than from byte 1000 on"):
        fetch(server.weights())
    assert part.read_bytes() == CONTENT[:1000]


def test_another_file_is_deleted(server: Server, folder: Path):
    server.content = b"<html>please log in</html>"
    with pytest.raises(
        ModelError, match=rf"not {SHA256[:8]}…; it was deleted; fetch it again or from elsewhere"
    ):
        fetch(server.weights())
    assert list(folder.iterdir()) == []


def test_a_file_that_was_damaged_later(server: Server):
    path = fetch(server.weights())
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(ModelError, match=r"delete it and run: medvision models pull http://127\.0\.0\.1"):
        fetch(server.weights())


def test_a_file_that_is_not_there(server: Server):
    server.status = 404
    with pytest.raises(ModelError, match=r"answers 404 Not Found; put net-\w+\.pth into .*weights by hand"):
        fetch(server.weights())


def test_no_network_says_which_file_to_put_where(folder: Path):
    weights = DownloadableWeights("http://127.0.0.1:9/resnet18-f37072fd.pth", "f37072fd", 44.7)
    words = rf"cannot be fetched: .*refused.*; put resnet18-f37072fd\.pth into {folder} by hand"
    with pytest.raises(ModelError, match=words) as caught:
        fetch(weights)
    assert "\n" not in str(caught.value)


def test_too_little_room_is_told_before_anything_is_written(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100 << 20))
    monkeypatch.setattr(downloads, "_expected", lambda *_: 200 << 20)
    with pytest.raises(OutputError, match=r"200 MiB to come, 100 MiB free; make room"):
        fetch(server.weights())
    assert list(folder.iterdir()) == []


def test_a_disk_that_fills_up_keeps_what_is_there(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    real_open = Path.open

    class Full:
        """A file with room for one piece."""

        def __init__(self, file) -> None:
            self.file, self.pieces = file, 0

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, piece: bytes) -> None:
            self.pieces += 1
            if self.pieces > 1:
                raise OSError(28, "No space left on device")
            self.file.write(piece)

        def flush(self) -> None:
            self.file.flush()

    def opened(path: Path, mode: str = "r", *args, **kwargs):
        file = real_open(path, mode, *args, **kwargs)
        return Full(file) if path.suffix == ".part" and mode != "rb" else file

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", opened)
        with pytest.raises(OutputError, match=r"No space left on device; make room or name another folder"):
            fetch(server.weights())
    assert (folder / f"net-{SHA256[:8]}.pth.part").read_bytes() == CONTENT[: 1 << 16]
    assert fetch(server.weights()).read_bytes() == CONTENT


def test_a_url_must_say_its_hash():
    assert at_url(f"https://example.org/a.pth#sha256={SHA256.upper()}").sha256 == SHA256
    assert at_url("https://example.org/resnet18-f37072fd.pth").sha256 == "f37072fd"
    for text in (
        "https://example.org/a.pth",
        "https://example.org/a.pth#sha256=12",
        "https://example.org/#sha256=" + SHA256,
    ):
        with pytest.raises(ModelError, match=r"add its SHA-256, or at least 8 first digits of it"):
            at_url(text)
