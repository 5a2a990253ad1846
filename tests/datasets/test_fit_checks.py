from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.datasets.cohort import open_cohort
from medvision.datasets.fit_checks import check_fit, check_tissue, fit_grid, fit_tissue
from medvision.datasets.labelled import LabelledSeries, VolumeGrid
from medvision.errors import DataError
from medvision.findings import Annotation
from medvision.geometry import lps_to_voxel, voxel_to_lps
from medvision.volumes import LungMask
from tests.strategies import affines

TABLE = Path("annotations.csv")
SHAPE = (100, 256, 256)
AFFINE = np.array([[0, 0, 1.4, -170.0], [0, 1.4, 0, -160.0], [2.5, 0, 0, -340.0], [0, 0, 0, 1]])
OFF_CENTRE = AFFINE + np.array([[0, 0, 0, 60.0], [0, 0, 0, -120.0], [0, 0, 0, 0], [0, 0, 0, 0]])
"""A volume that does not lie around the origin, as most do not in y."""
MIRROR = np.array([-1, -1, 1])
RANDOM = np.random.default_rng(0)


def points(number=12, affine=AFFINE):
    """Marks well inside the volume, spread as nodules are."""
    return voxel_to_lps(affine, np.random.default_rng(0).uniform(0.2, 0.8, (number, 3)) * SHAPE)


def series(marks, affine=AFFINE, uid="1.2", diameter=8.0):
    annotations = tuple(Annotation(uid, tuple(map(float, mark)), diameter) for mark in marks)
    return LabelledSeries(uid, uid, annotations, lambda: None, grid_reader=partial(VolumeGrid, SHAPE, affine))


def test_marks_inside_are_no_news(caplog):
    check_fit([series(points()), series([], uid="1.3")], TABLE)
    assert not caplog.text


def test_ras_is_refused_with_what_to_do():
    marks = points(affine=OFF_CENTRE) * MIRROR
    with pytest.raises(DataError, match=r"marks lie outside .*they look like RAS .*negate coordX and coordY"):
        check_fit([series(marks, OFF_CENTRE)], TABLE)


@pytest.mark.parametrize("order", [1, -1])
def test_voxel_indices_are_refused_with_what_to_do(order):
    index = np.rint(RANDOM.uniform(0.2, 0.8, (12, 3)) * SHAPE)[:, ::order]
    with pytest.raises(DataError, match=r"they look like voxel indices.*apply the scan's affine"):
        check_fit([series(index)], TABLE)


def test_a_few_marks_outside_are_warned_about_and_stay(caplog):
    item = series([*points(), (500.0, 0.0, -200.0)])
    check_fit([item], TABLE)
    assert (
        "annotations.csv: 1 of 13 marks lie outside their scans, such as the mark at (500, 0, -200)"
        in caplog.text
    )
    assert len(item.annotations) == 13


def test_two_mirrored_marks_prove_nothing(caplog):
    check_fit([series([(150.0, 200.0, -200.0)] * 2, OFF_CENTRE)], TABLE)
    assert "2 of 2 marks lie outside" in caplog.text


def test_sizes_in_another_unit_are_warned_about(caplog):
    check_fit([series(points(3), diameter=0.8), series(points(1), uid="1.3", diameter=-1.0)], TABLE)
    assert "3 of 4 diameters are below 1 or above 100 mm, such as 0.8 at (" in caplog.text


def test_a_grid_that_only_decoding_would_tell_is_passed_over():
    check_fit([LabelledSeries("1", "1", (Annotation("1", (9e9, 0, 0), 5),), lambda: None)], TABLE)


@settings(deadline=None)
@given(affines(), st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=1, max_size=6))
def test_what_lies_in_the_volume_is_inside_in_any_orientation(affine, places):
    marks = series(voxel_to_lps(affine, np.array(places) * (np.array(SHAPE) - 1))).annotations
    assert fit_grid(marks, VolumeGrid(SHAPE, affine)).given.all()
    far = series(voxel_to_lps(affine, np.array(places) * 0 - 40)).annotations
    assert not fit_grid(far, VolumeGrid(SHAPE, affine)).given.any()


def chest():
    """Two lungs of parenchyma around the origin, and nodules in them: voxels, affine, mask, centres."""
    affine = np.diag([4.0, 4.0, 4.0, 1.0])[[2, 1, 0, 3]]
    affine[:3, 3] = (-128, -128, -128)
    z, y, x = np.indices((64, 64, 64)) - 32
    lungs = (((np.abs(x) - 15) / 11) ** 2 + (y / 16) ** 2 + (z / 26) ** 2) < 1
    hu = np.where(lungs, -860, 40).astype(np.int16)
    inside = np.argwhere(lungs)
    centers = inside[RANDOM.choice(len(inside), 12, replace=False)]
    for place in centers:
        hu[tuple(slice(i - 1, i + 2) for i in place)] = 30
    labels = np.where(lungs, np.where(x < 0, 1, 2), 0).astype(np.uint8)
    return hu, affine, LungMask(labels, affine, found=True), voxel_to_lps(affine, centers)


def test_mirrored_marks_are_found_in_a_chest_that_is_symmetric():
    hu, affine, lungs, centers = chest()
    right = series(centers).annotations
    check_tissue([fit_tissue(right, hu, affine, lungs)], TABLE)
    mirrored = series(centers * MIRROR).annotations
    assert fit_grid(mirrored, VolumeGrid(hu.shape, affine)).given.all()
    with pytest.raises(DataError, match=r"outside the lungs or in air.*they look like RAS"):
        check_tissue([fit_tissue(mirrored, hu, affine, lungs)], TABLE)


def test_a_mark_in_air_is_warned_about(caplog):
    hu, affine, lungs, centers = chest()
    stray = np.vstack([centers[1:], [[0.0, 0.0, 120.0]]])
    check_tissue([fit_tissue(series(stray).annotations, hu, affine, lungs)], TABLE)
    assert "1 of 12 marks lie outside the lungs or in air, such as the mark at (0, 0, 120)" in caplog.text


def test_a_scan_without_lungs_tells_nothing():
    hu, affine, lungs, centers = chest()
    fit = fit_tissue(series(centers).annotations, hu, affine, LungMask(lungs.labels, affine, found=False))
    assert fit.marks == ()
    check_tissue([fit], TABLE)


@pytest.mark.real
def test_the_real_nodule_against_headers_alone(lidc_0001, tmp_path):
    """LIDC-IDRI-0001's nodule as LUNA16 has it, and as an index."""
    uid = "1.3.6.1.4.1.14519.5.2.1.6279.6001.179049373636438705059720603192"
    center = (56.21, 86.34, -115.87)
    (tmp_path / "dicom").symlink_to(lidc_0001)
    (tmp_path / "annotations.csv").write_text(
        f"seriesuid,coordX,coordY,coordZ,diameter_mm\n{uid},{','.join(map(str, center))},23.35\n"
    )
    (item,) = (found for found in open_cohort(tmp_path) if found.series_instance_uid == uid)
    grid = item.grid()
    assert grid.shape == (133, 512, 512)
    assert fit_grid(item.annotations, grid).given.all()
    index = lps_to_voxel(grid.affine, center)[::-1]
    assert fit_grid(series([index]).annotations, grid).as_index.all()
    assert not fit_grid(series([index]).annotations, grid).given.any()
