"""A SEG's voxels lie exactly where the masks lie, whatever the source's geometry; mostly read by pydicom."""

from __future__ import annotations

from dataclasses import replace

import highdicom as hd
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medvision.geometry import voxel_to_lps
from medvision.reporting.dicom_results.segmentation import segmentation, segments_of
from tests.dicom.builders import CORONAL, SAGITTAL, Slices, body_hu, write_series
from tests.reporting.dicom_results.cases import Case, ball, case_of, empty, make_case, read
from tests.strategies import orientations

SQUARE = {"rows": 40, "columns": 44, "scene": body_hu}
GEOMETRIES = {
    "axial": Slices(**SQUARE),
    "sagittal": Slices(orientation=SAGITTAL, **SQUARE),
    "coronal": Slices(orientation=CORONAL, **SQUARE),
    "oblique": Slices(orientation=(0.8, 0.6, 0.0, -0.36, 0.48, 0.8), **SQUARE),
    "tilted": Slices(drift=(0.3, 0.0), **SQUARE),
    "one slice missing": Slices(positions_mm=[2.0 * k for k in range(24) if k != 7], **SQUARE),
    "uneven": Slices(positions_mm=[2.0 * k + (0.9 if k > 11 else 0) for k in range(24)], **SQUARE),
}
RESAMPLED = {"tilted", "uneven"}
GAPS = RESAMPLED | {"one slice missing"}


def written(case: Case, kind: str = "BINARY") -> pydicom.Dataset:
    return segmentation(case.report, case.source, segments_of(case.report, case.masks), kind)


def points_of(seg: pydicom.Dataset, number: int) -> np.ndarray:
    """LPS mm of a segment's voxels, from the attributes alone (PS3.3 C.7.6.2.1.1), sorted."""
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    shared = seg.SharedFunctionalGroupsSequence[0]
    right, down = np.reshape(shared.PlaneOrientationSequence[0].ImageOrientationPatient, (2, 3)).astype(float)
    down_mm, right_mm = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    points = []
    for frame, item in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        identified = item if "SegmentIdentificationSequence" in item else shared
        if seg.SegmentationType == "LABELMAP":
            inside = frame == number
        elif identified.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number:
            inside = frame > 0
        else:
            continue
        rows, columns = np.nonzero(inside)
        first = np.array(item.PlanePositionSequence[0].ImagePositionPatient, float)
        points.append(first + rows[:, None] * down_mm * down + columns[:, None] * right_mm * right)
    return in_order(np.concatenate(points))


def in_order(points: np.ndarray) -> np.ndarray:
    return points[np.lexsort(np.round(points, 2).T)]


def truth(case: Case, number: int) -> np.ndarray:
    mask = case.masks[number - 1]
    return in_order(voxel_to_lps(mask.affine, np.argwhere(mask.mask)))


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_voxels_lie_where_the_mask_lies(geometry, kind, tmp_path):
    case = make_case(tmp_path, GEOMETRIES[geometry])

    seg = written(case, kind)

    for number in (1, 2):
        np.testing.assert_allclose(points_of(seg, number), truth(case, number), atol=1e-3)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(orientation=orientations(), spacing=st.tuples(st.floats(0.4, 1.5), st.floats(0.4, 1.5)))
def test_voxels_lie_where_the_mask_lies_in_any_plane(orientation, spacing, tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    orientation = [round(float(cosine), 9) for cosine in orientation]
    slices = Slices(positions_mm=[2.0 * k for k in range(20)], orientation=orientation, spacing_mm=spacing,
                    **SQUARE)  # fmt: skip
    case = make_case(folder, slices, n_findings=1)

    np.testing.assert_allclose(points_of(written(case), 1), truth(case, 1), atol=2e-3)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_frame_refers_to_the_image_it_coincides_with_and_to_no_other(geometry, tmp_path):
    case = make_case(tmp_path, GEOMETRIES[geometry])
    positions = {
        ds.SOPInstanceUID: np.array(ds.ImagePositionPatient, float) for ds in map(pydicom.dcmread, case.files)
    }

    seg = written(case)

    referred, frames = 0, len(seg.PerFrameFunctionalGroupsSequence)
    for item in seg.PerFrameFunctionalGroupsSequence:
        place = np.array(item.PlanePositionSequence[0].ImagePositionPatient, float)
        nearest = min(np.linalg.norm(place - position) for position in positions.values())
        if not item.DerivationImageSequence:
            assert geometry in RESAMPLED or nearest > 0.5
            continue
        referred += 1
        (image,) = item.DerivationImageSequence[0].SourceImageSequence
        assert np.linalg.norm(place - positions[image.ReferencedSOPInstanceUID]) < 0.05
    assert referred == 0 if geometry in RESAMPLED else referred > 0
    assert (referred < frames) == (geometry in GAPS)
    (series,) = seg.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == case.scan.series_instance_uid
    uids = [image.ReferencedSOPInstanceUID for image in series.ReferencedInstanceSequence]
    assert uids
    assert set(uids) <= set(positions)
    assert len(set(uids)) == len(uids)


def test_highdicom_reads_the_same_mask(tmp_path):
    case = make_case(tmp_path / "dicom")
    written(case).save_as(tmp_path / "seg.dcm")

    seg = hd.seg.segread(tmp_path / "seg.dcm")

    volume = seg.get_volume(combine_segments=True).match_geometry(case.scan.volume)
    truth_volume = np.zeros(case.scan.volume.spatial_shape, int)
    for number, mask in enumerate(case.masks, 1):
        box = tuple(slice(a, a + n) for a, n in zip(mask.offset_vox, mask.mask.shape, strict=True))
        truth_volume[box][mask.mask] = number
    np.testing.assert_array_equal(volume.array, truth_volume)


def test_findings_that_overlap_keep_all_their_voxels(tmp_path):
    case = make_case(tmp_path)
    x, y, z = case.report.findings[0].center_lps_mm
    case = replace(case, masks=(case.masks[0], ball(case.scan, (x + 2, y, z), 3.0)))

    seg, labels = written(case), written(case, "LABELMAP")

    for number in (1, 2):
        np.testing.assert_allclose(points_of(seg, number), truth(case, number), atol=1e-3)
    assert seg.SegmentsOverlap == "YES"
    np.testing.assert_allclose(points_of(labels, 1), truth(case, 1), atol=1e-3)
    assert len(points_of(labels, 2)) < len(truth(case, 2))


def test_a_finding_without_a_border_has_no_segment(tmp_path):
    case = make_case(tmp_path, n_findings=3)
    case = replace(case, masks=(case.masks[0], empty(case.masks[1]), case.masks[2]))

    seg = written(case)

    labels = [item.SegmentLabel for item in seg.SegmentSequence]
    assert labels == ["F1 nodule", "F3 nodule"]
    uids = [item.TrackingUID for item in seg.SegmentSequence]
    assert uids == [case.report.findings[0].tracking_uid, case.report.findings[2].tracking_uid]
    (_, third) = seg.SegmentSequence
    assert third.SegmentAlgorithmType == "AUTOMATIC"
    assert third.SegmentAlgorithmName == "Modell fur >= 1"
    assert third.SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion == "3"


def test_frames_of_an_enhanced_image_are_named_by_number(tmp_path):
    """All slices of a multi-frame image have one SOP Instance UID: the frame says which is meant."""
    write_series(tmp_path, Slices(**SQUARE))
    scan, header, _ = read(tmp_path)
    header.SOPClassUID = pydicom.uid.EnhancedCTImageStorage
    slices = tuple(
        replace(each, sop_instance_uid="1.2.3", instance_number=k + 1) for k, each in enumerate(scan.slices)
    )
    case = case_of(replace(scan, slices=slices), header)

    seg = written(case)

    (reference,) = seg.SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == "1.2.3"
    assert "ReferencedFrameNumber" not in reference
    for item in seg.PerFrameFunctionalGroupsSequence:
        (image,) = item.DerivationImageSequence[0].SourceImageSequence
        assert image.ReferencedSOPClassUID == pydicom.uid.EnhancedCTImageStorage
        place = voxel_to_lps(scan.volume.affine, (image.ReferencedFrameNumber - 1, 0, 0))
        np.testing.assert_allclose(place, item.PlanePositionSequence[0].ImagePositionPatient, atol=1e-3)
