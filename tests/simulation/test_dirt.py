"""Each kind of dirt does what it says and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.errors import InvalidDicomError

from medvision.errors import UsageError
from medvision.simulation.dirt import KINDS, check_dirt, dirt_of_patient, tilted, write_dirty
from medvision.simulation.headers import make_visit
from medvision.simulation.writing import axial_stack


def written(tiny, folder, dirt):
    phantom, hu = tiny
    write_dirty(folder, phantom, make_visit(phantom), hu, dirt)
    return sorted(folder.iterdir())


def heights(files) -> np.ndarray:
    return np.sort([float(pydicom.dcmread(path).ImagePositionPatient[2]) for path in files])


def test_clean_series_is_regular(tiny, tmp_path):
    files = written(tiny, tmp_path, None)
    assert len(files) == 24
    np.testing.assert_allclose(np.diff(heights(files)), 10.0)


def test_missing_slice_leaves_a_gap(tiny, tmp_path):
    files = written(tiny, tmp_path, "missing_slice")
    assert len(files) == 23
    assert sorted(np.diff(heights(files)))[-1] == pytest.approx(20.0)


def test_duplicated_slice_is_another_instance_at_the_same_place(tiny, tmp_path):
    files = written(tiny, tmp_path, "duplicated_slice")
    assert len(files) == 25
    assert np.diff(heights(files)).min() == 0
    assert len({pydicom.dcmread(path).SOPInstanceUID for path in files}) == 25


def test_truncated_file_cannot_be_decoded(tiny, tmp_path):
    broken = []
    for path in written(tiny, tmp_path, "truncated_file"):
        try:
            pydicom.dcmread(path).pixel_array  # noqa: B018
        except (ValueError, AttributeError, EOFError, InvalidDicomError):
            broken.append(path)
    assert len(broken) == 1


def test_mixed_series_holds_two_acquisitions(tiny, tmp_path):
    read = [pydicom.dcmread(path) for path in written(tiny, tmp_path, "mixed_series")]
    assert len(read) == 36
    assert len({dataset.SeriesInstanceUID for dataset in read}) == 1
    assert {int(dataset.AcquisitionNumber) for dataset in read} == {1, 2}
    assert len({dataset.SOPInstanceUID for dataset in read}) == 36


def test_tilted_stack_leans(tiny, tmp_path):
    read = [pydicom.dcmread(path) for path in written(tiny, tmp_path, "tilted")]
    orientation = np.array(read[0].ImageOrientationPatient, float)
    normal = np.cross(orientation[:3], orientation[3:])
    tilt = np.degrees(np.arccos(normal[2]))
    assert tilt == pytest.approx(float(read[0].GantryDetectorTilt), abs=1e-3)
    assert 8 <= tilt <= 20
    positions = np.array([dataset.ImagePositionPatient for dataset in read], float)
    assert np.ptp(positions[:, :2], axis=0).max() == 0, "the table moves along z only"


def test_tilted_pixels_show_the_same_patient(tiny):
    """A ball stays where it is in LPS mm when the gantry leans."""
    phantom, _ = tiny
    scan = replace(phantom.acquisition, matrix=64, slices=40, pixel_mm=4.0, spacing_mm=3.0)
    phantom = replace(phantom, acquisition=scan)
    x, y, z = scan.origin_mm
    grid = np.stack(np.meshgrid(np.arange(40), np.arange(64), np.arange(64), indexing="ij"), axis=-1)
    points = grid[..., ::-1] * [4.0, 4.0, 3.0] + [x, y, z]
    ball = np.array([x + 120, y + 170, z + 66])
    hu = np.where(np.linalg.norm(points - ball, axis=-1) < 14, 0, -1000).astype(np.int16)
    stack = tilted(phantom, axial_stack(phantom, make_visit(phantom), hu))
    orientation = np.array(stack.header.ImageOrientationPatient, float)
    k, row, column = np.argwhere(stack.hu > -500).T
    found = (
        stack.origins_mm[k] + column[:, None] * 4.0 * orientation[:3] + row[:, None] * 4.0 * orientation[3:]
    )
    np.testing.assert_allclose(found.mean(axis=0), ball, atol=1.5)


def test_kinds_are_dealt_out_in_turn():
    assert check_dirt(["all"]) == KINDS
    assert [dirt_of_patient(KINDS, index) for index in range(6)] == [*KINDS, KINDS[0]]
    assert dirt_of_patient((), 3) is None
    with pytest.raises(UsageError, match="choose from missing_slice"):
        check_dirt(["mud"])
