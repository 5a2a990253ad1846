"""Discs and export folders with a DICOMDIR."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pydicom
import pytest
from pydicom.fileset import FileSet

from medvision.dicom.catalogue import catalogue
from medvision.dicom.media import MAX_BYTES, is_dicomdir
from medvision.errors import NothingToDoError
from tests.dicom.builders import SERIES_UID, Slices, edit, write_series


@pytest.fixture(autouse=True, scope="module")
def scratch_of_file_sets(tmp_path_factory):
    """pydicom leaves its temporary folders to the garbage collector, which warns of them."""
    scratch = SimpleNamespace(name=str(tmp_path_factory.mktemp("file sets")), cleanup=lambda: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pydicom.fileset.TemporaryDirectory", lambda: scratch)
        yield


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """24 slices, and a File-set of them as pydicom writes it."""
    folder = tmp_path_factory.mktemp("written")
    disc = FileSet()
    for path in write_series(folder / "plain"):
        edit(path, lambda ds: ds.update({"StudyID": "1", "SeriesNumber": "1", "StudyTime": "120000"}))
        disc.add(pydicom.dcmread(path))
    disc.write(folder / "disc")
    return folder


@pytest.fixture
def medium(written, tmp_path) -> Path:
    """A copy of the File-set with a viewer on it."""
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    (tmp_path / "disc" / "VIEWER.EXE").write_bytes(b"MZ" * 100)
    return tmp_path / "disc"


def listed_files(medium: Path) -> list[Path]:
    return [Path(instance.path) for instance in FileSet(medium / "DICOMDIR")]


def problems(found) -> set[tuple[str, str, str]]:
    return {(problem.path.rsplit("/", 1)[-1], problem.reason, problem.detail) for problem in found.problems}


def same_volume(found, medium: Path) -> bool:
    (entry,) = found.series
    plain = catalogue([medium.parent / "plain"]).series[0].load()
    return entry.load().volume.array.tobytes() == plain.volume.array.tobytes()


@pytest.mark.parametrize("source", [".", "DICOMDIR"])
def test_a_medium_is_as_good_as_a_folder(medium, source):
    found = catalogue([medium / source])
    assert same_volume(found, medium)
    expected = {("VIEWER.EXE", "not_dicom")} if source == "." else set()
    assert {(path, reason) for path, reason, _ in problems(found)} == expected


def test_what_is_listed_and_missing_is_named(medium):
    gone = listed_files(medium)[5]
    gone.unlink()
    for source in (medium, medium / "DICOMDIR"):
        (problem,) = [each for each in catalogue([source]).problems if each.reason == "not_found"]
        assert problem.path == str(gone)
        assert problem.detail == f"is listed in {medium / 'DICOMDIR'} but not there"


def test_what_is_not_listed_is_read_with_the_folder_only(medium):
    write_series(medium / "EXTRA", Slices(series_uid="1.2.3"))
    assert {entry.name for entry in catalogue([medium]).series} == {SERIES_UID, "1.2.3"}
    assert {entry.name for entry in catalogue([medium / "DICOMDIR"]).series} == {SERIES_UID}
    both = catalogue([medium / "DICOMDIR", medium])
    assert sorted(entry.row.n_files for entry in both.series) == [24, 24]


def test_names_in_lower_case_as_some_drivers_show_them(medium):
    for path in sorted(medium.rglob("*"), key=lambda each: -len(each.parts)):
        path.rename(path.with_name(path.name.lower() + (";1" if path.is_file() else "")))
    for source in (medium, medium / "dicomdir;1"):
        found = catalogue([source])
        assert same_volume(found, medium)
        assert "not_found" not in {reason for _, reason, _ in problems(found)}


def test_a_medium_in_an_archive(medium):
    listed_files(medium)[5].unlink()
    with zipfile.ZipFile(medium.parent / "disc.zip", "w") as archive:
        for path in medium.rglob("*"):
            archive.write(path, f"study/{path.relative_to(medium)}")
    found = catalogue([medium.parent / "disc.zip"])
    assert found.series[0].row.n_files == 23
    assert [reason for _, reason, _ in problems(found)].count("not_found") == 1


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
@pytest.mark.parametrize("file_id", [["..", "..", "SECRET"], ["A/../../SECRET"], [".."], ["C:\\SECRET"]])
def test_a_reference_cannot_leave_the_folder(medium, file_id):
    write_series(medium.parent, Slices([0.0], series_uid="1.2.3"), "SECRET")

    def redirect(ds):
        images = [r for r in ds.DirectoryRecordSequence if "ReferencedFileID" in r]
        images[0].ReferencedFileID = file_id

    edit(medium / "DICOMDIR", redirect)
    found = catalogue([medium / "DICOMDIR"])
    assert {entry.name for entry in found.series} == {SERIES_UID}
    ((path, reason, detail),) = problems(found)
    assert (path, reason) == ("DICOMDIR", "bad_header")
    assert detail.startswith("refers to a file outside of its folder: ")


@pytest.mark.parametrize("damage", ["text", "half", "cut", "empty", "huge"])
def test_a_damaged_list_is_named_and_its_folder_read(medium, damage):
    path = medium / "DICOMDIR"
    data = path.read_bytes()
    damaged = {
        "text": b"see the folder IMAGES",
        "half": data[: len(data) // 2],
        "cut": data[:200],
        "empty": b"",
    }
    path.write_bytes(damaged.get(damage, data))
    if damage == "huge":
        with path.open("r+b") as file:
            file.truncate(MAX_BYTES + 1)
    found = catalogue([medium])
    assert same_volume(found, medium)
    assert "DICOMDIR" in {name for name, _, _ in problems(found)}


def test_a_list_of_nothing_that_is_there_is_nothing_to_do(medium):
    shutil.copy(medium / "DICOMDIR", medium.parent / "alone")
    (medium.parent / "alone").rename(medium.parent / "DICOMDIR")
    with pytest.raises(NothingToDoError, match="24 not_found"):
        catalogue([medium.parent / "DICOMDIR"])


def test_only_the_reserved_name_counts():
    assert all(map(is_dicomdir, ["DICOMDIR", "/media/cd/dicomdir", "a.zip/DICOMDIR;1", "DICOMDIR."]))
    assert not any(map(is_dicomdir, ["DICOMDIR/IMG1", "DICOMDIR.txt", "MYDICOMDIR", "disc", ""]))
