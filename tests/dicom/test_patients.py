"""The table of patients says what the sidecars say, and is never older than they are."""

from __future__ import annotations

import pytest

from medvision.dicom.patients import PATIENTS_CSV, forget_patients, read_patients, write_patients
from medvision.dicom.store import ingest
from medvision.dicom.stored import open_store
from medvision.errors import DicomError
from tests.dicom.builders import Slices, edit, write_series


@pytest.fixture
def store(tmp_path):
    """Two patients, one of them with a comma in their ID, and a rejected series."""
    for uid, patient in (("1.2.1", "P,1"), ("1.2.2", "P2")):
        write_series(tmp_path / "dicom" / uid, Slices(series_uid=uid, extra={"PatientID": patient}))
    write_series(tmp_path / "dicom" / "short", Slices([0.0, 2.0], series_uid="1.2.3"))
    ingest([tmp_path / "dicom"], tmp_path / "store")
    return tmp_path / "store"


def patients(store) -> dict[str, str]:
    return {entry.name: entry.patient_id for entry in open_store(store) if entry.status != "rejected"}


def test_with_the_table_no_sidecar_is_opened(store):
    expected = {"1.2.1": "P,1", "1.2.2": "P2"}
    assert patients(store) == dict(read_patients(store)) == expected
    for sidecar in (store / "volumes").glob("*.json"):
        sidecar.write_text("{")
    assert patients(store) == expected


def test_without_it_the_sidecars_say_the_same(store):
    expected = patients(store)
    forget_patients(store)
    assert patients(store) == expected
    write_patients(store, expected)
    assert dict(read_patients(store)) == expected


def test_a_run_that_is_killed_leaves_no_old_table(store, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("medvision.dicom.store.write_patients", killed)
    with pytest.raises(KeyboardInterrupt):
        ingest([tmp_path / "dicom"], store)
    assert read_patients(store) == {}


def test_another_patient_id_is_taken_over(store, tmp_path):
    for path in (tmp_path / "dicom" / "1.2.2").iterdir():
        edit(path, lambda ds: setattr(ds, "PatientID", "P9"))
    ingest([tmp_path / "dicom"], store)
    assert patients(store)["1.2.2"] == "P9"


def test_series_csv_is_free_of_patients(store):
    assert "P2" not in (store / "series.csv").read_text()


def test_a_damaged_table_is_one_clear_line(store):
    (store / "volumes" / PATIENTS_CSV).write_text("a,b\n1,2\n")
    with pytest.raises(DicomError, match=r"patients\.csv cannot be read: 'name'; ingest again"):
        open_store(store)


def test_a_patient_id_that_a_spreadsheet_would_run_is_written_safely_and_read_as_it_is(tmp_path, monkeypatch):
    hostile = "=cmd|'/c calc'!A1"
    monkeypatch.setattr("medvision.dicom.patients.read_patient_id", lambda *_: hostile)
    (tmp_path / "volumes").mkdir()
    write_patients(tmp_path, ["1.2"])
    assert (tmp_path / "volumes" / PATIENTS_CSV).read_text().splitlines()[1] == f"1.2,'{hostile}"
    assert read_patients(tmp_path) == {"1.2": hostile}
