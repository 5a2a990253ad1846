from __future__ import annotations

import logging
import pickle
import shutil
import zipfile

import numpy as np
import pytest

from medvision.datasets.cohort import open_cohort
from medvision.datasets.lidc_cohort import open_lidc
from medvision.datasets.lidc_consensus import consensus_mask
from medvision.datasets.lidc_xml import Outline, ReaderMark, Reading
from medvision.dicom.store import ingest
from medvision.errors import DataError
from tests.datasets.lidc_marks import RATED, to_xml
from tests.dicom.builders import SERIES_UID, Slices, write_series

SLICES = Slices(rows=40, columns=44, spacing_mm=(0.8, 0.7), origin_mm=(-3.0, -5.0, -20.0))
"""Slice k has UID SERIES_UID.{k+1} and z −20 + 2 k."""
CENTER_MM = (-3.0 + 0.7 * 13.5, -5.0 + 0.8 * 17.5, -20 + 2 * 11)


def marked(reader, left=10, top=14, slices=(10, 11, 12), size=6, **ratings):
    right, bottom = left + size + 1, top + size + 1
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    outlines = tuple(Outline(f"{SERIES_UID}.{k + 1}", -20.0 + 2 * k, True, corners) for k in slices)
    return ReaderMark(reader, outlines, RATED | ratings, is_nodule=True)


def dot(reader, x, y, k, *, is_nodule):
    where = Outline(f"{SERIES_UID}.{k + 1}", -20.0 + 2 * k, True, np.array([(x, y)]))
    return ReaderMark(reader, (where,), {}, is_nodule)


MARKS = (
    *(marked(reader) for reader in range(4)),
    *(marked(reader, left=30, slices=(5, 6)) for reader in range(2)),
    dot(0, 3, 4, 2, is_nodule=True),
    dot(1, 5, 6, 3, is_nodule=False),
)


@pytest.fixture
def dicom(tmp_path):
    write_series(tmp_path / "dicom", SLICES)
    return tmp_path / "dicom"


@pytest.fixture
def xml(tmp_path):
    return write_xml(tmp_path / "xml" / "158.xml", MARKS)


def write_xml(path, marks, uid=SERIES_UID):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_xml(Reading(uid, tuple(marks), 4)))
    return path


def check(series):
    assert (series.series_instance_uid, series.patient_id) == (SERIES_UID, "P1")
    assert [item.n_readers for item in series.nodules] == [4, 2]
    assert series.nodules[0].center_lps_mm == pytest.approx(CENTER_MM)
    assert series.nodules[0].volume_mm3 == pytest.approx(3 * 36 * 0.8 * 0.7 * 2)
    assert [item.center_lps_mm for item in series.points] == [
        pytest.approx((-3 + 0.7 * 3, -5 + 0.8 * 4, -16)),
        pytest.approx((-3 + 0.7 * 5, -5 + 0.8 * 6, -14)),
    ]
    assert {item.diameter_mm for item in series.points} == {-1.0}


def test_xml_elsewhere_and_beside_are_the_same(dicom, xml):
    (series,) = open_lidc(dicom, xml.parent)
    check(series)
    (same,) = open_lidc(dicom, xml)
    check(same)
    shutil.copy(xml, dicom)
    (beside,) = open_lidc(dicom)
    check(beside)


def test_a_store_with_xml_elsewhere_in_it_or_in_an_archive_in_it(dicom, xml, tmp_path):
    store = tmp_path / "store"
    ingest([dicom], store)
    (series,) = open_lidc(store, xml)
    check(series)
    with zipfile.ZipFile(store / "LIDC-XML-only.zip", "w") as archive:
        archive.write(xml, "tcia/157/158.xml")
    (inside,) = open_lidc(store)
    check(inside)
    (cohort,) = open_cohort(store)
    assert cohort.annotations == (inside.nodules[0].annotation,)
    assert len(cohort.excluded) == 3
    assert (cohort.manufacturer, cohort.image.parent) == ("ACME", store / "volumes")
    assert cohort.grid().shape == (24, 40, 44)


def test_labels_for_training(dicom, xml):
    shutil.copy(xml, dicom)
    (cohort,) = open_cohort(dicom)
    (annotation,) = cohort.annotations
    assert annotation.center_lps_mm == pytest.approx(CENTER_MM)
    assert (annotation.density, annotation.malignant) == ("solid", True)
    assert sorted(item.diameter_mm > 0 for item in cohort.excluded) == [False, False, True]
    (series,) = open_lidc(dicom)
    assert [len(series.labelled(readers).annotations) for readers in (1, 2, 3, 4)] == [2, 2, 1, 1]


def test_the_mask_lies_where_the_scan_is_marked(dicom, xml, tmp_path):
    store = tmp_path / "store"
    ingest([dicom], store)
    for scans in (dicom, store):
        (series,) = open_lidc(scans, xml)
        mask = consensus_mask(series.nodules[0], series.load(), 4)
        expected = np.zeros((24, 40, 44), dtype=bool)
        expected[10:13, 15:21, 11:17] = True
        np.testing.assert_array_equal(mask, expected)


def test_marks_of_another_scan_are_told_and_left_out(dicom, tmp_path, caplog):
    strays = [
        ReaderMark(0, (Outline("9.9", 777.0, True, np.array([(1, 1), (9, 9), (1, 9)])),), {}, is_nodule=True)
    ]
    path = write_xml(tmp_path / "1.xml", [*MARKS, *strays])
    with caplog.at_level(logging.WARNING, "medvision"):
        (series,) = open_lidc(dicom, path)
    check(series)
    assert "1 of 9 marks lie on no slice of the scan" in caplog.text


def test_a_scan_that_nobody_read_and_a_reading_without_scan(dicom, tmp_path):
    path = write_xml(tmp_path / "1.xml", MARKS, uid="1.2.999")
    with pytest.raises(DataError, match=r"none of the 1 series that .* has readings of is a usable scan"):
        open_lidc(dicom, path)
    with pytest.raises(DataError, match="holds no readings of LIDC-IDRI"):
        open_lidc(dicom)


def test_a_scan_without_any_mark_is_a_scan_without_nodules(dicom, tmp_path):
    path = write_xml(tmp_path / "1.xml", ())
    (series,) = open_lidc(dicom, path)
    assert (series.nodules, series.points) == ((), ())
    assert series.labelled().annotations == ()


def test_a_series_can_be_sent_to_a_worker(dicom, xml):
    (series,) = open_lidc(dicom, xml)
    copy = pickle.loads(pickle.dumps(series))  # noqa: S301  our own bytes
    check(copy)
    np.testing.assert_array_equal(copy.load().volume.array, series.load().volume.array)
