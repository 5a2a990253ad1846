"""What a Prefect server keeps of flows over a marked patient: its database and its files name nobody.

Paths that a flow is given are kept, because they are its parameters; those of the files in them are not.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytest.importorskip("prefect")
from medvision.models.directory import save_model
from tests.dicom.identified import MARKS, marks_in
from tests.flows.servers import ROOT, Server, wait_until
from tests.models.cards import tiny_card, tiny_detector
from tests.security.test_canaries_in_training import marked_store
from tests.security.test_canaries_in_trouble import GOOD, write_trouble
from tests.training.test_detection import configure

READING = """
import sys
from flows.infer import infer
from flows.ingest import ingest
from flows.nightly import nightly
scans, store, out, model = sys.argv[1:]
settings = {"threshold": 0.0, "all_series": True}
for state in (
    ingest([scans], store + "-ingest", 1, return_state=True),
    infer([scans], model, out + "-infer", 1, settings, return_state=True),
    nightly(scans, store, out + "-nightly", model, 1, settings, return_state=True),
):
    print(state.name, state.message)
"""
LEARNING = """
import sys
from flows.evaluate import evaluate
from flows.retrain import retrain
from flows.train import train
recipe, model, store, out, frozen = sys.argv[1:]
for state in (
    train(recipe, ["tracking.register_as=null"], return_state=True),
    evaluate(model, store, out, 1, bootstrap=20, return_state=True),
    retrain(recipe, frozen, always=True, return_state=True),
):
    print(state.name, state.message)
"""


def run_flows(server: Server, code: str, *places: Path) -> subprocess.CompletedProcess[str]:
    """In a process whose log goes to the server, as `prefect.yaml` wants it."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, places)],
        env={
            **server.environment,
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


@pytest.fixture(scope="module")
def read(
    server_process: Server, tmp_path_factory: pytest.TempPathFactory
) -> subprocess.CompletedProcess[str]:
    folder = tmp_path_factory.mktemp("reading")
    write_trouble(folder / "scans")
    save_model(folder / "model", tiny_card(), tiny_detector())
    return run_flows(server_process, READING, *(folder / name for name in ("scans", "store", "out", "model")))


@pytest.fixture(scope="module")
def learnt(
    server_process: Server, tmp_path_factory: pytest.TempPathFactory
) -> subprocess.CompletedProcess[str]:
    folder = tmp_path_factory.mktemp("learning")
    store = marked_store(folder / "cohort", 4, uids="1.2.5")
    frozen = marked_store(folder / "frozen", 2, first=50, uids="1.2.5")
    (store / "seriesuids.csv").write_text("".join(f"1.2.5.0.{number}\n" for number in range(1, 5)))
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(configure(store, folder).model_dump(mode="json")))
    return run_flows(server_process, LEARNING, recipe, folder / "model", store, folder / "evaluation", frozen)


@pytest.mark.parametrize(
    ("ran", "endings", "told"),
    [
        (
            "read",
            ["SomeFailed", "SomeFailed", "WithFailures"],
            ["1 series failed", f"infer {GOOD}", "medvision.worklist.written", "truncated"],
        ),
        (
            "learnt",
            ["Completed", "Completed", "Completed"],
            ["recipe.yaml", "| cpm |", "medvision.model.champion"],
        ),
    ],
)
def test_the_server_knows_what_was_done_and_of_whom_nothing(
    ran: str, endings: list[str], told: list[str], server_process: Server, request: pytest.FixtureRequest
) -> None:
    done = request.getfixturevalue(ran)
    assert [line.partition(" ")[0] for line in done.stdout.splitlines()] == endings, done.stdout

    def kept() -> bytes:
        return b"".join(path.read_bytes() for path in server_process.home.glob("prefect.db*"))

    for known in told:
        wait_until(lambda known=known: known.encode() in kept())
    assert marks_in(server_process.home).keys() == set()


@pytest.mark.parametrize("ran", ["read", "learnt"])
def test_nor_is_anybody_in_what_the_flows_said(ran: str, request: pytest.FixtureRequest) -> None:
    done = request.getfixturevalue(ran)
    assert not MARKS.findall((done.stdout + done.stderr).encode())
