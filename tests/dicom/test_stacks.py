"""One series, several acquisitions: what is split, by what, and what stays together."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from pydicom.uid import UID

from medvision.dicom.catalogue import catalogue
from tests.dicom.builders import CORONAL, SERIES_UID, Slices, edit, write_series


def brighter(points_mm: np.ndarray) -> np.ndarray:
    return Slices().scene(points_mm) + 100


def write_two(folder, number_offset: int = 0, **second) -> None:
    """A series, and a second stack under the same Series Instance UID."""
    write_series(folder / "1")
    slices = Slices(**{"scene": brighter, **second})
    for k, path in enumerate(write_series(folder / "2", slices)):

        def change(ds, k=k):
            ds.SOPInstanceUID = UID(f"{SERIES_UID}.2.{k + 1}")
            ds.InstanceNumber = ds.InstanceNumber + number_offset

        edit(path, change)


def stacks(folder, **options) -> list[tuple[int, float, str]]:
    found = catalogue([folder], **options)
    return [
        (entry.row.n_slices, round(entry.row.spacing_z_mm or 0, 3), entry.row.status)
        for entry in found.series
    ]


TWO = [(24, 2.0, "warned"), (24, 2.0, "warned")]


@pytest.mark.parametrize(
    "second",
    [
        {"orientation": CORONAL},
        {"orientation": (0.9995, 0.0316, 0.0, -0.0316, 0.9995, 0.0)},
        {"rows": 20},
        {"columns": 20},
        {"spacing_mm": (0.8, 0.75)},
        {"extra": {"FrameOfReferenceUID": "1.2.3.4"}},
        {"extra": {"AcquisitionNumber": 2}},
        {"extra": {"TemporalPositionIdentifier": 2}},
        {"extra": {"TriggerTime": "400"}},
        {"extra": {"ContrastBolusAgent": "Ultravist"}},
        {"extra": {"KVP": "80"}},
        {"extra": {"ConvolutionKernel": "B70f"}},
        {"extra": {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "VENOUS"]}},
        {"extra": {"SliceThickness": "3"}},
        {"extra": {"AcquisitionTime": "101500"}},
    ],
    ids=lambda second: next(iter(second.get("extra", second))),
)
def test_what_tells_two_stacks_apart_splits_them(tmp_path, second):
    write_two(tmp_path, **second)
    assert stacks(tmp_path) == TWO
    names = [entry.name for entry in catalogue([tmp_path]).series]
    assert names == [SERIES_UID, f"{SERIES_UID}_2"]


def test_positions_that_repeat_split_by_the_run_of_instance_numbers(tmp_path):
    write_two(tmp_path, number_offset=24)
    found = catalogue([tmp_path])
    assert stacks(tmp_path) == TWO
    first, second = (entry.load().volume.array.astype(int) for entry in found.series)
    assert set(np.unique(second - first)) == {100}  # no slice went to the wrong stack
    assert not found.problems


def test_differing_slices_that_no_number_tells_apart_are_rejected(tmp_path):
    write_two(tmp_path)
    (entry,) = catalogue([tmp_path]).series
    assert entry.status == "rejected"
    assert entry.row.reasons.startswith("differing slices lie at the same place (-20.0, -18.0")


def test_interleaved_acquisitions_are_not_merged_into_one_fine_stack(tmp_path):
    write_two(tmp_path, positions_mm=[2.0 * k + 1 for k in range(24)], extra={"AcquisitionNumber": 2})
    assert stacks(tmp_path) == TWO


def test_acquisitions_that_follow_each_other_stay_one_stack(tmp_path):
    """Step-and-shoot scanners count every rotation."""
    for k, path in enumerate(write_series(tmp_path)):
        edit(path, lambda ds, k=k: setattr(ds, "AcquisitionNumber", k // 4 + 1))
    assert stacks(tmp_path) == TWO[:1]


def test_a_time_for_every_slice_does_not_split(tmp_path):
    paths = write_series(tmp_path)
    for k, path in enumerate(paths):
        edit(path, lambda ds, k=k: setattr(ds, "AcquisitionTime", f"1015{k:02d}"))
    shutil.copy(paths[5], tmp_path / "other.dcm")
    edit(tmp_path / "other.dcm", lambda ds: setattr(ds, "PixelData", bytes(len(ds.PixelData))))
    assert [(n, status) for n, _, status in stacks(tmp_path)] == [(25, "rejected")]


def test_ten_phases_become_ten_stacks(tmp_path):
    positions = [3.0 * k for k in range(20)]
    for phase in range(10):
        scene = lambda p, phase=phase: Slices().scene(p) + 10 * phase  # noqa: E731
        extra = {"TemporalPositionIdentifier": phase + 1, "AcquisitionNumber": 1}
        for path in write_series(tmp_path / str(phase), Slices(positions, scene=scene, extra=extra)):
            uid = f"{SERIES_UID}.{phase + 2}"
            edit(path, lambda ds, uid=uid: setattr(ds, "SOPInstanceUID", UID(f"{uid}.{ds.InstanceNumber}")))
    assert stacks(tmp_path) == [(20, 3.0, "warned")] * 10


def test_identical_slices_are_dropped_whatever_they_are_called(tmp_path):
    write_series(tmp_path / "1")
    for path in write_series(tmp_path / "2"):
        edit(path, lambda ds: setattr(ds, "SOPInstanceUID", UID(f"{ds.SOPInstanceUID}.7")))
    found = catalogue([tmp_path])
    (entry,) = found.series
    assert (entry.row.n_files, entry.row.n_slices) == (48, 24)
    assert "left out because they repeat a slice: 24" in entry.row.reasons
    assert {problem.reason for problem in found.problems} == {"duplicate"}
    assert len(found.problems) == 24


def test_rounding_of_the_orientation_does_not_split(tmp_path):
    paths = write_series(tmp_path, Slices(orientation=(0.9999995, 0.001, 0, -0.001, 0.9999995, 0)))
    for path in paths[::2]:
        edit(path, lambda ds: setattr(ds, "ImageOrientationPatient", [1, 0.001, 0, -0.001, 1, 0]))
    assert len(catalogue([tmp_path]).series) == 1
