"""A few uneven steps are interpolated, with words; the truth is a scene that is linear in space."""

from __future__ import annotations

import numpy as np
import pytest

from medvision.dicom.catalogue import catalogue
from medvision.dicom.uneven import interpolate_slices
from tests.dicom.builders import Slices, write_series

SHIFTED = [*[2.0 * k for k in range(15)], *[29.3 + 2.0 * k for k in range(12)]]


def test_slices_beyond_an_uneven_step_come_to_lie_where_they_belong(tmp_path):
    slices = Slices(SHIFTED)
    write_series(tmp_path, slices)
    (entry,) = catalogue([tmp_path]).series
    assert entry.status == "warned"
    assert "interpolated: 1.30 mm between 8.0 and 9.3 mm, usually 2.00 mm" in entry.row.reasons
    scan = entry.load()
    truth = slices.truth([2.0 * k for k in range(scan.volume.spatial_shape[0])])
    assert scan.volume.spatial_shape[0] == 26
    assert np.abs(scan.volume.array.astype(int) - truth).max() <= 1  # only rounding is left
    assert len(scan.slices) == 26


def test_a_slice_between_two_others_is_used_and_said(tmp_path):
    write_series(tmp_path, Slices(sorted([*[2.0 * k for k in range(24)], 21.1])))
    (entry,) = catalogue([tmp_path]).series
    assert "1.10 mm between 0.0 and 1.1 mm; 0.90 mm between 1.1 and 2.0 mm" in entry.row.reasons
    assert entry.load().volume.spatial_shape[0] == 24


def test_a_slice_of_another_acquisition_is_parted_rather_than_interpolated(tmp_path):
    write_series(tmp_path / "1")
    write_series(tmp_path / "2", Slices([15.1, 21.1], extra={"AcquisitionNumber": 2}))
    found = catalogue([tmp_path]).series
    assert [(entry.row.n_slices, entry.status) for entry in found] == [(24, "warned"), (2, "rejected")]
    assert "unevenly" not in found[0].row.reasons


def test_many_uneven_steps_are_rejected_with_the_range(tmp_path):
    write_series(tmp_path, Slices(np.cumsum([2.0, 2.6] * 12).tolist()))
    (entry,) = catalogue([tmp_path]).series
    assert entry.status == "rejected"
    assert "unevenly spaced: 2.00 to 2.60 mm, from -18.0 to" in entry.row.reasons


@pytest.mark.parametrize("place", [0.0, 0.4, 1.0, 1.7, 2.0, 3.0])
def test_interpolation_along_the_slices_is_linear(place):
    hu = np.array([-1000, 0, 500, 1000], np.int16)[:, None, None] + np.zeros((1, 3, 2), np.int16)
    places = np.array([0.0, 1.0, 2.0, 3.0])
    out = interpolate_slices(hu, places - place, 1)
    assert out.shape == (1, 3, 2)
    assert out[0, 0, 0] == round(np.interp(place, places, hu[:, 0, 0]))
