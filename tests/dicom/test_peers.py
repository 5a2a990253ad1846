"""Simulated patients, clean and with every kind of dirt, beside SimpleITK, dcm2niix and highdicom.

Where a peer is known to differ, the test says how, and compares what can be compared. All peers keep values
below −1024 HU; the simulator writes none.
"""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest

from medvision.dicom.catalogue import catalogue
from medvision.dicom.decode import Decoded
from medvision.simulation.dirt import KINDS, write_dirty
from medvision.simulation.headers import make_visit
from medvision.simulation.phantom import Phantom, sample_patient
from tests.dicom.peers import by_dcm2niix, by_highdicom, by_simpleitk, slices_by_simpleitk

SEED = 3
HU_PER_MM = np.array([1.3, 0.4, -0.9])
"""Along z, y, x: steep between slices, flat between rows, which the tilted scanner rounds to the nearest."""


def scene(points_mm: np.ndarray) -> np.ndarray:
    """A plane in HU: whatever is interpolated in it has a known value."""
    return -150 + points_mm[..., ::-1] @ HU_PER_MM


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return sample_patient(SEED, 0, "small")


@pytest.fixture(scope="module")
def truth(phantom) -> np.ndarray:
    """HU of the whole stack, before any dirt."""
    grid = phantom.grid
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
    return np.asarray(np.rint(scene(index @ grid.affine[:3, :3].T + grid.affine[:3, 3]))).astype(np.int16)


@pytest.fixture(scope="module")
def folders(phantom, truth, tmp_path_factory) -> dict[str, Path]:
    """A series without dirt and one of each kind."""
    made = {}
    for kind in (None, *KINDS):
        folder = tmp_path_factory.mktemp(kind or "clean") / "dicom"
        write_dirty(folder, phantom, make_visit(phantom), truth, kind)
        made[kind or "clean"] = folder
    return made


def ours(folder: Path) -> Decoded:
    return next(entry for entry in catalogue([folder]).series if entry.status != "rejected").read()[0]


def test_a_clean_series_equals_all_peers(folders, phantom, truth, tmp_path):
    decoded = ours(folders["clean"])
    np.testing.assert_array_equal(decoded.hu, truth)
    np.testing.assert_allclose(decoded.affine, phantom.grid.affine, atol=1e-4)
    for peer in (by_simpleitk, by_highdicom, lambda folder: by_dcm2niix(folder, tmp_path / "out")):
        array, affine = peer(folders["clean"])
        if affine[2, 0] < 0:  # highdicom counts slices from the head
            array, affine = array[::-1], affine @ _reversed(len(array))
        np.testing.assert_array_equal(decoded.hu, array)
        np.testing.assert_allclose(decoded.affine, affine, atol=1e-4)


def _reversed(count: int) -> np.ndarray:
    matrix = np.diag([-1.0, 1, 1, 1])
    matrix[0, 3] = count - 1
    return matrix


@pytest.mark.parametrize("kind", ["missing_slice", "truncated_file"])
def test_a_slice_that_is_not_there_is_interpolated_like_the_truth(folders, truth, tmp_path, kind):
    """SimpleITK and dcm2niix stack the rest as if nothing were missing (dcm2niix writes an equalised volume
    beside it); of a series with a file that is cut off, dcm2niix writes nothing."""
    decoded = ours(folders[kind])
    assert decoded.hu.shape == truth.shape
    (lost,) = np.flatnonzero((decoded.hu != truth).any(axis=(1, 2)))
    assert np.abs(decoded.hu.astype(int) - truth).max() <= 1
    there = slices_by_simpleitk(folders[kind])
    kept = [number for number in range(len(truth)) if number != lost]
    for number in kept:
        z = round(float(decoded.affine[2, 3] + number * decoded.affine[2, 0]), 3)
        np.testing.assert_array_equal(decoded.hu[number], there[z][0])
    if kind == "truncated_file":
        return
    array, _ = by_dcm2niix(folders[kind], tmp_path / "out", "2.nii")
    np.testing.assert_array_equal(decoded.hu[kept], array)


def test_a_duplicated_slice_is_counted_once(folders, truth):
    """SimpleITK and dcm2niix put it into the volume twice."""
    decoded = ours(folders["duplicated_slice"])
    np.testing.assert_array_equal(decoded.hu, truth)
    there = slices_by_simpleitk(folders["duplicated_slice"])
    assert sorted(map(len, there.values()))[-2:] == [1, 2]
    for number, z in enumerate(sorted(there)):
        np.testing.assert_array_equal(decoded.hu[number], there[z][0])


def test_two_acquisitions_are_two_volumes(folders, truth):
    """SimpleITK and dcm2niix mix them into one stack."""
    first, second = (entry.read()[0] for entry in catalogue([folders["mixed_series"]]).series)
    np.testing.assert_array_equal(first.hu, truth)
    np.testing.assert_array_equal(second.hu, truth[::2])
    np.testing.assert_allclose(second.affine[:3, 0], 2 * first.affine[:3, 0], atol=1e-4)
    assert len(by_simpleitk(folders["mixed_series"])[0]) == len(first.hu) + len(second.hu)


def test_a_tilted_gantry_equals_dcm2niix_and_the_truth(folders, phantom, tmp_path):
    """SimpleITK does not shear: its volume leans.

    dcm2niix moves the slices as we do, rounds otherwise, and drops the last row of each; of slices that lean
    backwards it says the wrong place (forwards, as the real scan in `tests/real`, the right one). So the
    place is compared with the truth: a volume at the wrong place is far from it everywhere.
    """
    decoded = ours(folders["tilted"])
    array, _ = by_dcm2niix(folders["tilted"], tmp_path / "out", "*Tilt*.nii")
    assert array.shape == decoded.hu.shape
    differs = np.abs(decoded.hu - np.maximum(array, -1024).astype(int)) > 3
    assert (differs.any(axis=2).sum(axis=1) <= 4).all()  # the edges of the moved slices and of the body

    index = np.stack(np.meshgrid(*map(np.arange, decoded.hu.shape), indexing="ij"), -1)
    points = index @ decoded.affine[:3, :3].T + decoded.affine[:3, 3]
    first, spacing = phantom.grid.affine[:3, 3], phantom.acquisition.spacing_mm
    last = first[2] + spacing * (phantom.acquisition.slices - 1)
    inside = (points[..., 2] > first[2] + 1) & (points[..., 2] < last - 1) & (points[..., 1] > first[1] + 2)
    inside &= decoded.hu > -900
    assert inside.mean() > 0.6
    error = np.abs(decoded.hu - scene(points))[inside]
    assert error.max() < 2.0


def test_a_highdicom_volume_makes_the_round_trip(folders):
    """What a Scan carries can be cut, padded, turned and put back, and says the same places."""
    scan = next(iter(catalogue([folders["clean"]]).series)).load()
    volume = scan.volume
    assert isinstance(volume, hd.Volume)
    assert volume.coordinate_system == hd.CoordinateSystemNames.PATIENT
    turned = volume.to_patient_orientation("RAH").pad([[0, 0], [3, 1], [0, 2]])
    back = turned.match_geometry(volume)
    np.testing.assert_array_equal(back.array, volume.array)
    np.testing.assert_allclose(back.affine, volume.affine, atol=1e-9)
    positions = volume.get_plane_positions()
    assert len(positions) == len(scan.slices)
    first = positions[0][0].ImagePositionPatient
    np.testing.assert_allclose(first, volume.affine[:3, 3], atol=1e-4)
