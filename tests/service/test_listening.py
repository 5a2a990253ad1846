"""The whole service: nothing lost, nothing doubled, whatever is killed, doubled, late or missing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from pynetdicom import evt

from medvision.config.base import load_config
from medvision.config.network import DestinationConfig, ListenConfig, PeerConfig
from medvision.dicom.network.inbox import INCOMING
from medvision.dicom.network.peers import Peer, PeerError
from medvision.dicom.network.sender import outgoing, send
from medvision.errors import OutputError
from medvision.exclusive import alone_in
from medvision.reporting.report import Report
from medvision.service.analyst import BrokeDownError, Outcome, StoppedError
from medvision.service.listening import ListenResult, Service, listen
from medvision.service.records import Records
from tests.conftest import ROOT
from tests.dicom.network.network import CT, LEAK, archive, associate, free_port, objects, wait_until, write
from tests.service.conftest import put

pytestmark = pytest.mark.filterwarnings(LEAK)

STUDY = "1.2.3"
YEAR_SECONDS = 365 * 86_400.0


class FakeAnalyst:
    """Writes what an analysis writes, as often as it is asked."""

    alive = True

    def __init__(self, make_report: Callable[..., Report], breaks: int = 0) -> None:
        self.seen: list[tuple[str, int]] = []
        self.make_report = make_report
        self.breaks = breaks
        self.hold: threading.Event | None = None

    def analyse(self, study: Path, out: Path, index: Path, stop: threading.Event) -> Outcome:
        self.seen.append((study.name, len(list(study.glob("*/*.dcm")))))
        if self.hold is not None:
            while not self.hold.wait(0.02):
                if stop.is_set():
                    raise StoppedError
        if self.breaks:
            self.breaks -= 1
            raise BrokeDownError("the process has ended by itself")
        write(objects("1.5"), put(out.parent, self.make_report()))
        assert index.parent.is_dir()
        return Outcome(0, {"processed": 1})


@pytest.fixture
def analyst(make_report: Callable[..., Report]) -> FakeAnalyst:
    return FakeAnalyst(make_report)


@contextmanager
def running(
    out: Path, analyst: FakeAnalyst | None, **settings: object
) -> Iterator[tuple[Peer, list[ListenResult]]]:
    """A service for the time of a block; what it has done is known after it."""
    quick = {"port": free_port(), "quiet_seconds": 0.3, "interrupted_seconds": 0.6, "reserve_gib": 0}
    config = ListenConfig.model_validate(quick | settings)
    stop = threading.Event()
    done: list[ListenResult] = []
    service = Service(config, out, analyst)  # type: ignore[arg-type]  a stand-in
    thread = threading.Thread(target=lambda: done.append(service.run(stop)))
    thread.start()
    peer = Peer(config.ae_title, "127.0.0.1", config.port)
    try:
        wait_until(lambda: service._receiver._server is not None)
        yield peer, done
    finally:
        stop.set()
        thread.join()


def send_study(peer: Peer, folder: Path, study: str = STUDY, n: int = 3, **extra: object) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    send(outgoing(write(objects(study, n, **extra), folder)), peer, ae_title="SCANNER")


def test_a_study_is_looked_at_once_however_often_it_is_sent(tmp_path: Path, analyst: FakeAnalyst) -> None:
    with running(tmp_path / "out", analyst) as (peer, done):
        for _ in range(3):
            send_study(peer, tmp_path / "files")
        wait_until(lambda: analyst.seen)
        send_study(peer, tmp_path / "files")
        send_study(peer, tmp_path / "files", "1.3", 1)
        wait_until(lambda: len(analyst.seen) == 2)

    assert analyst.seen == [(STUDY, 3), ("1.3", 1)]
    assert done == [ListenResult(stored=4, doubled=9, refused=0, analysed=2, failed=0)]


def test_who_only_receives_waits_for_no_study_for_ever(tmp_path: Path) -> None:
    service = Service(ListenConfig(port=0, reserve_gib=0, quiet_seconds=0.01), tmp_path / "out", None)
    service._arrivals.note(STUDY)
    assert service.vitals().waiting == 1

    def waiting() -> int:
        service._work(threading.Event())
        return service.vitals().waiting

    wait_until(lambda: waiting() == 0)


def test_who_watches_sees_counts_and_trouble(tmp_path: Path, analyst: FakeAnalyst) -> None:
    monitor = free_port()
    with running(tmp_path / "out", analyst, monitor_port=monitor) as (peer, _):
        send_study(peer, tmp_path / "files")
        wait_until(lambda: analyst.seen)
        analyst.alive = False
        health = requests.get(f"http://127.0.0.1:{monitor}/health", timeout=5)
        metrics = requests.get(f"http://127.0.0.1:{monitor}/metrics", timeout=5).text

    assert health.status_code == 503
    assert "process that looks at studies" in health.json()["trouble"][0]
    assert 'medvision_objects_total{outcome="new"} 3.0' in metrics
    assert STUDY not in metrics
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{monitor}/health", timeout=5)


def test_half_a_study_is_looked_at_again_when_the_rest_comes(tmp_path: Path, analyst: FakeAnalyst) -> None:
    with running(tmp_path / "out", analyst) as (peer, _):
        send_study(peer, tmp_path / "files", n=1)
        wait_until(lambda: analyst.seen)
        send_study(peer, tmp_path / "files", n=3)
        wait_until(lambda: len(analyst.seen) == 2)

    assert analyst.seen == [(STUDY, 1), (STUDY, 3)]


def test_new_pixels_under_old_uids_are_looked_at_again(tmp_path: Path, analyst: FakeAnalyst) -> None:
    with running(tmp_path / "out", analyst) as (peer, done):
        send_study(peer, tmp_path / "files")
        wait_until(lambda: analyst.seen)
        send_study(peer, tmp_path / "files", WindowWidth="400")
        wait_until(lambda: len(analyst.seen) == 2)

    assert analyst.seen == [(STUDY, 3)] * 2
    assert done[0].stored == 6


def test_what_comes_during_the_analysis_is_not_overlooked(tmp_path: Path, analyst: FakeAnalyst) -> None:
    analyst.hold = threading.Event()
    with running(tmp_path / "out", analyst) as (peer, _):
        send_study(peer, tmp_path / "files", n=2)
        wait_until(lambda: analyst.seen)
        send_study(peer, tmp_path / "files", n=3)
        analyst.hold.set()
        wait_until(lambda: len(analyst.seen) == 2)

    assert analyst.seen == [(STUDY, 2), (STUDY, 3)]


def test_a_stop_during_the_analysis_is_taken_up_again(tmp_path: Path, analyst: FakeAnalyst) -> None:
    analyst.hold = threading.Event()
    with running(tmp_path / "out", analyst) as (peer, _):
        send_study(peer, tmp_path / "files")
        wait_until(lambda: analyst.seen)
    assert Records(tmp_path / "out" / "state" / "studies").get(STUDY).stamp == ""

    analyst.hold = None
    with running(tmp_path / "out", analyst):
        wait_until(lambda: len(analyst.seen) == 2)
    with running(tmp_path / "out", analyst) as (peer, _):
        send_study(peer, tmp_path / "files", "1.3")
        wait_until(lambda: len(analyst.seen) == 3)

    assert analyst.seen == [(STUDY, 3)] * 2 + [("1.3", 3)]


def test_a_restart_waits_for_the_rest_of_what_was_cut(tmp_path: Path, analyst: FakeAnalyst) -> None:
    with running(tmp_path / "out", None) as (peer, _):
        association = associate(peer)
        association.send_c_store(objects(STUDY, 1)[0])
        association.abort()
        association.join()

    with running(tmp_path / "out", analyst, interrupted_seconds=1e6) as (peer, _):
        send_study(peer, tmp_path / "files", "1.3", 1)  # began to wait later, and is looked at first
        wait_until(lambda: analyst.seen)
        send_study(peer, tmp_path / "files")
        wait_until(lambda: len(analyst.seen) == 2)

    assert analyst.seen == [("1.3", 1), (STUDY, 3)]
    assert list((tmp_path / "out" / "state" / "receiving").iterdir()) == []


@pytest.mark.parametrize(("breaks", "failed"), [(2, 0), (3, 1)])
def test_an_analysis_that_breaks_down_is_tried_three_times(
    tmp_path: Path, analyst: FakeAnalyst, breaks: int, failed: int
) -> None:
    analyst.breaks = breaks
    with running(tmp_path / "out", analyst) as (peer, done):
        send_study(peer, tmp_path / "files")
        wait_until(lambda: Records(tmp_path / "out" / "state" / "studies").get(STUDY).stamp)
        send_study(peer, tmp_path / "files", "1.3", 1)
        wait_until(lambda: len(analyst.seen) == 4)

    assert analyst.seen == [(STUDY, 3)] * 3 + [("1.3", 1)]
    assert done[0].failed == failed


def test_results_arrive_once_at_a_pacs_that_was_away(tmp_path: Path, analyst: FakeAnalyst) -> None:
    taken: list[str] = []

    def store(event: evt.Event) -> int:
        taken.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    away = DestinationConfig(peer=PeerConfig(ae_title="ARCHIVE", host="127.0.0.1", port=free_port()))
    with running(tmp_path / "out", analyst, send_to=(away,)) as (peer, _):
        send_study(peer, tmp_path / "files")
        wait_until(lambda: analyst.seen)

    with archive([(evt.EVT_C_STORE, store)], [CT]) as there:
        back = DestinationConfig(peer=PeerConfig(ae_title="ARCHIVE", host="127.0.0.1", port=there.port))
        for _ in range(2):
            with running(tmp_path / "out", analyst, send_to=(back,)):
                wait_until(lambda: len(taken) >= 3)

    assert sorted(taken) == sorted(each.SOPInstanceUID for each in objects("1.5"))


def test_images_go_when_they_are_old_and_their_results_have_arrived(
    tmp_path: Path, analyst: FakeAnalyst, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ListenConfig(port=0, reserve_gib=0, quiet_seconds=0.1, keep_days=1)
    with running(tmp_path / "out", analyst, keep_days=1) as (peer, _):
        send_study(peer, tmp_path / "files")
        send_study(peer, tmp_path / "files", "1.3")
        wait_until(lambda: len(analyst.seen) == 2)
        wait_until(lambda: Records(tmp_path / "out" / "state" / "studies").get("1.3").stamp)
    record = tmp_path / "out" / "state" / "studies" / f"{STUDY}.json"
    inbox = tmp_path / "out" / "inbox"
    service = Service(config, tmp_path / "out", None)

    with monkeypatch.context() as patched:  # who sets the clock forward makes no study old
        now = time.time() + YEAR_SECONDS
        patched.setattr(time, "time", lambda: now)
        service._prune()
    assert [path.name for path in sorted(inbox.glob("[0-9]*"))] == [STUDY, "1.3"]

    os.utime(record, (0, 0))
    service._prune()
    assert [path.name for path in sorted(inbox.glob("[0-9]*"))] == ["1.3"]
    assert (tmp_path / "out" / "results" / STUDY).is_dir()


def test_a_folder_serves_one_receiver(tmp_path: Path) -> None:
    with alone_in(tmp_path, "receiver"), pytest.raises(OutputError, match="another receiver is at work"):
        listen(ListenConfig(port=0), tmp_path, None, threading.Event())


def start(out: Path, port: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "medvision", "listen", "-o", str(out), "--port", str(port), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stderr is not None
    for line in process.stderr:
        if "listens on" in line:
            return process
    raise AssertionError(process.wait())


def test_a_receiver_that_is_killed_loses_nothing_that_it_confirmed(tmp_path: Path) -> None:
    port, confirmed = free_port(), []
    files = outgoing(write(objects(n=30), tmp_path / "files"))
    first = start(tmp_path / "out", port)

    def note(file: object) -> None:
        confirmed.append(file)
        if len(confirmed) == 10:
            first.kill()

    with first, pytest.raises(PeerError):
        send(files, Peer("MEDVISION", "127.0.0.1", port), ae_title="SCANNER", stored=note)
    kept = {path.stem for path in (tmp_path / "out" / "inbox").glob("*/*/*.dcm")}
    assert {file.instance.sop_instance_uid for file in confirmed} <= kept  # type: ignore[attr-defined]
    assert len(kept) < 30
    receiving = tmp_path / "out" / "state" / "receiving"
    assert len(list(receiving.iterdir())) == 1

    with start(tmp_path / "out", port) as second:
        send(files, Peer("MEDVISION", "127.0.0.1", port), ae_title="SCANNER")
        second.send_signal(signal.SIGTERM)
        stdout, _ = second.communicate(timeout=60)

    assert second.returncode == 0
    counts = json.loads(stdout.splitlines()[-1])["counts"]
    assert counts["stored"] + counts["doubled"] == 30
    assert counts["doubled"] == len(kept)
    assert len(list((tmp_path / "out" / "inbox").glob("*/*/*.dcm"))) == 30
    assert list((tmp_path / "out" / "inbox" / INCOMING).iterdir()) == []
    assert list(receiving.iterdir()) == []


def test_the_recipe_is_valid() -> None:
    config = load_config(ROOT / "configs" / "listen.yaml", ListenConfig)

    assert config.ae_title == "MEDVISION"
