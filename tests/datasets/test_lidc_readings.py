from __future__ import annotations

import logging
import tarfile
import zipfile

import pytest

from medvision.datasets.lidc_readings import read_readings
from medvision.datasets.lidc_xml import Reading
from medvision.errors import DataError
from tests.datasets.lidc_marks import mark, point, reading, to_xml


@pytest.fixture
def folder(tmp_path):
    """Two readings, one of them twice, a radiograph, another XML, a bomb, a broken file, and no XML."""
    texts = {
        "a/1.xml": to_xml(reading(mark(0))),
        "a/2.XML": to_xml(reading(mark(0))),
        "b/3.xml": to_xml(Reading("1.2.4", (point(0, 1, 1, 1.0),), 4)),
        "b/x-ray.xml": to_xml(reading(mark(0)), root="IdriReadMessage"),
        "b/style.xml": "<svg/>",
        "bomb.xml": "<!DOCTYPE a [<!ENTITY b 'c'>]><LidcReadMessage/>",
        "broken.xml": "<LidcReadMessage",
        "notes.txt": "no XML",
    }
    for name, text in texts.items():
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "source"


def check(found):
    assert sorted(found.by_series) == ["1.2.3", "1.2.4"]
    assert (found.n_files, found.n_doubled, found.n_radiographs, found.n_others) == (7, 1, 1, 1)
    assert sorted(item.path.name for item in found.left_out) == ["bomb.xml", "broken.xml"]


def test_a_folder(folder, caplog):
    with caplog.at_level(logging.WARNING, "medvision"):
        check(read_readings(folder))
    assert "2 of 7 files are left out" in caplog.text
    assert "bomb.xml: no LIDC-IDRI reading: it declares the document type 'a'" in caplog.text
    assert caplog.text.count("broken.xml") == 1


@pytest.mark.parametrize("name", ["LIDC-XML-only.zip", "lidc-xml.tar.xz", "anything.tar.gz"])
def test_an_archive(folder, tmp_path, name):
    check(read_readings(pack(folder, tmp_path / name)))


def pack(folder, path):
    files = [item for item in folder.rglob("*") if item.is_file()]
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for item in files:
                archive.write(item, item.relative_to(folder))
    else:
        with tarfile.open(path, f"w:{path.suffix[1:]}") as archive:
            for item in files:
                archive.add(item, item.relative_to(folder))
    return path


def test_a_folder_with_the_archive_in_it(folder, tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    pack(folder, store / "LIDC-XML-only.zip")
    (store / "scans.zip").write_bytes(b"is not opened")
    check(read_readings(store))


def test_a_single_file(folder):
    assert list(read_readings(folder / "a/1.xml").by_series) == ["1.2.3"]


def test_a_damaged_archive_is_named(tmp_path):
    (tmp_path / "xml.zip").write_bytes(b"PK\3\4 no more")
    found = read_readings(tmp_path)
    assert not found.by_series
    assert [item.path.name for item in found.left_out] == ["xml.zip"]


def test_of_two_readings_the_one_with_most_marks_counts(tmp_path, caplog):
    (tmp_path / "1.xml").write_text(to_xml(reading(mark(0))))
    (tmp_path / "2.xml").write_text(to_xml(reading(mark(0), mark(1))))
    (tmp_path / "3.xml").write_text(to_xml(reading(mark(0))))
    with caplog.at_level(logging.WARNING, "medvision"):
        found = read_readings(tmp_path)
    assert len(found.by_series["1.2.3"].marks) == 2
    assert found.n_doubled == 2
    assert "series 1.2.3 is read twice, with 1 and with 2 marks" in caplog.text


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="does not exist: it should hold LIDC-IDRI's XML files"):
        read_readings(tmp_path / "nowhere")
