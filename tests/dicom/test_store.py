"""The STORE is as good as the DICOM, whole or not there, and resumed."""

from __future__ import annotations

import csv
import gc
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from pydicom.uid import JPEGLSLossless

from medvision.dicom.catalogue import catalogue
from medvision.dicom.index import INDEX
from medvision.dicom.store import _died, _import_all, _Outcome, ingest
from medvision.dicom.stored import is_store, open_store
from medvision.dicom.workers import Workers
from medvision.errors import DicomError, NothingToDoError, OutputError
from medvision.geometry import swap_nifti
from tests.dicom.builders import SERIES_UID, Slices, die, edit, write_series

PROMISED = ["series_instance_uid", "study_instance_uid", "modality", "n_files", "n_slices", "rows", "columns"]
PROMISED += ["spacing_x_mm", "spacing_y_mm", "spacing_z_mm", "status", "reasons", "volume"]


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def contents(store):
    """Everything but the index, which says when files were changed."""
    files = {path.relative_to(store): path for path in store.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name.name != INDEX}


@pytest.fixture
def dicom(tmp_path):
    """A good series, a rejected one, a file that is none."""
    write_series(tmp_path / "dicom" / "a")
    write_series(tmp_path / "dicom" / "b", Slices([0.0, 2.0], series_uid="1.2.3"))
    (tmp_path / "dicom" / "notes.txt").write_text("hello")
    return tmp_path / "dicom"


def test_a_store_holds_what_the_dicom_held(dicom, tmp_path):
    store = tmp_path / "store"
    result = ingest([dicom], store)
    assert (result.n_warned, result.n_rejected, result.n_failed, result.n_problems) == (1, 1, 0, 1)
    assert result.exit_code == 0
    expected = catalogue([dicom]).series[1].load()
    rejected, entry = open_store(store)
    scan = entry.load()
    for field in (
        "name",
        "series_instance_uid",
        "study_instance_uid",
        "patient_id",
        "slices",
        "checks",
        "input_sha256",
    ):
        assert getattr(scan, field) == getattr(expected, field)
    assert dict(scan.attributes) == dict(expected.attributes)
    np.testing.assert_array_equal(scan.volume.array, expected.volume.array)
    np.testing.assert_array_equal(scan.volume.affine, expected.volume.affine)
    assert scan.volume.frame_of_reference_uid == expected.volume.frame_of_reference_uid
    with pytest.raises(DicomError, match=r"1\.2\.3 is rejected: has too few slices: 2"):
        rejected.load()


def test_the_files_are_the_promised_ones(dicom, tmp_path):
    store = tmp_path / "store"
    ingest([dicom], store)
    assert is_store(store)
    assert not is_store(dicom)
    assert {str(path) for path in contents(store)} == {
        "series.csv",
        "problems.csv",
        f"volumes/{SERIES_UID}.nii.gz",
        f"volumes/{SERIES_UID}.json",
        "volumes/patients.csv",
    }
    first, second = rows(store / "series.csv")
    assert list(first)[:13] == PROMISED
    assert (first["series_instance_uid"], first["status"], first["volume"]) == ("1.2.3", "rejected", "")
    assert (second["status"], second["volume"]) == ("warned", f"volumes/{SERIES_UID}.nii.gz")
    assert rows(store / "problems.csv") == [
        {
            "path": str(dicom / "notes.txt"),
            "reason": "not_dicom",
            "detail": "no DICM prefix and no Data Set at the start",
        }
    ]
    image = nib.load(store / second["volume"])
    scan = catalogue([dicom]).series[1].load()
    np.testing.assert_array_equal(np.asarray(image.dataobj).T, scan.volume.array)
    np.testing.assert_allclose(image.affine, swap_nifti(scan.volume.affine), atol=1e-5)


def test_nothing_in_a_store_names_the_patient_or_the_request(dicom, tmp_path):
    ingest([dicom], tmp_path / "store")
    for path, data in contents(tmp_path / "store").items():
        assert b"Doe" not in data, path
        assert b"A1" not in data or path.suffix == ".gz", path


def test_a_second_run_keeps_and_a_change_renews(dicom, tmp_path):
    store = tmp_path / "store"
    ingest([dicom], store)
    before = contents(store)
    times = {path: path.stat().st_mtime_ns for path in (store / "volumes").glob(f"{SERIES_UID}*")}
    again = ingest([dicom], store)
    assert again.n_kept == 1
    assert contents(store) == before
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert ingest([dicom], store, resume=False).n_kept == 0
    assert contents(store) == before
    edit(next((dicom / "a").iterdir()), lambda ds: setattr(ds, "PixelData", bytes(len(ds.PixelData))))
    assert ingest([dicom], store).n_kept == 0
    assert contents(store) != before


@pytest.mark.parametrize("damage", ["no volume", "no sidecar", "half a sidecar", "other version"])
def test_a_run_that_was_killed_goes_on_to_the_same_files(dicom, tmp_path, damage):
    store = tmp_path / "store"
    ingest([dicom], store)
    before = contents(store)
    volume, sidecar = (store / "volumes" / f"{SERIES_UID}.{suffix}" for suffix in ("nii.gz", "json"))
    (store / "series.csv").unlink()
    (store / "volumes" / f".{SERIES_UID}.nii.gz.part").write_bytes(b"half")
    if damage == "no volume":
        volume.unlink()
    elif damage == "no sidecar":
        sidecar.unlink()
    elif damage == "half a sidecar":
        sidecar.write_text(sidecar.read_text()[:500])
    else:
        sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"store_version": 0}))
    assert not is_store(store)
    assert ingest([dicom], store).n_kept == 0
    assert contents(store) == before


def test_several_workers_write_the_same_bytes(dicom, tmp_path, monkeypatch):
    monkeypatch.setattr("medvision.dicom.store.EARLY_START_FILES", 1)
    write_series(dicom / "c", Slices(series_uid="1.2.4"))
    ingest([dicom], tmp_path / "one")
    result = ingest([dicom], tmp_path / "two", workers=2)
    assert result.n_warned == 2
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_series_whose_pixels_are_damaged_fails_alone(dicom, tmp_path, caplog):
    for path in write_series(dicom / "c", Slices(series_uid="1.2.4")):
        edit(path, lambda ds: ds.compress(JPEGLSLossless, generate_instance_uid=False))
        path.write_bytes(path.read_bytes().replace(b"\xff\xd8\xff", b"\0\0\0"))
    result = ingest([dicom], tmp_path / "store")
    assert (result.n_warned, result.n_rejected, result.n_failed, result.exit_code) == (1, 1, 1, 3)
    assert "series 1.2.4: 24 of 24 files cannot be decoded" in caplog.text
    row = rows(tmp_path / "store" / "series.csv")[1]
    assert (row["status"], row["volume"]) == ("rejected", "")
    assert sum(row["reason"] == "bad_pixels" for row in rows(tmp_path / "store" / "problems.csv")) == 24


@pytest.mark.parametrize("early", [False, True])
def test_a_worker_that_dies_takes_only_its_own_series(dicom, early):
    write_series(dicom / "c", Slices(series_uid="1.2.4"))
    _, fatal, good = catalogue([dicom]).series
    with Workers(2) as pool:
        if early:
            pool.start(_import_all)
        failed, fine = pool.map(die, [fatal, good], _died)
    assert fine == good.name
    assert failed.failed
    assert failed.row.reasons == "series 1.2.4: its worker died of a damaged file or lack of memory"


def test_too_little_memory_fails_one_series(dicom, tmp_path, monkeypatch):
    def too_much(*_, **__):
        raise MemoryError

    monkeypatch.setattr("medvision.dicom.entries.read_voxels", too_much)
    assert ingest([dicom], tmp_path / "store").exit_code == 3


def test_nothing_usable_ends_with_4(dicom, tmp_path):
    shutil.rmtree(dicom / "a")
    assert ingest([dicom], tmp_path / "store").exit_code == 4
    assert [row["status"] for row in rows(tmp_path / "store" / "series.csv")] == ["rejected"]
    with pytest.raises(NothingToDoError):
        ingest([dicom / "notes.txt"], tmp_path / "store 2")


def test_a_store_that_cannot_be_written_is_said_before_work(dicom, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write to"):
        ingest([dicom], tmp_path / "file")


def test_a_volume_that_cannot_be_written_is_a_failed_series(dicom, tmp_path, monkeypatch):
    """Where nothing can be written, all of it ends: tests/soak/test_disk.py."""

    def broken(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("medvision.dicom.nifti._compressor", broken)
    result = ingest([dicom], tmp_path / "store")
    assert (result.n_failed, result.exit_code) == (1, 3)
    (row,) = (row for row in rows(tmp_path / "store" / "series.csv") if "cannot write" in row["reasons"])
    assert row["reasons"].endswith(
        f"cannot write {tmp_path}/store/volumes/{row['series_instance_uid']}.nii.gz: Input/output error; "
        "look at the disk or the share, then give the command again"
    )
    assert list((tmp_path / "store" / "volumes").glob("*.nii.gz")) == []


@pytest.mark.parametrize("damage", ["volume", "sidecar", "table"])
def test_a_damaged_store_is_one_clear_line(dicom, tmp_path, damage):
    store = tmp_path / "store"
    ingest([dicom], store)
    if damage == "table":
        (store / "series.csv").write_text("a,b\n1,2\n")
        with pytest.raises(DicomError, match=r"series\.csv: column 'series_instance_uid' is missing"):
            open_store(store)
        return
    path = next((store / "volumes").glob("*.gz" if damage == "volume" else "*.json"))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DicomError, match="ingest"):
        open_store(store)[1].load()


def test_no_store_is_nothing_to_do(tmp_path):
    with pytest.raises(NothingToDoError, match="is no store"):
        open_store(tmp_path)


def test_hashes_of_files_are_let_go_once_they_are_noted(tmp_path):
    for number in range(3):
        write_series(tmp_path / "dicom" / str(number), Slices(series_uid=f"1.2.{number}"))
    kept = []

    def look():
        kept.append(sum(type(one) is _Outcome and bool(one.file_sha256) for one in gc.get_objects()))

    ingest([tmp_path / "dicom"], tmp_path / "store", written=look)
    assert kept == [1, 1, 1]
