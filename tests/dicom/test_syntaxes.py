"""Every Transfer Syntax gives the same HU; Enhanced CT gives the same Volume as single frames."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    LegacyConvertedEnhancedCTImageStorage,
    RLELossless,
)

from medvision.dicom.catalogue import catalogue
from tests.dicom.builders import AXIAL, SERIES_UID, Slices, edit, save, write_series


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless], ids=lambda uid: uid.name)
def test_compressed_series_equal_native_ones(tmp_path, syntax, signed):
    slices = Slices(rows=40, columns=36, signed=signed, intercept=0 if signed else -1024)
    for path in write_series(tmp_path, slices):
        edit(path, lambda ds: ds.compress(syntax, generate_instance_uid=False))
    (entry,) = catalogue([tmp_path]).series
    np.testing.assert_array_equal(entry.load().volume.array, slices.truth(slices.positions_mm))


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
    ids=lambda uid: uid.name,
)
def test_uncompressed_syntaxes_are_equal(tmp_path, syntax):
    slices = Slices()
    for k in range(24):
        ds = slices.dataset(k)
        if syntax == ExplicitVRBigEndian:
            ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
            ds["PixelData"].VR = "OW"
        ds.file_meta.TransferSyntaxUID = syntax
        ds.set_original_encoding(syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian)
        save(ds, tmp_path / f"{k}")
    (entry,) = catalogue([tmp_path]).series
    np.testing.assert_array_equal(entry.load().volume.array, slices.truth(slices.positions_mm))


def test_a_slice_that_cannot_be_decoded_is_named_and_interpolated(tmp_path):
    paths = write_series(tmp_path)
    for path in paths:
        edit(path, lambda ds: ds.compress(JPEGLSLossless, generate_instance_uid=False))
    data = bytearray(paths[8].read_bytes())
    start = data.index(b"\xff\xd8\xff")
    data[start : start + 40] = bytes(40)
    paths[8].write_bytes(data)
    (entry,) = catalogue([tmp_path]).series
    decoded, problems = entry.read()
    assert [(p.path, p.reason) for p in problems] == [(str(paths[8]), "bad_pixels")]
    truth = Slices().truth(Slices().positions_mm)
    assert np.abs(decoded.hu.astype(int) - truth).max() <= 1
    messages = " ".join(check.message for check in decoded.checks)
    assert "interpolated at -4.0 mm" in messages
    assert "because they cannot be decoded: 1" in messages


def enhanced(slices: Slices, order) -> pydicom.FileDataset:
    """The same stack as one Enhanced CT file, frames in any order."""
    singles = [slices.dataset(k) for k in order]
    ds = singles[0]
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    shared = Dataset()
    measures, orientation, value = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = ds.PixelSpacing, "2"
    orientation.ImageOrientationPatient = ds.ImageOrientationPatient
    value.RescaleSlope, value.RescaleIntercept = ds.RescaleSlope, ds.RescaleIntercept
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([orientation])
    shared.PixelValueTransformationSequence = Sequence([value])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for single in singles:
        frame, position = Dataset(), Dataset()
        position.ImagePositionPatient = single.ImagePositionPatient
        frame.PlanePositionSequence = Sequence([position])
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    ds.NumberOfFrames = len(singles)
    ds.PixelData = b"".join(single.PixelData for single in singles)
    for keyword in (
        "PixelSpacing",
        "ImageOrientationPatient",
        "ImagePositionPatient",
        "RescaleSlope",
        "RescaleIntercept",
    ):
        delattr(ds, keyword)
    return ds


@pytest.mark.parametrize("compressed", [False, True])
def test_enhanced_ct_equals_single_frames(tmp_path, compressed):
    slices = Slices(orientation=AXIAL)
    order = np.random.default_rng(3).permutation(24)
    ds = enhanced(slices, order)
    if compressed:
        ds.compress(RLELossless, generate_instance_uid=False)
    save(ds, tmp_path / "enhanced.dcm")
    (entry,) = catalogue([tmp_path]).series
    assert (entry.row.n_files, entry.row.n_slices) == (1, 24)
    scan = entry.load()
    np.testing.assert_array_equal(scan.volume.array, slices.truth(slices.positions_mm))
    np.testing.assert_allclose(scan.volume.affine[:3, 3], slices.position(0))
    assert {s.sop_instance_uid for s in scan.slices} == {f"{SERIES_UID}.{order[0] + 1}"}


def test_a_legacy_converted_ct_is_read_and_judged_like_an_enhanced_one(tmp_path):
    slices = Slices()
    ds = enhanced(slices, range(24))
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = LegacyConvertedEnhancedCTImageStorage
    ds.ContrastBolusAgentSequence = Sequence([Dataset()])
    del ds.ConvolutionKernel, ds.Modality
    converted = Dataset()
    converted.ConvolutionKernel = "B70f"
    ds.SharedFunctionalGroupsSequence[0].UnassignedSharedConvertedAttributesSequence = Sequence([converted])
    save(ds, tmp_path / "legacy.dcm")
    (entry,) = catalogue([tmp_path]).series
    assert entry.row.kernel == "B70f"
    assert all(header.contrast_agent for header in entry.stack.headers)
    assert "Modality is absent: taken as CT" in entry.row.reasons
    np.testing.assert_array_equal(entry.load().volume.array, slices.truth(slices.positions_mm))


def test_an_enhanced_map_of_iodine_is_no_hu(tmp_path):
    ds = enhanced(Slices(), range(24))
    ds.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0].RescaleType = "MGML"
    save(ds, tmp_path / "iodine.dcm")
    (entry,) = catalogue([tmp_path]).series
    assert entry.row.reasons == "holds values in MGML (Rescale Type), not HU"


def test_phases_in_one_enhanced_file_become_stacks(tmp_path):
    ds = enhanced(Slices(), [*range(24), *range(24)])
    for number, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        content = Dataset()
        content.TemporalPositionIndex = 1 + number // 24
        frame.FrameContentSequence = Sequence([content])
    save(ds, tmp_path / "phases.dcm")
    found = catalogue([tmp_path])
    assert [entry.row.n_slices for entry in found.series] == [24, 24]
    assert not found.problems


def test_enhanced_ct_with_lying_groups_is_a_problem(tmp_path):
    ds = enhanced(Slices(), range(24))
    del ds.PerFrameFunctionalGroupsSequence[5:]
    save(ds, tmp_path / "bad" / "enhanced.dcm")
    write_series(tmp_path / "good", Slices(series_uid="1.2.3"))
    found = catalogue([tmp_path])
    assert [problem.reason for problem in found.problems] == ["bad_header"]
    assert len(found.series) == 1
