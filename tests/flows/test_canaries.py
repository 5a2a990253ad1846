"""What a Prefect server keeps of flows over a marked patient: its database and its files name nobody.

Paths that a flow is given are kept, because they are its parameters; those of the files in them are not.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("prefect")
from medvision.models.directory import save_model
from tests.dicom.identified import MARKS, marks_in
from tests.flows.servers import ROOT, Server, wait_until
from tests.models.cards import tiny_card, tiny_detector
from tests.security.test_canaries_in_trouble import GOOD, write_trouble

FLOWS = """
import json, sys
from flows.infer import infer
from flows.nightly import nightly
scans, store, out, model = sys.argv[1:]
settings = {"threshold": 0.0, "all_series": True}
for state in (
    infer([scans], model, out + "-infer", 1, settings, return_state=True),
    nightly(scans, store, out + "-nightly", model, 1, settings, return_state=True),
):
    print(state.name, state.message)
"""


@pytest.fixture(scope="module")
def ran(server_process: Server, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """The flows, in a process whose log goes to the server, as `prefect.yaml` wants it."""
    folder = tmp_path_factory.mktemp("flows")
    write_trouble(folder / "scans")
    save_model(folder / "model", tiny_card(), tiny_detector())
    places = [str(folder / name) for name in ("scans", "store", "out", "model")]
    return subprocess.run(
        [sys.executable, "-c", FLOWS, *places],
        env={
            **server_process.environment,
            "PREFECT_LOGGING_EXTRA_LOGGERS": "medvision",
            "PREFECT_LOGGING_LEVEL": "DEBUG",
            "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.1",
        },
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=300,
    )


def test_the_server_knows_what_was_done_and_of_whom_nothing(
    ran: subprocess.CompletedProcess[str], server_process: Server
) -> None:
    endings = [line.partition(" ")[0] for line in ran.stdout.splitlines()]
    assert endings == ["SomeFailed", "WithFailures"]

    def kept() -> bytes:
        return b"".join(path.read_bytes() for path in server_process.home.glob("prefect.db*"))

    for known in (b"1 series failed", f"infer {GOOD}".encode(), b"medvision.worklist.written", b"truncated"):
        wait_until(lambda known=known: known in kept())
    assert marks_in(server_process.home).keys() == set()


def test_nor_is_anybody_in_what_the_flows_said(ran: subprocess.CompletedProcess[str]) -> None:
    assert not MARKS.findall((ran.stdout + ran.stderr).encode())
