"""A marked patient comes from a PACS, is asked for, fetched and received: nothing that is said names anybody.

What may hold the patient's data is listed: the inbox, the index of its headers, and DICOM results.
"""

from __future__ import annotations

import json
import signal
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
import yaml
from pydicom.dataset import Dataset
from pynetdicom import evt

from medvision.dicom.network.peers import Peer
from medvision.dicom.network.sender import outgoing, send
from medvision.dicom.network.uids import STUDY_ROOT_FIND, STUDY_ROOT_GET
from medvision.models.directory import save_model
from tests.dicom.builders import edit
from tests.dicom.identified import MARKS, marks_in
from tests.dicom.network.network import LEAK, archive, free_port, wait_until
from tests.inference.test_cohort import write_body
from tests.models.cards import tiny_card, tiny_detector
from tests.security.offline import Gone, run_offline, start_offline
from tests.security.test_canaries import mark_slice

TRIED = {"listen", "query"}
SERIES, STUDY, CT = "1.2.3.1", "1.2.3.1.9", "1.2.840.10008.5.1.4.1.1.2"
ASKED_FOR = ("StudyInstanceUID", "StudyDate", "PatientID", "PatientName", "AccessionNumber")

pytestmark = pytest.mark.filterwarnings(LEAK)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """With a marked study in it, and a model."""
    folder = tmp_path_factory.mktemp("network")
    write_body(folder / "in", SERIES, STUDY, spacing_mm=8.0)
    for path in (folder / "in").iterdir():
        edit(path, mark_slice)
    save_model(folder / "model", tiny_card(), tiny_detector())
    return folder


@dataclass(frozen=True)
class Pacs:
    """An archive that tells all it knows of the study, and gives it."""

    files: list[Path]

    def find(self, _: evt.Event) -> Iterator[tuple[int, Dataset]]:
        known = pydicom.dcmread(self.files[0])
        answer = Dataset()
        for keyword in ASKED_FOR:
            setattr(answer, keyword, known[keyword].value)
        yield 0xFF00, answer

    def get(self, _: evt.Event) -> Iterator[object]:
        yield len(self.files)
        for path in self.files:
            yield 0xFF00, pydicom.dcmread(path)


@pytest.fixture(scope="module")
def asked(folder) -> Gone:
    pacs = Pacs(sorted((folder / "in").iterdir()))
    handlers = [(evt.EVT_C_FIND, pacs.find), (evt.EVT_C_GET, pacs.get)]
    with archive(handlers, [STUDY_ROOT_FIND, STUDY_ROOT_GET, CT]) as peer:
        fetch = ["--retrieve", str(folder / "fetched"), "-vv", "--json", "-o"]
        return run_offline(
            folder,
            [
                ["query", str(peer), *fetch, str(folder / "found.csv")],
                ["query", str(peer), "--show-patient", "-q", "-o", str(folder / "named.csv")],
            ],
        )


@pytest.fixture(scope="module")
def received(folder) -> Gone:
    port, out = free_port(), folder / "listened"
    (folder / "listen.yaml").write_text(
        yaml.safe_dump({"port": port, "quiet_seconds": 0.5, "reserve_gib": 0, "interrupted_seconds": 1})
    )
    command = ["listen", "-o", str(out), "--model", str(folder / "model"), "-vv", "--json"]
    service = start_offline(folder, [[*command, "--config", str(folder / "listen.yaml")]])
    said = ""
    with service:
        assert service.stderr is not None
        while "listens on" not in said:
            said += service.stderr.readline()
        send(outgoing(sorted((folder / "in").iterdir())), Peer("MEDVISION", "127.0.0.1", port), ae_title="CT")
        record = out / "state" / "studies" / f"{STUDY}.json"
        wait_until(lambda: record.is_file() and json.loads(record.read_text())["stamp"], seconds=120)
        service.send_signal(signal.SIGTERM)
        stdout, stderr = service.communicate(timeout=60)
    return Gone(folder, stdout, said + stderr)


def test_the_study_was_fetched_and_analysed_without_asking_anybody_else(asked, received, folder):
    assert (asked.exit_codes, received.exit_codes) == ([0, 0], [0]), asked.stderr + received.stderr
    assert asked.asked_nobody
    assert received.asked_nobody
    assert len(list((folder / "fetched").rglob("*.dcm"))) == len(list((folder / "in").iterdir()))
    assert len(list((folder / "listened" / "results" / STUDY).rglob("report.json"))) == 1


def test_no_mark_is_in_what_was_printed_or_logged(asked, received):
    assert not MARKS.findall("".join((asked.stdout, asked.stderr, received.stdout, received.stderr)).encode())


def test_a_table_names_the_patient_only_where_that_is_asked_for(asked):
    assert not MARKS.search((asked.folder / "found.csv").read_bytes())
    named = asked.folder / "named.csv"
    assert MARKS.search(named.read_bytes())
    assert stat.S_IMODE(named.stat().st_mode) == 0o600
    with named.open(encoding="utf-8") as file:
        assert "patient_name" not in file.readline()


def test_what_holds_the_patient_is_known_and_its_owners_alone(received):
    out = received.folder / "listened"
    holders = {Path(path) for path in marks_in(out)}
    images, results = set((out / "inbox").rglob("*.dcm")), set((out / "results").rglob("findings_*.dcm"))
    indexes = set((out / "state" / "index").iterdir())
    assert holders <= images | results | indexes
    assert stat.S_IMODE((out / "inbox").stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in indexes)


def test_nothing_temporary_is_left(asked, received):
    for gone in (asked, received):
        assert not list((gone.folder / "tmp").iterdir())
        assert not list(gone.folder.rglob("*.part"))
