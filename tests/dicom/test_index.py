"""What an index remembers is what the files say; whatever becomes of it, a run goes on."""

from __future__ import annotations

import os
import shutil
import sqlite3
import warnings
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import JPEGLSLossless

from medvision.dicom import reading
from medvision.dicom.catalogue import catalogue
from medvision.dicom.index import INDEX, HeaderIndex
from medvision.dicom.sources import gather
from medvision.dicom.store import ingest
from medvision.errors import UsageError
from tests.dicom.builders import SERIES_UID, Slices, edit, save, write_series
from tests.dicom.test_syntaxes import enhanced

LONG_AGO = 1_600_000_000


def age(folder):
    """Let the files be older than what an index mistrusts as just written."""
    for number, path in enumerate(sorted(folder.rglob("*"))):
        os.utime(path, (LONG_AGO + number, LONG_AGO + number))


@pytest.fixture
def dicom(tmp_path):
    """A good series, one that is rejected, files that are none, an archive with two members of one name."""
    folder = tmp_path / "dicom"
    write_series(folder / "a")
    paths = write_series(folder / "b", Slices([0.0, 2.0], series_uid="1.2.3"))
    (folder / "notes.txt").write_text("hello")
    (folder / "empty.dcm").touch()
    other = write_series(tmp_path / "other", Slices(series_uid="1.2.4"))
    with zipfile.ZipFile(folder / "c.zip", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of doubled names, which are what is tested
        for path in other:
            archive.write(path, "same.dcm")
    paths[0].write_bytes(paths[0].read_bytes()[:-10])
    age(folder)
    return folder


@pytest.fixture
def reads(monkeypatch):
    """The files whose headers are read."""
    seen: list[str] = []
    real = reading.read_images

    def note(file):
        seen.append(file.shown.rsplit("/", 1)[-1])
        return real(file)

    monkeypatch.setattr(reading, "read_images", note)
    return seen


def look(folder, index, **options):
    with HeaderIndex(index, **options) as known:
        return catalogue([folder], index=known)


def described(found):
    """All of it but where archives were unpacked to."""
    headers = [
        [getattr(header, name) for name in header.__slots__ if name != "file"]
        for entry in found.series
        for header in entry.stack.headers
    ]
    return (
        headers,
        [entry.row for entry in found.series],
        [entry.checks for entry in found.series],
        found.problems,
    )


def test_the_second_look_reads_nothing_and_says_the_same(dicom, tmp_path, reads):
    plain = described(catalogue([dicom]))
    n_files = len(reads)
    first = described(look(dicom, tmp_path / INDEX))
    assert len(reads) == 2 * n_files
    second = described(look(dicom, tmp_path / INDEX))
    assert len(reads) == 2 * n_files
    assert plain == first == second


def test_only_its_owner_may_read_it(dicom, tmp_path):
    look(dicom, tmp_path / INDEX)
    assert (tmp_path / INDEX).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("change", ["content", "time", "replaced", "new", "gone"])
def test_what_has_changed_is_read_again(dicom, tmp_path, reads, change):
    look(dicom, tmp_path / INDEX)
    reads.clear()
    path = dicom / "a" / "005.dcm"
    if change == "content":
        path.write_bytes(path.read_bytes() + b"\0\0")
    elif change == "time":
        os.utime(path, (LONG_AGO - 5, LONG_AGO - 5))
    elif change == "replaced":
        info = path.stat()
        shutil.copyfile(path, tmp_path / "copy")
        path.unlink()
        (tmp_path / "inode").touch()  # takes the number that has become free
        shutil.move(tmp_path / "copy", path)
        os.utime(path, ns=(info.st_mtime_ns, info.st_mtime_ns))
    elif change == "new":
        shutil.copy2(path, dicom / "new.dcm")
    else:
        path.unlink()
    found = described(look(dicom, tmp_path / INDEX))
    expected = {"new": ["new.dcm"], "gone": []}.get(change, ["005.dcm"])
    assert [name for name in reads if name != "same.dcm"] == expected
    assert found == described(catalogue([dicom]))


def test_a_file_that_was_just_written_is_not_trusted(tmp_path, reads):
    write_series(tmp_path / "dicom")
    future = 4_000_000_000
    os.utime(tmp_path / "dicom" / "003.dcm", (future, future))
    for _ in range(2):
        reads.clear()
        look(tmp_path / "dicom", tmp_path / INDEX)
    assert "003.dcm" in reads


def test_a_relative_path_is_the_same_file(dicom, tmp_path, reads, monkeypatch):
    look(dicom, tmp_path / INDEX)
    reads.clear()
    monkeypatch.chdir(tmp_path)
    look(dicom.relative_to(tmp_path), tmp_path / INDEX)
    assert not reads


def test_what_is_gone_is_forgotten(dicom, tmp_path):
    look(dicom, tmp_path / INDEX)
    shutil.rmtree(dicom / "b")
    (dicom / "c.zip").unlink()
    look(dicom, tmp_path / INDEX)
    with sqlite3.connect(tmp_path / INDEX) as database:
        everything = repr(list(database.execute("SELECT * FROM files"))) + repr(
            list(database.execute("SELECT * FROM parts"))
        )
    database.close()
    assert "1.2.3" not in everything.replace(SERIES_UID, "")
    assert "1.2.4" not in everything
    assert "notes.txt" in everything


@pytest.mark.parametrize("damage", ["garbage", "half", "other program", "folder", "columns", "json"])
def test_a_damaged_index_is_said_and_done_without(dicom, tmp_path, damage, caplog):
    index = tmp_path / INDEX
    expected = described(look(dicom, index))
    if damage == "garbage":
        index.write_bytes(b"no database at all" * 100)
    elif damage == "half":
        index.write_bytes(index.read_bytes()[:5000])
    elif damage == "folder":
        index.unlink()
        index.mkdir()
    else:
        statements = {
            "other program": "PRAGMA application_id = 5",
            "columns": "ALTER TABLE files DROP COLUMN images",
            "json": "UPDATE files SET images = '[[1]]'",
        }
        with sqlite3.connect(index) as database:
            database.execute(statements[damage])
        database.close()
    before = index.read_bytes() if damage == "other program" else b""
    caplog.clear()
    assert described(look(dicom, index)) == expected
    assert "is not used" in caplog.text
    assert len(caplog.records) == 1
    if damage == "other program":
        assert index.read_bytes() == before


def test_a_locked_index_is_said_and_done_without(dicom, tmp_path, caplog):
    expected = described(look(dicom, tmp_path / INDEX))
    other = sqlite3.connect(tmp_path / INDEX, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        assert described(look(dicom, tmp_path / INDEX)) == expected
    finally:
        other.close()
    assert "database is locked" in caplog.text


def test_an_index_of_another_version_is_emptied(dicom, tmp_path, reads, monkeypatch):
    look(dicom, tmp_path / INDEX)
    n_files = len(reads)
    monkeypatch.setattr("medvision.dicom.index.INDEX_VERSION", 99)
    look(dicom, tmp_path / INDEX)
    look(dicom, tmp_path / INDEX)
    assert len(reads) == 2 * n_files


def test_a_run_that_is_killed_while_it_makes_the_index_leaves_nothing_half_made(
    dicom, tmp_path, reads, monkeypatch, caplog
):
    with monkeypatch.context() as patch:
        patch.setattr("medvision.dicom.index._TABLES", ("CREATE TABLE files (key BLOB)", "no SQL"))
        look(dicom, tmp_path / INDEX)
    assert "is not used" in caplog.text
    look(dicom, tmp_path / INDEX)
    reads.clear()
    look(dicom, tmp_path / INDEX)
    assert not reads


def test_two_runs_may_use_one_index(dicom, tmp_path):
    with HeaderIndex(tmp_path / INDEX) as one, HeaderIndex(tmp_path / INDEX) as two:
        first, second = catalogue([dicom], index=one), catalogue([dicom], index=two)
    assert described(first) == described(second) == described(catalogue([dicom]))


@pytest.mark.parametrize("compressed", [False, True])
def test_every_frame_of_a_multi_frame_file_is_remembered(tmp_path, reads, compressed):
    ds = enhanced(Slices(), range(24))
    if compressed:
        ds.compress(JPEGLSLossless, generate_instance_uid=False)
    save(ds, tmp_path / "dicom" / "one.dcm")
    age(tmp_path / "dicom")
    look(tmp_path / "dicom", tmp_path / INDEX)
    reads.clear()
    found = look(tmp_path / "dicom", tmp_path / INDEX)
    assert not reads
    plain = catalogue([tmp_path / "dicom"])
    assert described(found) == described(plain)
    assert found.series[0].load().volume.array.tobytes() == plain.series[0].load().volume.array.tobytes()


def test_a_passing_problem_is_not_remembered(dicom, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("medvision.dicom.headers.read_elements", refuse)
        with HeaderIndex(tmp_path / INDEX) as index:
            readings = list(reading.read_all(gather([dicom])[0], index))
    assert {r.problem.reason for r in readings} == {"unreadable"}
    assert described(look(dicom, tmp_path / INDEX)) == described(catalogue([dicom]))


def test_a_store_that_is_up_to_date_is_kept_without_reading_a_file(dicom, tmp_path, monkeypatch, reads):
    store = tmp_path / "store"
    ingest([dicom], store)
    reads.clear()
    monkeypatch.setattr("medvision.dicom.sources.file_sha256", lambda path: pytest.fail(f"{path} was read"))
    assert ingest([dicom], store).n_kept == 2
    assert not reads
    monkeypatch.undo()
    assert ingest([dicom], store, resume=False).n_kept == 0


def test_hashes_are_learnt_where_only_they_are_missing(dicom, tmp_path, monkeypatch):
    store = tmp_path / "store"
    ingest([dicom], store)
    (store / INDEX).unlink()
    assert ingest([dicom], store).n_kept == 2
    monkeypatch.setattr("medvision.dicom.sources.file_sha256", lambda path: pytest.fail(f"{path} was read"))
    assert ingest([dicom], store).n_kept == 2


def test_no_resume_notices_what_was_changed_behind_the_clock(dicom, tmp_path):
    store = tmp_path / "store"
    ingest([dicom], store)
    path = dicom / "a" / "005.dcm"
    info = path.stat()
    edit(path, lambda ds: setattr(ds, "PixelData", bytes(len(ds.PixelData))))
    assert path.stat().st_ino == info.st_ino
    assert path.stat().st_size == info.st_size
    os.utime(path, ns=(info.st_mtime_ns, info.st_mtime_ns))
    volume = store / "volumes" / f"{SERIES_UID}.nii.gz"
    before = volume.read_bytes()
    ingest([dicom], store)
    assert volume.read_bytes() == before
    ingest([dicom], store, resume=False)
    assert volume.read_bytes() != before


class Plain:
    """De-identifies nothing."""

    def check(self, entry):
        pass

    def row(self, row):
        return row

    def decoded(self, decoded):
        return decoded

    def problem(self, problem):
        return problem

    def digest(self, input_sha256):
        return input_sha256

    def finish(self, store, entries):
        pass


def test_a_de_identified_store_holds_no_index(dicom, tmp_path):
    store = tmp_path / "store"
    ingest([dicom], store, deidentify=Plain())
    assert not (store / INDEX).exists()
    with pytest.raises(UsageError, match="must not lie in"):
        ingest([dicom], store, deidentify=Plain(), index=store / "volumes" / "x.sqlite")
    ingest([dicom], store, deidentify=Plain(), index=tmp_path / "x.sqlite")
    assert (tmp_path / "x.sqlite").exists()


@given(
    position=st.tuples(*[st.floats(-9e4, 9e4)] * 3),
    number=st.none() | st.integers(-(2**31), 2**31),
    text=st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=12),
    kind=st.lists(st.sampled_from(["ORIGINAL", "PRIMARY", "AXIAL"]), max_size=3),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_header_comes_back_as_it_was(tmp_path, position, number, text, kind):
    from dataclasses import replace

    path = tmp_path / "one.dcm"
    if not path.exists():
        write_series(tmp_path, Slices([0.0]), "one.dcm")
        age(tmp_path)
    (file,), _ = gather([path])
    (header,) = reading.read_images(file).images
    changed = replace(
        header,
        position_mm=position,
        instance_number=number,
        patient_id=text,
        image_type=tuple(kind),
        attributes=(("Manufacturer", text),),
        rescale=None if number is None else header.rescale,
    )
    with HeaderIndex(tmp_path.parent / f"{tmp_path.name}.sqlite") as index:
        index.note([reading.Reading(file, (changed,))])
        (known,) = index.find([file])
    assert known.images == (changed,)


def test_a_slow_disk_is_read_by_several_threads(tmp_path, monkeypatch):
    import threading
    import time

    write_series(tmp_path)
    names = set()
    real = reading.read_images

    def wait(file):
        names.add(threading.current_thread().name)
        time.sleep(0.005)
        return real(file)

    monkeypatch.setattr(reading, "BATCH", 6)
    monkeypatch.setattr(reading, "read_images", wait)
    assert catalogue([tmp_path]).series[0].row.n_files == 24
    assert len(names) > 1


def test_compressed_series_are_kept_too(tmp_path):
    for path in write_series(tmp_path / "dicom"):
        edit(path, lambda ds: ds.compress(JPEGLSLossless, generate_instance_uid=False))
    age(tmp_path / "dicom")
    ingest([tmp_path / "dicom"], tmp_path / "store")
    assert ingest([tmp_path / "dicom"], tmp_path / "store").n_kept == 1
