from __future__ import annotations

import importlib
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.datasets import lidc
from medvision.datasets.lidc_clusters import by_contours, by_radii
from medvision.datasets.lidc_frames import GridFrame, PixelFrame
from medvision.datasets.lidc_nodules import nodules
from medvision.datasets.lidc_places import locate
from medvision.datasets.lidc_xml import RATINGS, ReaderMark
from medvision.errors import DataError
from tests.datasets.lidc_marks import FRAME, mark, outline, point, reading, square


def agree(*marks, readers=3, frame=FRAME, rule=by_radii):
    return nodules(reading(*marks), frame, readers, rule)


def test_every_public_name_is_there_and_loads_late():
    assert set(lidc.__all__) == set(lidc._HOME) == set(dir(lidc))
    for name in lidc.__all__:
        assert getattr(lidc, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        lidc.nothing  # noqa: B018  looked up on purpose
    code = "import sys, medvision.datasets.lidc; print([m for m in ('numpy', 'torch') if m in sys.modules])"
    heavy = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert heavy.strip() == "[]"


def test_every_part_is_typed_for_import():
    for home in set(lidc._HOME.values()):
        assert importlib.import_module(home).__doc__


@pytest.mark.parametrize("readers", [1, 2, 3, 4])
def test_as_many_readers_as_asked_for(readers):
    marks = [mark(reader) for reader in range(3)]
    assert len(agree(*marks, readers=readers)) == (readers <= 3)


@pytest.mark.parametrize("readers", [0, 5, -1])
def test_readers_out_of_bounds(readers):
    with pytest.raises(DataError, match=f"min_readers {readers} must be 1 to 4"):
        agree(mark(), readers=readers)


def test_no_marks_no_nodules():
    assert agree() == agree(rule=by_contours) == agree(point(0, 4, 4, 1.0)) == []


def test_one_reader_thrice_is_one_reader():
    assert agree(mark(0), mark(0), mark(0)) == []


def test_marks_apart_are_two_nodules():
    near, far = [mark(r) for r in range(3)], [mark(r, left=60) for r in range(3)]
    for rule in (by_radii, by_contours):
        found = agree(*near, *far, rule=rule)
        assert sorted(item.center_lps_mm[0] for item in found) == pytest.approx([6.75, 31.75])


def test_chains_are_one_nodule():
    """The first and the last are too far from each other, and both near the one between."""
    marks = [mark(0, left=10), mark(1, left=16), mark(2, left=22)]
    assert [item.n_readers for item in agree(*marks)] == [3]
    assert agree(marks[0], marks[2], readers=2) == []


def test_means_of_readers_and_not_of_marks():
    """A reader who outlined two pieces has one vote: their volumes add up."""
    pieces = [mark(0, left=10, size=4), mark(0, left=14, size=4)]
    (found,) = agree(*pieces, mark(1, left=10, size=8), mark(2, left=10, size=8))
    volumes = [2 * 3 * 16 * 0.25, 3 * 64 * 0.25, 3 * 64 * 0.25]
    assert found.n_readers == 3
    assert len(found.places) == 4
    assert found.volume_mm3 == pytest.approx(np.mean(volumes))
    assert found.diameter_mm == pytest.approx(np.mean([(6 * v / math.pi) ** (1 / 3) for v in volumes]))
    xs = [(12.5 + 16.5) / 2, 14.5, 14.5]
    assert found.center_lps_mm[0] == pytest.approx(np.mean(xs) * 0.5)


def test_luna16_halves_from_the_last_mark_to_the_first():
    marks = [mark(reader, left=10 + reader, size=6 + reader) for reader in range(4)]
    (found,) = agree(*marks)
    places = [locate(item, FRAME) for item in marks]
    weights = np.array([1 / 2, 1 / 4, 1 / 8, 1 / 8])
    annotation = found.luna16_annotation
    assert annotation.diameter_mm == pytest.approx(weights @ [place.diameter_mm for place in places])
    np.testing.assert_allclose(annotation.center_lps_mm, weights @ [place.center_lps_mm for place in places])
    (single,) = agree(marks[0], readers=1)
    assert single.luna16_annotation == single.annotation


ratings = st.lists(st.integers(1, 5), min_size=3, max_size=4)


@settings(deadline=None, max_examples=20)
@given(ratings)
def test_ratings_are_medians(values):
    (found,) = agree(*[mark(reader, malignancy=value) for reader, value in enumerate(values)])
    assert set(found.ratings) == set(RATINGS)
    assert found.ratings["malignancy"] == np.median(values)
    expected = True if np.median(values) >= 4 else False if np.median(values) <= 2 else None
    assert found.malignant is found.annotation.malignant is expected


def test_who_did_not_rate_has_no_vote():
    unrated = ReaderMark(2, mark(2).outlines, {}, is_nodule=True)
    (found,) = agree(mark(0, margin=1), mark(1, margin=2), unrated)
    assert found.ratings["margin"] == 1.5
    (nobody,) = agree(unrated, readers=1)
    assert (nobody.ratings, nobody.malignant, nobody.density) == ({}, None, None)


@pytest.mark.parametrize(
    ("change", "density"),
    [
        ({}, "solid"),
        ({"texture": 4}, "solid"),
        ({"texture": 3}, "part_solid"),
        ({"texture": 2}, "part_solid"),
        ({"texture": 1}, "ground_glass"),
        ({"calcification": 3, "texture": 1}, "calcified"),
    ],
)
def test_density_from_texture_and_calcification(change, density):
    (found,) = agree(*[mark(reader, **change) for reader in range(3)])
    assert found.density == found.annotation.density == density


def test_by_contours_follows_pylidc():
    """Outlines one slice apart are one nodule; a fifth mark makes the tolerance shrink until it is apart."""
    below, above = mark(0, slices=(0, 1)), mark(1, slices=(2, 3))
    assert [len(item) for item in by_contours(places(below, above), FRAME)] == [2]
    assert [len(item) for item in by_contours(places(below, mark(1, slices=(4,))), FRAME)] == [1, 1]
    four = [mark(reader) for reader in range(4)]
    beside = mark(0, left=19)  # its outline is 2 pixels, 1 mm, from theirs
    assert [len(item) for item in by_contours(places(*four[:3], beside), FRAME)] == [4]
    assert [len(item) for item in by_contours(places(*four, beside), FRAME)] == [4, 1]


def test_by_contours_gives_up_where_marks_touch():
    five = [mark(0)] * 5
    assert [len(item) for item in by_contours(places(*five), FRAME)] == [5]


def places(*marks):
    return [locate(item, FRAME) for item in marks]


boxes = st.tuples(st.integers(0, 3), st.integers(0, 40), st.integers(0, 40), st.integers(2, 8))


@settings(deadline=None, max_examples=15)
@given(st.lists(boxes, max_size=8))
def test_clusters_part_the_marks_whatever_their_order(drawn):
    marks = [mark(reader, left, top, size) for reader, left, top, size in drawn]
    for rule in (by_radii, by_contours):
        forth, back = (rule(places(*items), FRAME) for items in (marks, marks[::-1]))
        assert sorted(map(ids, forth)) == sorted(map(ids, back))
        assert sorted(i for cluster in forth for i in ids(cluster)) == sorted(map(id, marks))


def ids(cluster):
    return sorted(id(place.mark) for place in cluster)


def grid(n_slices=5):
    """0.5 mm pixels, slices 1 mm apart from z = 0, the first pixel at (−100, −50)."""
    affine = np.array([[0, 0, 0.5, -100], [0, 0.5, 0, -50], [1, 0, 0, 0], [0, 0, 0, 1]], float)
    return GridFrame(affine, [f"1.2.3.z{k}" for k in range(n_slices)])


def test_a_grid_puts_marks_where_the_patient_is():
    (found,) = agree(*[mark(reader) for reader in range(3)], frame=grid())
    assert found.center_lps_mm == pytest.approx((-100 + 6.75, -50 + 6.75, 1.0))
    (plain,) = agree(*[mark(reader) for reader in range(3)])
    assert found.diameter_mm == pytest.approx(plain.diameter_mm)


def test_marks_of_another_scan_are_left_out():
    strays = [mark(reader, left=60, slices=(90, 91)) for reader in range(3)]
    assert len(agree(*[mark(reader) for reader in range(3)], *strays, frame=grid())) == 1
    with pytest.raises(DataError, match=r"at z 90\.0 mm lies on no slice of the scan, whose z go from 0\.00"):
        grid().index(strays[0].outlines[0])


def test_a_slice_is_found_by_uid_or_else_by_z():
    frame = grid()
    assert frame.index(outline([(1, 1)], 3)) == 3
    unnamed = type(square(0, 0, 2))("9.9", 2.04, True, np.array([(1, 1)]))
    assert frame.index(unnamed) == 2
    assert not frame.covers(type(unnamed)("9.9", 2.4, True, np.array([(1, 1)])))


def test_an_interpolated_slice_with_its_neighbours_uid_is_told_apart_by_z():
    affine = np.diag([1.0, 0.5, 0.5, 1.0])[[2, 1, 0, 3]]
    frame = GridFrame(affine, ["1.2.3.z0", "1.2.3.z2", "1.2.3.z2", "1.2.3.z3"])
    assert frame.index(outline([(1, 1)], 2.0)) == 2


def test_pixel_frame_counts_from_the_first_pixel():
    frame = PixelFrame(0.7, 2.5)
    np.testing.assert_allclose(
        frame.to_lps(outline([(10, 20)], -8.5), np.array([[10.0, 20.0]])), [[7, 14, -8.5]]
    )
    assert frame.voxel_mm3 == pytest.approx(0.7**2 * 2.5)
