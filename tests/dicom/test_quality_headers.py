"""What the headers show, in words: what is no CT volume, and what a CT volume lacks."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.uid import (
    ComprehensiveSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    XRayRadiationDoseSRStorage,
)

from medvision.dicom.catalogue import catalogue
from medvision.dicom.quality.kernels import sharpness_of
from medvision.errors import DicomError
from tests.dicom.builders import Slices, body_hu, edit, save, write_series


def only(folder, **options):
    (entry,) = catalogue([folder], **options).series
    return entry


def check(entry, name):
    (found,) = [check for check in entry.checks if check.name == name]
    return found


def change_all(folder, **values):
    for path in sorted(folder.iterdir()):
        edit(path, lambda ds: [setattr(ds, keyword, value) for keyword, value in values.items()])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"Modality": "MR"}, "MR is not CT (magnetic resonance)"),
        ({"Modality": "PT"}, "PT is not CT (PET)"),
        (
            {"SOPClassUID": SecondaryCaptureImageStorage},
            "is no CT image but a secondary capture (a screen picture, such as a dose page)",
        ),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "is a localiser (scout view)"),
        (
            {"ImageType": ["DERIVED", "SECONDARY", "MPR"]},
            "was made from another series (MPR, MIP or the like)",
        ),
        ({"ImageType": ["DERIVED", "PRIMARY", "PROJECTION IMAGE", "MIP"]}, "was made from another series"),
        ({"ImageType": ["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"]}, "was made from another series"),
        ({"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 MPR"]}, "was made from another series"),
        ({"RescaleType": "MGML"}, "holds values in MGML (Rescale Type), not HU"),
    ],
)
def test_pictures_that_are_no_original_ct_are_rejected_in_words(tmp_path, values, words):
    write_series(tmp_path)
    change_all(tmp_path, **values)
    entry = only(tmp_path)
    assert entry.status == "rejected"
    assert words in entry.row.reasons


@pytest.mark.parametrize(
    ("modality", "sop_class", "words"),
    [
        ("SR", ComprehensiveSRStorage, "SR is not CT (a structured report)"),
        ("SR", XRayRadiationDoseSRStorage, "SR is not CT (a dose report)"),
        ("PR", GrayscaleSoftcopyPresentationStateStorage, "PR is not CT (a presentation state)"),
        ("SEG", SegmentationStorage, "SEG is not CT (a segmentation)"),
    ],
)
def test_documents_beside_a_ct_are_rejected_in_words(tmp_path, modality, sop_class, words):
    write_series(tmp_path / "ct")
    ds = Slices(series_uid="1.2.3").dataset(0)
    ds.Modality, ds.SOPClassUID = modality, sop_class
    if modality != "SEG":
        del ds.PixelData
    save(ds, tmp_path / "document.dcm")
    reasons = {entry.row.modality: entry.row.reasons for entry in catalogue([tmp_path]).series}
    assert reasons[modality] == words


def test_an_iterative_reconstruction_called_3d_is_no_projection(tmp_path):
    write_series(tmp_path)
    change_all(tmp_path, ImageType=["DERIVED", "PRIMARY", "AXIAL", "AIDR 3D"])
    assert only(tmp_path).status == "warned"  # short, as all of these


def test_an_absent_modality_is_said_never_guessed_in_silence(tmp_path):
    write_series(tmp_path)
    for path in tmp_path.iterdir():
        edit(path, lambda ds: delattr(ds, "Modality"))
    assert "Modality is absent: taken as CT because the SOP Class says so" in only(tmp_path).row.reasons
    for path in tmp_path.iterdir():
        edit(path, lambda ds: delattr(ds, "SOPClassUID"))
    assert only(tmp_path).status in ("warned", "rejected")  # the file meta information still names the class


def test_inverted_display_is_judged_by_the_values(tmp_path):
    for name, scene in (("kept", body_hu), ("inverted", lambda p: -1000 - body_hu(p))):
        write_series(tmp_path / name, Slices(scene=scene, intercept=-2000))
        change_all(tmp_path / name, PhotometricInterpretation="MONOCHROME1")
    kept = only(tmp_path / "kept")
    assert "is marked for inverted display" in kept.row.reasons
    assert kept.load().volume.array.max() == 40
    with pytest.raises(DicomError, match="is rejected: hardly any voxel is"):
        only(tmp_path / "inverted").load()


def test_values_beyond_int16_are_cut_and_counted(tmp_path):
    def scene(points_mm):
        return np.where(points_mm[..., 2] > 0, 40_000, body_hu(points_mm))

    write_series(tmp_path, Slices(scene=scene, rows=64, columns=64))
    scan = only(tmp_path).load()
    (cut,) = [c for c in scan.checks if c.name == "range of values"]
    assert cut.verdict == "warn"
    assert cut.value == f"{13 * 64 * 64} voxels cut"
    assert scan.volume.array.max() == 32767


def test_padding_does_not_count_in_statistics(tmp_path):
    """A ring of padding round the picture: without it half of the voxels are air, half are soft tissue."""
    slices = Slices(scene=body_hu, rows=80, columns=80, spacing_mm=(1, 1), origin_mm=(-40, -40, -20))
    for path in write_series(tmp_path, slices):

        def ring(ds):
            stored = np.frombuffer(ds.PixelData, "<u2").reshape(80, 80).copy()
            place = np.arange(80) - 39.5
            stored[place[:, None] ** 2 + place**2 > 40**2] = 9000
            ds.PixelData = stored.tobytes()
            ds.add_new("PixelPaddingValue", "US", 9000)

        edit(path, ring)
    scan = only(tmp_path).load()
    values = {c.name: c.value for c in scan.checks}
    assert values["HU"] == "air 50%, soft tissue 50%"
    assert 20 < float(values["padding"].split("%")[0]) < 23  # 1 − π/4
    assert scan.volume.array.max() == 40


@pytest.mark.parametrize(("thickness", "verdict"), [("1", "warn"), ("2", "ok"), ("3", "ok"), ("1.9", "ok")])
def test_gaps_between_slices(tmp_path, thickness, verdict):
    write_series(tmp_path)
    change_all(tmp_path, SliceThickness=thickness)
    assert check(only(tmp_path), "gap between slices").verdict == verdict


def test_slices_a_little_off_their_place_are_told_in_the_spacing(tmp_path):
    write_series(tmp_path, Slices([2.0 * k + (0.1 if k == 7 else 0) for k in range(24)]))
    spacing = check(only(tmp_path), "slice spacing")
    assert (spacing.verdict, spacing.value) == ("ok", "2 mm, slices at most 0.1 mm off")


def test_the_rescale_of_each_slice_is_told(tmp_path):
    paths = write_series(tmp_path)
    save(Slices(intercept=-8192.0, slope=2.0).dataset(3), paths[3])
    assert (
        check(only(tmp_path), "rescale").value == "× 1 − 1024, others in other slices: each slice has its own"
    )


@pytest.mark.parametrize(
    ("kernel", "manufacturer", "sharpness"),
    [
        ("B30f", "SIEMENS", "soft"),
        ("B45f", "SIEMENS", "medium"),
        ("Br40d\\3", "Siemens Healthineers", "medium"),
        ("I50f\\3", "SIEMENS", "sharp"),
        ("Bl57d\\2", "Siemens Healthineers", "sharp"),
        ("B70f", "SIEMENS", "sharp"),
        ("B80f", "SIEMENS", "edge-enhancing"),
        ("T20f", "SIEMENS", "unknown"),
        ("STANDARD", "GE MEDICAL SYSTEMS", "soft"),
        ("LUNG", "GE MEDICAL SYSTEMS", "sharp"),
        ("EDGE", "GE MEDICAL SYSTEMS", "edge-enhancing"),
        ("B", "Philips", "soft"),
        ("L", "Philips", "sharp"),
        ("FC13", "TOSHIBA", "soft"),
        ("FC51", "Canon Medical Systems", "sharp"),
        ("FC99", "TOSHIBA", "unknown"),
        ("LUNG", "", "unknown"),
        ("", "SIEMENS", "unknown"),
    ],
)
def test_kernels_by_their_makers_names(kernel, manufacturer, sharpness):
    assert sharpness_of(kernel, manufacturer) == sharpness


def test_an_edge_enhancing_kernel_is_warned_about(tmp_path):
    write_series(tmp_path)
    change_all(tmp_path, Manufacturer="GE MEDICAL SYSTEMS", ConvolutionKernel="EDGE")
    found = check(only(tmp_path), "kernel")
    assert (found.verdict, found.value) == ("warn", "EDGE (edge-enhancing)")
