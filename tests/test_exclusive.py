"""One process at a time in a folder; no lock outlives its holder."""

from __future__ import annotations

import errno
import fcntl
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from medvision.errors import OutputError
from medvision.exclusive import alone_in

HOLD = """
import sys, time
from pathlib import Path
from medvision.exclusive import alone_in
with alone_in(Path(sys.argv[1]), "infer"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_process_leaves_neither_lock_nor_file(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(OutputError, match="another infer is at work in"), alone_in(tmp_path, "infer"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()

    with alone_in(tmp_path, "infer"):
        assert not list(tmp_path.iterdir())


def test_the_next_one_is_let_in_whatever_happened_to_the_last(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), alone_in(tmp_path, "train"):
        _ = 1 / 0
    with alone_in(tmp_path, "train"):
        pass


def test_a_share_without_locks_is_used_without(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with alone_in(tmp_path, "infer"):
        pass
