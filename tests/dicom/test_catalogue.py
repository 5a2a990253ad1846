"""What comes out of a department's folder: the right stacks, everything else by name and reason."""

from __future__ import annotations

import os
import pickle
import random
import shutil

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import UID, SecondaryCaptureImageStorage
from scipy.spatial.transform import Rotation

from medvision.dicom.catalogue import catalogue
from medvision.errors import DicomError, NothingToDoError
from medvision.geometry import spacing_mm, voxel_to_lps
from tests.dicom.builders import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    SERIES_UID,
    Slices,
    body_hu,
    edit,
    save,
    write_series,
)


def only(folder, **options):
    (entry,) = catalogue([folder], **options).series
    return entry


def reasons(found) -> dict[str, str]:
    return {problem.path.rsplit("/", 1)[-1]: problem.reason for problem in found.problems}


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, CORONAL, (0.96, 0.28, 0.0, 0.0, 0.0, -1.0)])
def test_a_clean_series_becomes_the_scan_that_was_written(tmp_path, orientation):
    slices = Slices(orientation=orientation)
    write_series(tmp_path, slices)
    entry = only(tmp_path)
    scan = entry.load()
    np.testing.assert_array_equal(scan.volume.array, slices.truth(slices.positions_mm))
    assert scan.volume.array.dtype == np.int16
    np.testing.assert_allclose(scan.volume.affine[:3, 3], slices.position(0), atol=1e-9)
    assert spacing_mm(scan.volume.affine) == pytest.approx((2.0, 0.8, 0.7))
    assert [s.sop_instance_uid for s in scan.slices] == [f"{SERIES_UID}.{k}" for k in range(1, 25)]
    assert [s.instance_number for s in scan.slices] == list(range(24, 0, -1))
    assert scan.name == scan.series_instance_uid == SERIES_UID
    assert scan.patient_id == "P1"
    assert scan.attributes["ConvolutionKernel"] == "B50f"
    assert "AccessionNumber" not in scan.attributes
    assert not {"Doe^Jane", "A1", "P1"} & set(scan.attributes.values())
    assert len(scan.input_sha256) == 64


OBLIQUE = tuple(Rotation.from_euler("zyx", [20, -15, 30], degrees=True).as_matrix()[:, :2].T.ravel())


@pytest.mark.parametrize("orientation", [SAGITTAL, CORONAL, OBLIQUE], ids=["sagittal", "coronal", "oblique"])
def test_any_plane_lies_where_simpleitk_puts_it(tmp_path, orientation):
    write_series(tmp_path, Slices(orientation=orientation))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    theirs = sitk.GetArrayFromImage(image)
    ours = only(tmp_path).load().volume
    corners = [[k, r, c] for k in (0, 23) for r in (0, 15) for c in (0, 11)]
    for k, r, c in corners:
        point = voxel_to_lps(ours.affine, [k, r, c])
        index = image.TransformPhysicalPointToContinuousIndex(point)
        np.testing.assert_allclose(index, np.rint(index), atol=1e-4)
        column, row, plane = np.rint(index).astype(int)
        assert theirs[plane, row, column] == ours.array[k, r, c]


def test_each_slice_has_its_own_rescale(tmp_path):
    slices = Slices()
    for number, path in enumerate(write_series(tmp_path)):
        if number % 2:
            other = Slices(intercept=-8192.0 + number, slope=2.0).dataset(number)
            other.SOPInstanceUID = slices.dataset(number).SOPInstanceUID
            save(other, path)
    difference = only(tmp_path).load().volume.array.astype(int) - slices.truth(slices.positions_mm)
    assert np.abs(difference).max() <= 1  # a slope of 2 HU cannot say more


def test_the_row_says_what_a_user_is_promised(tmp_path):
    write_series(tmp_path)
    row = only(tmp_path).row
    assert (row.n_files, row.n_slices, row.rows, row.columns) == (24, 24, 16, 12)
    assert (row.spacing_x_mm, row.spacing_y_mm, row.spacing_z_mm) == (0.7, 0.8, 2.0)
    assert (row.modality, row.status, row.volume, row.kernel) == ("CT", "warned", "", "B50f")
    assert row.reasons == (
        "the image matrix is small: details are coarse; the scan is short: the lungs may not be covered"
    )


@given(seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_names_order_and_folders_of_the_files_do_not_matter(tmp_path, seed):
    plain, mixed = tmp_path / "plain", tmp_path / "mixed"
    if not plain.exists():
        write_series(plain)
    shutil.rmtree(mixed, ignore_errors=True)
    rng = random.Random(seed)  # noqa: S311
    for path in sorted(plain.iterdir()):
        folder = mixed.joinpath(*(rng.choice("abc") for _ in range(rng.randrange(4))))
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{rng.random()}" + rng.choice(["", ".dcm", ".jpg", ".IMA", "."])
        shutil.copy(path, folder / name)
    expected, found = only(plain).load(), only(mixed).load()
    assert found.volume.array.tobytes() == expected.volume.array.tobytes()
    assert found.volume.affine.tobytes() == expected.volume.affine.tobytes()
    assert (found.slices, found.checks, found.input_sha256) == (
        expected.slices,
        expected.checks,
        expected.input_sha256,
    )


def test_an_entry_can_be_sent_to_a_worker(tmp_path):
    write_series(tmp_path)
    entry = only(tmp_path)
    assert pickle.loads(pickle.dumps(entry)).load().input_sha256 == entry.load().input_sha256  # noqa: S301


def test_missing_slices_are_interpolated_and_said(tmp_path):
    slices = Slices()
    for number in (7, 15):
        write_series(tmp_path, slices)[number].unlink()
        (tmp_path / "007.dcm").unlink(missing_ok=True)
    entry = only(tmp_path)
    assert "missing and were interpolated at -6.0, 10.0 mm" in entry.row.reasons
    scan = entry.load()
    difference = scan.volume.array.astype(int) - slices.truth(slices.positions_mm)
    assert np.abs(difference).max() <= 1  # the scene is linear: only rounding is left
    assert scan.slices[7].sop_instance_uid in {f"{SERIES_UID}.7", f"{SERIES_UID}.9"}
    assert scan.verdict == "warn"


def test_a_tilted_gantry_is_sheared_onto_the_truth(tmp_path):
    slices = Slices(rows=24, drift=(0.33, 0.0), spacing_mm=(0.8, 0.7))
    write_series(tmp_path, slices)
    entry = only(tmp_path)
    assert "the gantry was tilted" in entry.row.reasons
    volume = entry.load().volume
    index = np.stack(np.meshgrid(*map(np.arange, volume.spatial_shape), indexing="ij"), -1)
    points = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    truth = slices.scene(points)
    _, down, _ = slices.axes()
    row = ((points - np.array([slices.position(d) for d in slices.positions_mm])[:, None, None]) @ down) / 0.8
    inside = (row >= 0) & (row <= 23)
    assert inside.mean() > 0.4
    assert np.abs(volume.array - truth)[inside].max() <= 1
    assert (volume.array[(row < -1) | (row > 24)] == -1024).all()


def test_identical_duplicates_are_dropped_and_said(tmp_path):
    paths = write_series(tmp_path)
    shutil.copy(paths[3], tmp_path / "copy of 003.dcm")
    found = catalogue([tmp_path])
    assert reasons(found) in ({"copy of 003.dcm": "duplicate"}, {"003.dcm": "duplicate"})
    assert "left out because they repeat a slice: 1" in found.series[0].row.reasons
    assert found.series[0].row.n_files == 25
    assert found.series[0].load().volume.spatial_shape[0] == 24


def test_two_acquisitions_in_one_series_become_two_stacks(tmp_path):
    write_series(tmp_path / "1")
    bright = Slices(scene=lambda p: Slices().scene(p) + 100, extra={"AcquisitionNumber": 2})
    write_series(tmp_path / "2", bright)
    for path in (tmp_path / "2").iterdir():
        edit(path, lambda ds: setattr(ds, "SOPInstanceUID", UID(ds.SOPInstanceUID + ".2")))
    found = catalogue([tmp_path])
    assert [entry.name for entry in found.series] == [SERIES_UID, f"{SERIES_UID}_2"]
    first, second = (entry.load().volume.array.astype(int) for entry in found.series)
    assert np.abs(second - first).max() == 100
    assert not found.problems


def test_a_second_acquisition_with_equal_pixels_is_no_duplicate(tmp_path):
    write_series(tmp_path / "1")
    again = Slices([4.0 * k for k in range(12)], extra={"AcquisitionNumber": 2, "SliceThickness": "4"})
    write_series(tmp_path / "2", again)
    found = catalogue([tmp_path], min_slices=10)
    assert [(e.row.n_slices, e.row.spacing_z_mm) for e in found.series] == [(24, 2.0), (12, 4.0)]
    assert not found.problems


def test_interleaved_acquisitions_are_parted(tmp_path):
    write_series(tmp_path / "1")
    other = Slices([2.0 * k + 0.7 for k in range(24)], extra={"AcquisitionNumber": 2})
    write_series(tmp_path / "2", other)
    assert [entry.row.n_slices for entry in catalogue([tmp_path]).series] == [24, 24]


def test_differing_slices_at_one_place_that_nothing_tells_apart_are_rejected(tmp_path):
    paths = write_series(tmp_path)
    shutil.copy(paths[5], tmp_path / "other.dcm")
    edit(tmp_path / "other.dcm", lambda ds: setattr(ds, "PixelData", bytes(len(ds.PixelData))))
    entry = only(tmp_path)
    assert entry.status == "rejected"
    assert entry.row.reasons == "differing slices lie at the same place (-10.0 mm)"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Modality": "MR"}, "MR is not CT"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "is a localiser"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, "was made from another series"),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "CSA MIP"]}, "was made from another series"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "is a secondary picture"),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, "is no CT image but a secondary capture"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "rows that are not square to columns"),
        ({"SamplesPerPixel": 3}, "holds colour pictures"),
        ({"BitsAllocated": 64}, "cannot be decoded"),
    ],
)
def test_what_is_no_usable_ct_is_rejected_in_words(tmp_path, change, words):
    for path in write_series(tmp_path):
        edit(path, lambda ds: [setattr(ds, keyword, value) for keyword, value in change.items()])
        if change.get("BitsAllocated") == 64:
            edit(path, lambda ds: setattr(ds, "PixelData", bytes(4 * len(ds.PixelData))))
    found = catalogue([tmp_path])
    assert [entry.status for entry in found.series] == ["rejected"]
    assert words in found.series[0].row.reasons
    with pytest.raises(DicomError, match="is rejected"):
        found.series[0].load()


def test_too_few_slices_are_rejected_unless_asked_for(tmp_path):
    write_series(tmp_path, Slices([0.0, 2.0, 4.0]))
    assert only(tmp_path).row.reasons == "has too few slices: 3 (at least 20)"
    assert only(tmp_path, min_slices=3).load().volume.spatial_shape == (3, 16, 12)


def test_localisers_in_a_series_are_parted_from_it(tmp_path):
    write_series(tmp_path)
    scout = Slices([0.0], orientation=CORONAL, extra={"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]})
    write_series(tmp_path / "scout", scout)
    first, second = catalogue([tmp_path]).series
    assert (first.name, first.status, second.name, second.status) == (
        SERIES_UID,
        "warned",
        f"{SERIES_UID}_2",
        "rejected",
    )


def test_each_bad_file_is_named_and_the_series_judged_on_the_rest(tmp_path):
    paths = write_series(tmp_path)
    paths[3].write_bytes(paths[3].read_bytes()[:-100])
    paths[9].write_bytes(paths[9].read_bytes()[:300])
    edit(paths[12], lambda ds: ds.__delattr__("ImagePositionPatient"))
    (tmp_path / "empty.dcm").touch()
    (tmp_path / "letter.pdf").write_bytes(b"%PDF-1.4 " * 100)
    (tmp_path / "gone.dcm").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.dcm")
    found = catalogue([tmp_path, tmp_path / "not there"])
    assert reasons(found) == {
        "003.dcm": "truncated",
        "009.dcm": "truncated",
        "012.dcm": "bad_header",
        "empty.dcm": "empty_file",
        "letter.pdf": "not_dicom",
        "gone.dcm": "not_found",
        "not there": "not_found",
        "pipe.dcm": "not_a_file",
    }
    (entry,) = found.series
    assert "interpolated at -14.0, -2.0, 4.0 mm" in entry.row.reasons
    assert entry.load().volume.spatial_shape == (24, 16, 12)


def test_links_and_overlapping_sources_count_each_file_once(tmp_path):
    paths = write_series(tmp_path / "a")
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    found = catalogue([tmp_path, tmp_path / "a", tmp_path / "b", paths[0]])
    assert not found.problems
    assert found.series[0].row.n_files == 24


def test_values_without_rescale_must_look_like_hu(tmp_path):
    def strip(ds):
        del ds.RescaleSlope, ds.RescaleIntercept

    for path in write_series(tmp_path / "hu", Slices(intercept=0, signed=True, scene=body_hu)):
        edit(path, strip)
    for path in write_series(
        tmp_path / "no", Slices(series_uid="1.2.3", scene=lambda p: np.full(p.shape[:-1], 9.0))
    ):
        edit(path, strip)
    no, hu = catalogue([tmp_path]).series
    assert "has no usable Rescale Slope" in hu.row.reasons
    assert hu.load().verdict == "warn"
    with pytest.raises(DicomError, match=r"1\.2\.3 is rejected: hardly any voxel is"):
        no.load()


def test_a_hostile_series_uid_cannot_leave_the_folder(tmp_path):
    for path in write_series(tmp_path):
        data = path.read_bytes().replace(
            SERIES_UID.encode() + b"\0", b"../../../../../../../etc/passwd"[: len(SERIES_UID) + 1]
        )
        path.write_bytes(data)
    names = {entry.name for entry in catalogue([tmp_path]).series}
    assert len(names) == 1
    assert not any("/" in name or name.startswith(".") for name in names)


def test_nothing_to_do_says_what_was_found(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "b.txt").write_text("world")
    (tmp_path / "c").touch()
    with pytest.raises(NothingToDoError, match=r"found 3 files \(2 .txt, 1 without suffix\), 2 not_dicom"):
        catalogue([tmp_path])
    with pytest.raises(NothingToDoError, match="no DICOM image in"):
        catalogue([])


def test_documents_alone_are_nothing_to_do(tmp_path):
    ds = Slices().dataset(0)
    ds.Modality = "SR"
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(ds, keyword)
    save(ds, tmp_path / "sr.dcm")
    with pytest.raises(NothingToDoError, match="1 DICOM documents without an image"):
        catalogue([tmp_path])
