"""A receiver killed at random moments: what it confirmed is there once, and looked at as if undisturbed.

`MEDVISION_SOAK_KILLS=50` (what `make soak` does) kills it so often.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from medvision.dicom.network.inbox import Inbox
from medvision.dicom.network.peers import Peer, PeerError
from medvision.dicom.network.sender import Outgoing, outgoing, send
from medvision.models.directory import save_model
from medvision.service.records import Records
from tests.dicom.network.network import LEAK, dropped_sockets, free_port, wait_until
from tests.inference.test_cohort import write_body
from tests.models.cards import lively_detector, tiny_card
from tests.soak.test_kills import KILLS, SIGNALS, contents, without_reuse

__all__ = ["dropped_sockets"]
pytestmark = pytest.mark.filterwarnings(LEAK)

STUDIES = ("1.2.1", "1.2.2", "1.2.3")
PATIENCE_SECONDS = 600.0


@dataclass
class Receiver:
    """The command `listen` on an OUT folder, started again whenever it is killed."""

    out: Path
    model: Path
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def peer(self) -> Peer:
        return Peer("MEDVISION", "127.0.0.1", self.port)

    def start(self) -> None:
        config = self.out.with_suffix(".yaml")
        config.write_text("quiet_seconds: 0.5\ninterrupted_seconds: 1.0\nreserve_gib: 0\n")
        line = [sys.executable, "-m", "medvision", "listen", "-q", "-o", str(self.out)]
        line += ["--model", str(self.model), "--config", str(config), "--port", str(self.port)]
        self._process = subprocess.Popen([*line, "--formats", "json,csv,seg,sr"], start_new_session=True)

    def kill(self, number: signal.Signals) -> None:
        """As Ctrl-C reaches all of its processes, and anything else the first one only."""
        assert self._process is not None
        if number == signal.SIGINT:
            os.killpg(self._process.pid, number)
        else:
            os.kill(self._process.pid, number)
        self._process.wait()

    def has_looked_at_all(self) -> bool:
        """Whether the last analysis of each study was of what is here now."""
        assert self._process is not None
        assert self._process.poll() is None, "it ended by itself"
        inbox, records = Seen(self.out / "inbox"), Records(self.out / "state" / "studies")
        return all(records.get(study).stamp == inbox.stamp(study) for study in STUDIES)


class Seen(Inbox):
    """An inbox seen from outside: who opens it properly throws away what is being received."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder


@contextmanager
def running(receiver: Receiver) -> Iterator[None]:
    receiver.start()
    try:
        yield
    finally:
        receiver.kill(signal.SIGTERM)


class Scanner(threading.Thread):
    """Sends until everything is confirmed, again and again what was not."""

    def __init__(self, files: list[Outgoing], peer: Peer) -> None:
        super().__init__(daemon=True)
        self.confirmed: list[str] = []
        self._left = {file.instance.sop_instance_uid: file for file in files}
        self._peer = peer

    def run(self) -> None:
        while self._left:
            try:
                send(list(self._left.values()), self._peer, ae_title="SCANNER", stored=self._note)
            except PeerError:
                time.sleep(0.1)

    def _note(self, file: Outgoing) -> None:
        self.confirmed.append(file.instance.sop_instance_uid)
        del self._left[file.instance.sop_instance_uid]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Outgoing]:
    folder = tmp_path_factory.mktemp("studies")
    for study in STUDIES:
        write_body(folder / study, f"{study}.1", study)
    return outgoing(sorted(folder.glob("*/*")))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, tiny_card(), lively_detector())
    return folder


def names(out: Path) -> list[str]:
    """Every file and folder but the index, which is a cache."""
    found = (str(path.relative_to(out)) for path in out.rglob("*"))
    return sorted(name for name in found if not name.startswith("state/index/"))


def results(out: Path) -> dict[str, object]:
    """Without times; what was done before a kill is counted as done."""
    found = contents(out / "results")
    without_reuse(*(content for name, content in found.items() if name.endswith("run.json")))
    return found


def send_and_wait(files: list[Outgoing], receiver: Receiver) -> None:
    with running(receiver):
        scanner = Scanner(files, receiver.peer)
        scanner.start()
        wait_until(lambda: not scanner.is_alive() and receiver.has_looked_at_all(), PATIENCE_SECONDS)


def test_listen(files: list[Outgoing], model: Path, tmp_path: Path) -> None:
    undisturbed = Receiver(tmp_path / "undisturbed", model)
    begun = time.monotonic()
    send_and_wait(files, undisturbed)
    seconds = time.monotonic() - begun
    wanted = results(undisturbed.out)
    assert {f"{study}/worklist.html" for study in STUDIES} <= wanted.keys()

    chance, done = random.Random(0), 0  # noqa: S311  moments, no secrets
    while done < (KILLS or 2):
        disturbed = Receiver(tmp_path / "disturbed", model)
        scanner = Scanner(files, disturbed.peer)
        scanner.start()
        for _ in range(chance.randint(1, 3)):
            disturbed.start()
            time.sleep(chance.uniform(0.5, seconds))
            disturbed.kill(SIGNALS[done % len(SIGNALS)])
            kept = {path.stem for path in (disturbed.out / "inbox").glob("*/*/*.dcm")}
            assert set(scanner.confirmed) <= kept, f"kill {done}: confirmed, and not there"
            done += 1
        with running(disturbed):
            wait_until(lambda: not scanner.is_alive() and disturbed.has_looked_at_all(), PATIENCE_SECONDS)  # noqa: B023
        assert names(disturbed.out) == names(undisturbed.out), f"kill {done}"
        found = results(disturbed.out)
        for name, content in wanted.items():
            assert found[name] == content, f"kill {done}: {name} differs"
        shutil.rmtree(disturbed.out)
