from __future__ import annotations

import csv
import logging
import math
import tarfile
from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.datasets.cohort import open_cohort
from medvision.datasets.lidc import READERS_TO_COUNT, consensus, find_readings, locate
from medvision.datasets.lidc_xml import Outline, ReaderMark, Reading, read_lidc_xml
from medvision.errors import DataError

SPACING_MM = 0.5
RATINGS = {"texture": 5, "calcification": 6, "malignancy": 4}


def to_lps(outline, pixels):
    return np.column_stack([pixels * SPACING_MM, np.full(len(pixels), outline.z_mm)])


def square(left, top, size, z_mm, *, inside=True):
    """An outline around size × size pixels: it runs through the pixels next to them."""
    right, bottom = left + size + 1, top + size + 1
    points = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    return Outline("1.2", z_mm, inside, points)


def mark(reader, left=10, top=10, size=6, slices=(0, 1, 2), **ratings):
    outlines = tuple(square(left, top, size, float(z)) for z in slices)
    return ReaderMark(reader, outlines, RATINGS | ratings, is_nodule=True)


def point(reader, x, y, z_mm, *, is_nodule):
    return ReaderMark(
        reader, (Outline("1.2", z_mm, inside=True, points_px=np.array([(x, y)])),), {}, is_nodule
    )


def agree(*marks):
    return consensus(Reading("1.2.3", marks, 4), to_lps, 1.0)


def test_outline_counts_the_pixels_strictly_inside():
    place = locate(mark(0), to_lps, 1.0)
    volume = 3 * 36 * SPACING_MM**2
    assert place.diameter_mm == pytest.approx((6 * volume / math.pi) ** (1 / 3))
    assert place.center_lps_mm == pytest.approx((13.5 * SPACING_MM, 13.5 * SPACING_MM, 1.0))


def test_a_hole_is_taken_out():
    outlines = (square(10, 10, 6, 0.0), square(12, 12, 2, 0.0, inside=False))
    place = locate(ReaderMark(0, outlines, RATINGS, is_nodule=True), to_lps, 1.0)
    assert place.diameter_mm == pytest.approx((6 * (36 - 4) * SPACING_MM**2 / math.pi) ** (1 / 3))


corners = st.tuples(st.integers(0, 30), st.integers(0, 30))


@given(st.tuples(corners, corners, corners))
def test_pixels_inside_a_triangle_are_those_on_the_inner_side_of_every_edge(triangle):
    points = np.array(triangle)
    outline = Outline("1.2", 0.0, inside=True, points_px=points)
    place = locate(ReaderMark(0, (outline,), {}, is_nodule=True), to_lps, 1.0)
    pixels = place.diameter_mm**3 * math.pi / 6 / SPACING_MM**2
    assert pixels == pytest.approx(_strictly_inside(points), abs=1e-6)
    assert np.array(place.center_lps_mm[:2]) == pytest.approx(points.mean(axis=0) * SPACING_MM)


def _strictly_inside(triangle):
    pixels = np.stack(np.meshgrid(np.arange(31), np.arange(31)), axis=-1)
    edges = np.roll(triangle, -1, axis=0) - triangle
    offset = pixels[:, :, None] - triangle
    sides = edges[:, 0] * offset[..., 1] - edges[:, 1] * offset[..., 0]
    return int(((sides > 0).all(axis=-1) | (sides < 0).all(axis=-1)).sum())


def test_three_readers_make_a_nodule_and_two_an_excluded_finding():
    nodules, excluded = agree(mark(0), mark(1, left=11), mark(2, top=11))
    assert len(nodules) == 1
    assert not excluded
    nodules, excluded = agree(mark(0), mark(1, left=11))
    assert not nodules
    assert len(excluded) == 1


def test_one_reader_thrice_is_one_reader():
    assert not agree(mark(0), mark(0), mark(0))[0]


def test_marks_apart_are_two_nodules():
    near = [mark(reader) for reader in range(3)]
    far = [mark(reader, left=60) for reader in range(3)]
    nodules, _ = agree(*near, *far)
    assert sorted(round(nodule.center_lps_mm[0], 2) for nodule in nodules) == [6.75, 31.75]


def test_points_are_excluded_findings_without_a_diameter():
    nodules, excluded = agree(
        point(0, 4, 6, -20.0, is_nodule=True), point(1, 8, 2, -30.0, is_nodule=False), *map(mark, range(3))
    )
    assert len(nodules) == 1
    assert {(item.center_lps_mm, item.diameter_mm) for item in excluded} == {
        ((2.0, 3.0, -20.0), -1.0),
        ((4.0, 1.0, -30.0), -1.0),
    }


@pytest.mark.parametrize(
    ("ratings", "density", "malignant"),
    [
        ({}, "solid", True),
        ({"texture": 1, "malignancy": 3}, "ground_glass", None),
        ({"texture": 3, "malignancy": 1}, "part_solid", False),
        ({"calcification": 3, "malignancy": 2}, "calcified", False),
    ],
)
def test_ratings_become_density_and_malignancy(ratings, density, malignant):
    (nodule,), _ = agree(*[mark(reader, **ratings) for reader in range(READERS_TO_COUNT)])
    assert (nodule.density, nodule.malignant) == (density, malignant)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<a",
        '<LidcReadMessage xmlns="http://www.nih.gov"><ResponseHeader><SeriesInstanceUid>1.2</SeriesInstanceUid>'
        "</ResponseHeader><readingSession><unblindedReadNodule><roi/></unblindedReadNodule></readingSession>"
        "</LidcReadMessage>",
    ],
)
def test_a_damaged_file_is_named_and_left_out(tmp_path, text, caplog):
    path = tmp_path / "1.xml"
    path.write_text(text)
    with pytest.raises(DataError, match=r"1\.xml is no LIDC-IDRI reading"):
        read_lidc_xml(path)
    with caplog.at_level(logging.WARNING, "medvision"):
        assert find_readings(tmp_path) == {}
    assert "1.xml is no LIDC-IDRI reading" in caplog.text


def test_any_other_xml_is_no_reading(tmp_path):
    (tmp_path / "1.xml").write_text("<svg/>")
    assert read_lidc_xml(tmp_path / "1.xml") is None


@pytest.mark.real
def test_a_downloaded_patient_has_the_nodule_of_luna16(lidc_0001):
    (series,) = open_cohort(lidc_0001)
    assert series.patient_id == "LIDC-IDRI-0001"
    (nodule,) = series.annotations
    assert math.dist(nodule.center_lps_mm, (56.208, 86.343, -115.868)) < 0.5
    assert nodule.diameter_mm == pytest.approx(23.35, abs=0.5)
    assert (nodule.density, nodule.malignant) == ("solid", True)
    assert series.excluded
    low, high = (series.load().volume.affine @ (*index, 1) for index in ((0, 0, 0), (132, 511, 511)))
    for item in (*series.annotations, *series.excluded):
        assert all(low[axis] < item.center_lps_mm[axis] < high[axis] for axis in range(3))


@pytest.mark.real
def test_as_many_nodules_in_each_series_as_luna16_has(real_data, tmp_path):
    """The first files only, because unpacking takes long; a typical spacing stands for the DICOM's."""
    luna16 = real_data / "luna16"
    scans = set((luna16 / "seriesuids.csv").read_text().split())
    with (luna16 / "annotations.csv").open() as stream:
        expected = Counter(row["seriesuid"] for row in csv.DictReader(stream))
    with tarfile.open(real_data / "lidc" / "lidc-xml.tar.xz", "r|xz") as archive:
        for member in islice(archive, 60):
            archive.extract(member, tmp_path, filter="data")
    readings = [reading for uid, reading in find_readings(tmp_path).items() if uid in scans]
    counts = {reading.series_instance_uid: len(consensus(reading, typical, 2.0)[0]) for reading in readings}
    assert len(counts) > 30
    assert counts == {uid: expected[uid] for uid in counts}


def typical(outline, pixels):
    return np.column_stack([0.7 * pixels, np.full(len(pixels), outline.z_mm)])
