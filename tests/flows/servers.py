"""A Prefect server on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 120
T = TypeVar("T")


@dataclass(frozen=True)
class Server:
    """A real one, on loopback, with all it keeps in a folder of its own."""

    url: str
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """For processes that are to find it."""
        return {**os.environ, **settings_of(self.home), "PREFECT_API_URL": self.url}

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of prefect's own commands in the project's folder."""
        return subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


@contextmanager
def serving(home: Path, **settings: str) -> Iterator[Server]:
    """A server whose database lies in a folder, or where the settings say."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(f"http://127.0.0.1:{port}/api", home)
    with (home / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)],
            env={**os.environ, **settings_of(home), **settings},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until(lambda: answers(server.url), process)
            yield server
        finally:
            stop(process)


def settings_of(home: Path) -> dict[str, str]:
    """Quiet, quick to notice what is new, and without a word to anybody."""
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "1",
        "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "1",
        "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT1S",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "DO_NOT_TRACK": "1",
    }


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end; a worker with a run in hand would wait for that, and is not waited for."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until(condition: Callable[[], T], process: subprocess.Popen[bytes] | None = None) -> T:
    """What the condition gives as soon as it gives something."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        assert process is None or process.poll() is None, "it has ended by itself"
        if result := condition():
            return result
        time.sleep(0.2)
    raise TimeoutError("nothing came of it")


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").is_success
    except httpx.HTTPError:
        return False
