"""Four peers at a receiver, of which one in three behaves badly: nothing confirmed is lost, nothing grows.

`MEDVISION_SOAK_ASSOCIATIONS=500` (what `make soak` does) is how many each of them opens.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.watching import Sample, look
from medvision.dicom.network.inbox import INCOMING
from medvision.dicom.network.peers import Peer
from tests.dicom.network.crowd import PEERS, SLICES, crowd, echoes
from tests.dicom.network.network import LEAK, dropped_sockets, free_port, wait_until

__all__ = ["dropped_sockets"]
pytestmark = pytest.mark.filterwarnings(LEAK)

ASSOCIATIONS = int(os.environ.get("MEDVISION_SOAK_ASSOCIATIONS", "12"))
PATIENCE_SECONDS = 120.0
GROWTH_MIB = 8.0
"""Between a tenth of the associations and all of them; who keeps a slice of each has more."""


def test_a_crowd_loses_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    peer = Peer("MEDVISION", "127.0.0.1", free_port())
    with listening(tmp_path, peer.port) as receiver:
        before = look(receiver.pid)
        warm = crowd(peer, max(12, ASSOCIATIONS // 10), first_study=1)
        wait_until(lambda: is_at_rest(receiver.pid, before), PATIENCE_SECONDS)
        after_some = look(receiver.pid)
        begun = time.monotonic()
        visitors = [*warm, *crowd(peer, ASSOCIATIONS, first_study=PEERS + 1)]
        seconds = time.monotonic() - begun
        wait_until(lambda: is_at_rest(receiver.pid, before), PATIENCE_SECONDS)
        after_all = look(receiver.pid)
        assert echoes(peer)

    confirmed = [uid for visitor in visitors for uid in visitor.confirmed]
    tally = sum((visitor.tally for visitor in visitors), Counter())
    told = f"{tally}: {seconds:.0f} s, {len(confirmed)} objects confirmed"
    print(told, before, after_some, after_all, sep="\n")  # noqa: T201  what `make soak` shows with -s
    kept = [path.stem for path in (tmp_path / "out" / "inbox").rglob("*.dcm")]
    assert len(kept) == len(set(kept))
    assert set(confirmed) <= set(kept)
    assert len(confirmed) >= SLICES * tally["send"]
    assert list((tmp_path / "out" / "inbox" / INCOMING).iterdir()) == []
    assert after_all.mib - after_some.mib < GROWTH_MIB
    assert receiver.returncode == 0


@contextmanager
def listening(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The command, without a model."""
    line = [sys.executable, "-m", "medvision", "listen", "-o", str(folder / "out"), "--port", str(port)]
    log = folder / "log"
    with log.open("wb") as stderr, subprocess.Popen(line, stdout=stderr, stderr=stderr) as process:
        try:
            wait_until(lambda: "listens on" in log.read_text(), PATIENCE_SECONDS)
            yield process
        finally:
            process.terminate()


def is_at_rest(pid: int, before: Sample) -> bool:
    now = look(pid)
    return now.files <= before.files and now.threads <= before.threads
