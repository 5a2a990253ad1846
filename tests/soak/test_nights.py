"""Nights of a real worker on an inbox that grows: killed, overlapping, with a damaged scan, and quiet ones.

`MEDVISION_SOAK_NIGHTS=24` (what `make soak` does) is how many, and `MEDVISION_SOAK_KILLS=50` how many more of
killed ones only; the files are those of one undisturbed run.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

pytest.importorskip("prefect")
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from pydicom import dcmread
from pydicom.uid import JPEGLSLossless

from benchmarks.watching import family, look
from flows.endings import WITH_FAILURES
from flows.setup import setup
from medvision.cli.main import run as run_command
from medvision.models.directory import save_model
from tests.flows.conftest import server, server_process
from tests.flows.servers import ROOT, Server, stop, wait_until
from tests.inference.test_cohort import write_body
from tests.models.cards import lively_detector, tiny_card
from tests.soak.test_kills import KILLS, contents, soak

__all__ = ["server", "server_process"]

NIGHTS = int(os.environ.get("MEDVISION_SOAK_NIGHTS", "1"))
PATIENCE_SECONDS = 600.0
MIB = 1 << 20

Kind = Callable[["Hospital", random.Random], str]
"""What happens in a night; gives the name of the state that it ends in."""


@dataclass(frozen=True)
class Hospital:
    """An inbox that keeps what came, and the deployment that looks at it."""

    folder: Path
    client: SyncPrefectClient
    deployment: UUID
    worker: subprocess.Popen[bytes]

    def take_in(self, uid: str) -> Path:
        """One more study."""
        scan = self.folder / "inbox" / uid
        write_body(scan, uid, spacing_mm=8.0)
        return scan

    def start(self) -> UUID:
        """As the schedule does, only sooner."""
        places = {name: str(self.folder / name) for name in ("inbox", "store", "out", "model")}
        parameters = {**places, "settings": {"threshold": 0}}
        return self.client.create_flow_run_from_deployment(self.deployment, parameters=parameters).id

    def ended(self, run: UUID) -> FlowRun:
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            assert self.worker.poll() is None, "the worker has ended"
            found = self.client.read_flow_run(run)
            if found.state is not None and found.state.is_final():
                return found
            time.sleep(0.2)
        raise TimeoutError(f"flow run {run} does not end")

    def kill(self, run: UUID, after_seconds: float) -> None:
        """All of its processes, at a random moment of its work; the worker lives."""
        begun = time.monotonic()
        while not ((state := self.client.read_flow_run(run).state) and state.is_running()):
            assert time.monotonic() - begun < PATIENCE_SECONDS, "it does not begin"
            time.sleep(0.1)
        time.sleep(after_seconds)
        for process in family(self.worker.pid)[1:]:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


@pytest.fixture
def hospital(server: Server, tmp_path: Path) -> Iterator[Hospital]:
    save_model(tmp_path / "model", tiny_card(), lively_detector())
    assert run_command([], setup, "setup") == 0
    done = server.command("deploy", "--all")
    assert done.returncode == 0, done.stderr
    line = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "medvision"]
    with (tmp_path / "worker.log").open("w") as log, get_client(sync_client=True) as client:
        worker = subprocess.Popen(line, env=server.environment, cwd=ROOT, stdout=log, stderr=log)
        deployments = {one.name: one.id for one in client.read_deployments()}
        yield Hospital(tmp_path, client, deployments["nightly"], worker)
        stop(worker)


def killed(hospital: Hospital, chance: random.Random) -> str:
    """The run is Crashed; the same again goes on."""
    run = hospital.start()
    hospital.kill(run, chance.uniform(0, 20))
    if (state := hospital.ended(run).state).is_crashed():  # else it was quicker
        assert "-9" in state.message
        return hospital.ended(hospital.start()).state_name
    return state.name


def overlapping(hospital: Hospital, _: random.Random) -> str:
    """One of two does the work."""
    first, second = (hospital.ended(run).state for run in [hospital.start(), hospital.start()])
    assert {first.type.value, second.type.value} == {"COMPLETED", "CANCELLED"}
    return first.name if first.is_completed() else second.name


def damaged(hospital: Hospital, _: random.Random) -> str:
    """A scan that cannot be decoded is told and holds up nobody; it is mended by the morning."""
    scan = hospital.take_in("1.2.999")
    for path in scan.iterdir():
        dataset = dcmread(path)
        dataset.compress(JPEGLSLossless, generate_instance_uid=False)
        dataset.save_as(path)
        path.write_bytes(path.read_bytes().replace(b"\xff\xd8\xff", bytes(3)))
    state = hospital.ended(hospital.start()).state
    assert state.name == WITH_FAILURES, state
    shutil.rmtree(scan)
    return hospital.ended(hospital.start()).state_name


def quiet(hospital: Hospital, _: random.Random) -> str:
    """As most are."""
    return hospital.ended(hospital.start()).state_name


@pytest.mark.parametrize(
    ("nights", "kinds"),
    [(NIGHTS, (killed, overlapping, quiet, damaged)), pytest.param(KILLS, (killed,), marks=soak)],
    ids=["of all kinds", "killed"],
)
def test_nights(nights: int, kinds: tuple[Kind, ...], hospital: Hospital, server: Server) -> None:
    chance = random.Random(0)  # noqa: S311  moments, no secrets
    for night in range(nights):
        hospital.take_in(f"1.2.{night + 1}")
        kind = kinds[night % len(kinds)]
        begun = time.monotonic()
        assert kind(hospital, chance) == "Completed", f"night {night}: {kind.__name__}"
        seconds = time.monotonic() - begun
        wait_until(
            lambda: len(family(hospital.worker.pid)) == 1, hospital.worker
        )  # nobody is left of the killed
        worker = look(hospital.worker.pid)
        megabytes = sum(path.stat().st_size for path in server.home.glob("prefect.db*")) / MIB
        told = f"night {night}, {kind.__name__}: {seconds:.0f} s, database {megabytes:.1f} MiB, {worker}"
        print(told, flush=True)  # noqa: T201  what `make soak` shows with -s

    undisturbed = hospital.folder / "undisturbed"
    line = [str(hospital.folder / "store"), "-o", str(undisturbed), "--model", str(hospital.folder / "model")]
    assert run_command(["infer", *line, "-q", "--threshold", "0"]) == 0
    wanted, found = contents(undisturbed), contents(hospital.folder / "out")
    for tree in (wanted, found):
        del tree["run.json"]
    assert found.keys() == wanted.keys()
    for name, content in wanted.items():
        assert found[name] == content, name
