"""A patient with a mark in every attribute goes through the commands, offline: nothing leaks or is asked.

What may hold the patient's data is listed: the STORE and the index of headers, which are the hospital's own,
and DICOM results, which a PACS files under the patient.
"""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path

import pytest
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset

from medvision.models.directory import save_model
from tests.dicom.builders import edit
from tests.dicom.identified import MARKS, mark_everything, marks_in
from tests.inference.test_cohort import write_body
from tests.models.cards import tiny_card, tiny_detector
from tests.security.offline import Gone, run_offline

TRIED = {"ingest", "infer", "verify", "evaluate", "drift", "check", "models"}
SERIES = "1.2.3.1"
MARKED_TOO = {"PatientID", "PatientName", "AccessionNumber", "Manufacturer", "ManufacturerModelName"}
"""Of what the slices have already; the rest is what a slice needs to be one."""

FORMATS = ("--formats", "json,csv,html,seg,sr,sc")


def mark_slice(ds: Dataset) -> None:
    needed = [element.tag for element in ds if keyword_for_tag(element.tag) not in MARKED_TOO]
    mark_everything(ds, leave=tuple(map(int, needed)))


@pytest.fixture(scope="module")
def gone(tmp_path_factory) -> Gone:
    folder = tmp_path_factory.mktemp("canaries")
    write_body(folder / "in", SERIES)
    for path in sorted((folder / "in").iterdir()):
        edit(path, mark_slice)
        path.rename(path.with_name(f"ZZ00074Q-Tänzer-{path.name}"))
    save_model(folder / "model", tiny_card(), tiny_detector())
    for table, text in {
        "annotations.csv": f"seriesuid,coordX,coordY,coordZ,diameter_mm\n{SERIES},0,0,0,9\n",
        "seriesuids.csv": f"{SERIES}\n",
    }.items():
        (folder / table).write_text(text, encoding="utf-8")
    scans, out, model = str(folder / "in"), str(folder / "out"), str(folder / "model")
    tables = [
        "--annotations",
        str(folder / "annotations.csv"),
        "--seriesuids",
        str(folder / "seriesuids.csv"),
    ]
    commands = [
        ["ingest", scans, "-o", str(folder / "store"), "-vv", "--json"],
        ["infer", scans, "-o", out, "--model", model, "--threshold", "0", "-vv", "--json", *FORMATS],
        ["verify", f"{out}/{SERIES}/report.json", "-vv", "--json"],
        ["evaluate", f"{out}/predictions.csv", *tables, "-o", str(folder / "evaluation"), "-vv"],
        ["drift", str(folder / "store"), out, "-o", str(folder / "drift"), "-vv"],
        ["check", out, "--json"],
        ["models", "show", model],
    ]
    return run_offline(folder, commands)


def test_every_command_ends_well(gone):
    assert gone.exit_codes == [0] * 7, gone.stderr


def test_nothing_is_asked_of_the_network_by_importing_or_running(gone):
    assert gone.asked_nobody


def test_no_mark_is_in_what_was_printed_or_logged(gone):
    said = "".join(line for line in gone.stderr.splitlines() if str(gone.folder / "in") not in line)
    assert not MARKS.findall((gone.stdout + said).encode())


@pytest.mark.parametrize("place", ["out", "evaluation", "drift", "model", "config"])
def test_no_mark_is_in_what_is_passed_on(gone, place):
    found = marks_in(gone.folder / place)
    assert {path for path in found if not path.endswith(".dcm")} == set()


def test_what_holds_the_patient_is_known_and_the_index_is_its_owners_alone(gone):
    holders = {Path(path) for path in marks_in(gone.folder)} - set((gone.folder / "in").iterdir())
    store, results = gone.folder / "store", gone.folder / "out" / SERIES
    expected = {store / "index.sqlite", store / "volumes" / "patients.csv", store / f"volumes/{SERIES}.json"}
    expected |= {results / f"findings_{kind}.dcm" for kind in ("seg", "sr", "sc")}
    cached = set((gone.folder / "cache").rglob("*.sqlite"))
    assert holders <= expected | cached
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in (*cached, store / "index.sqlite"))


def test_nothing_temporary_is_left(gone):
    assert not list((gone.folder / "tmp").glob("medvision*"))
    assert not list(gone.folder.rglob("*.part"))


def test_the_patient_has_a_pseudonym_only(gone):
    with (gone.folder / "out" / "worklist.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert len(row["patient_reference"]) >= 8
    assert not MARKS.search(json.dumps(row).encode())
