"""`medvision query` against an archive in this process."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import evt

from medvision.cli.main import run
from medvision.dicom.network.peers import Peer
from medvision.dicom.network.uids import STUDY_ROOT_FIND, STUDY_ROOT_GET
from tests.dicom.network.network import LEAK, archive, free_port, objects

pytestmark = pytest.mark.filterwarnings(LEAK)

CT = "1.2.840.10008.5.1.4.1.1.2"
STUDIES = {"1.2.3": objects("1.2.3"), "1.2.4": objects("1.2.4", n=2)}


def find(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
    wanted = event.identifier.get("StudyInstanceUID")
    for study, slices in STUDIES.items():
        if wanted in {None, "", study}:
            row = Dataset()
            row.StudyInstanceUID, row.StudyDate, row.PatientID = study, "20260131", "P1"
            row.PatientName = "Geheim^Nina"
            row.NumberOfStudyRelatedInstances = len(slices)
            row.ModalitiesInStudy = ["CT", "SR"]
            yield 0xFF00, row


def get(event: evt.Event) -> Iterator[object]:
    """Everything of the first study; of the second nothing, and an archive that calls this a success."""
    study = event.identifier.StudyInstanceUID
    if study == "1.2.4":
        yield 0
        return
    yield len(STUDIES[study])
    for dataset in STUDIES[study]:
        yield 0xFF00, dataset


@pytest.fixture
def pacs() -> Iterator[Peer]:
    handlers = [(evt.EVT_C_FIND, find), (evt.EVT_C_GET, get)]
    with archive(handlers, [STUDY_ROOT_FIND, STUDY_ROOT_GET, CT]) as peer:
        yield peer


def test_the_table_has_what_was_found_and_no_names(
    pacs: Peer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["query", str(pacs), "-o", str(tmp_path / "found.csv"), "--json"]) == 0

    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    with (tmp_path / "found.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == record["rows"]
    assert [row["study_instance_uid"] for row in rows] == ["1.2.3", "1.2.4"]
    assert rows[0]["modalities"] == "CT\\SR"
    assert "Geheim" not in str(rows)


def test_one_study_that_cannot_be_fetched_does_not_stop_the_others(
    pacs: Peer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["query", str(pacs), "--retrieve", str(tmp_path / "inbox")]) == 3

    out, err = capsys.readouterr()
    assert "2 studies found, 3 objects fetched, 1 failed" in out
    assert "study 1.2.4: the archive gave nothing" in err
    assert len(list((tmp_path / "inbox").glob("1.2.3/1.2.3.4/*.dcm"))) == 3


def test_nothing_found_is_an_exit_code_of_its_own(pacs: Peer) -> None:
    assert run(["query", str(pacs), "--study", "9.9"]) == 4


def test_nobody_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["query", f"NOBODY@127.0.0.1:{free_port()}"]) == 4
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["pacs"], ["PACS@h:1", "--series", "1.2"], ["PACS@h:1", "--via", "fax"]]
)
def test_wrong_usage_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["query", *arguments]) == 2
    assert "medvision:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--set", "port=1"],
        ["--ae-title", "THIS_TITLE_IS_TOO_LONG"],
        ["--formats", "fax"],
        ["--model", "/none"],
    ],
)
def test_listen_refuses_before_it_opens_anything(tmp_path: Path, arguments: list[str]) -> None:
    assert run(["listen", "-o", str(tmp_path / "out"), *arguments]) == 2
    assert not (tmp_path / "out").exists()
