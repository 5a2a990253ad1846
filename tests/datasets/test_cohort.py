from __future__ import annotations

import json
import logging
import pickle
import shutil

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  its own documentation's name
from pydicom import dcmread

from medvision.datasets.cohort import open_cohort
from medvision.dicom.store import ingest
from medvision.errors import ContractError, DataError, NothingToDoError
from medvision.findings import Annotation

HEADER = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"
NODULE = (56.21, 86.34, -115.87, 23.35)


def write_volume(path, value=-900):
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(np.full((3, 4, 5), value, dtype=np.int16)), str(path))


@pytest.fixture
def luna16(tmp_path):
    for uid, subset in (("1.1", "subset0"), ("1.2", "subset0"), ("1.3", "subset1")):
        write_volume(tmp_path / subset / f"{uid}.mhd", -100 * int(uid[-1]))
    (tmp_path / "annotations.csv").write_text(HEADER + "1.2,1,2,3,6\n1.2,4,5,6,-1\n1.3,0,0,0,4\n")
    return tmp_path


def test_a_luna16_folder(luna16):
    cohort = open_cohort(luna16)
    assert [series.series_instance_uid for series in cohort] == ["1.1", "1.2", "1.3"]
    assert [series.patient_id for series in cohort] == ["1.1", "1.2", "1.3"]
    assert [len(series.annotations) for series in cohort] == [0, 2, 1]
    assert cohort[1].annotations[1] == Annotation("1.2", (4.0, 5.0, 6.0), -1.0)
    assert [int(series.load().volume.array[0, 0, 0]) for series in cohort] == [-100, -200, -300]


def test_excluded_findings_come_along(luna16):
    (luna16 / "annotations_excluded.csv").write_text(HEADER + "1.3,7,8,9,-1\n")
    assert [series.excluded for series in open_cohort(luna16)] == [
        (),
        (),
        (Annotation("1.3", (7.0, 8.0, 9.0), -1.0),),
    ]


def test_lung_masks_are_no_scans(luna16):
    write_volume(luna16 / "seg-lungs-LUNA16" / "1.1.mhd")
    assert len(open_cohort(luna16)) == 3


def test_the_same_series_twice(luna16):
    write_volume(luna16 / "subset1" / "1.1.mhd")
    with pytest.raises(DataError, match=r"series 1\.1 comes twice"):
        open_cohort(luna16)


def test_only_listed_series_count(luna16):
    (luna16 / "seriesuids.csv").write_text("1.3\n1.1\n")
    assert [series.series_instance_uid for series in open_cohort(luna16)] == ["1.1", "1.3"]


def test_a_labelled_series_can_be_sent_to_a_worker(luna16):
    series = open_cohort(luna16)[0]
    copy = pickle.loads(pickle.dumps(series))  # noqa: S301  our own bytes
    assert copy == series
    np.testing.assert_array_equal(copy.load().volume.array, series.load().volume.array)


def test_annotations_without_a_scan_are_told(luna16, caplog):
    (luna16 / "subset1" / "1.3.mhd").unlink()
    with caplog.at_level(logging.WARNING, "medvision"):
        assert len(open_cohort(luna16)) == 2
    assert "1 of 2 annotated series have no scan, such as 1.3" in caplog.text


def test_annotations_of_other_scans_only(luna16):
    (luna16 / "annotations.csv").write_text(HEADER + "7.7,1,2,3,6\n")
    with pytest.raises(DataError, match=r"none of its 1 series is among the 3 scans; the first is 7\.7"):
        open_cohort(luna16)


def truth(*nodules):
    patient = {"patient_id": "P", "series_instance_uid": "1.2", "nodules": list(nodules)}
    return json.dumps({"schema_version": "1.0.0", "patients": [patient]})


def nodule(center, **change):
    known = {"diameter_mm": 6.0, "volume_mm3": 113.1, "density": "part_solid", "malignant": True}
    return {"center_lps_mm": center, **known, **change}


def test_truth_fills_in_density_and_malignancy(luna16):
    (luna16 / "truth.json").write_text(
        truth(nodule([4.0, 5.0, 6.001]), nodule([9.0, 9.0, 9.0], density="solid"))
    )
    unknown, known = open_cohort(luna16)[1].annotations
    assert (unknown.density, unknown.malignant) == (None, None)
    assert (known.density, known.malignant) == ("part_solid", True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"cannot read .*truth\.json"),
        ("{}", r"truth\.json: top level: 'schema_version' is a required property"),
        (truth(nodule([1, 2])), r"truth\.json: patients\[0\]\.nodules\[0\]\.center_lps_mm"),
    ],
)
def test_a_broken_truth(luna16, text, message):
    (luna16 / "truth.json").write_text(text)
    with pytest.raises(DataError, match=message):
        open_cohort(luna16)


def test_no_folder_no_annotations_no_scans(tmp_path):
    with pytest.raises(DataError, match="is neither a folder nor a datalist"):
        open_cohort(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"neither annotations\.csv nor LIDC-IDRI"):
        open_cohort(tmp_path)
    (tmp_path / "annotations.csv").write_text(HEADER)
    with pytest.raises(NothingToDoError):
        open_cohort(tmp_path)
    (tmp_path / "annotations.csv").write_text(HEADER + "1.2,1,2,3\n")
    with pytest.raises(ContractError, match=r"annotations\.csv, line 2: 4 values under 5"):
        open_cohort(tmp_path)


def annotate(folder, uid):
    (folder / "annotations.csv").write_text(HEADER + ",".join(map(str, (uid, *NODULE))) + "\n")


@pytest.mark.real
def test_dicom_and_the_store_made_of_it_are_the_same_cohort(lidc_0001, tmp_path):
    small = tmp_path / "cohort" / "dicom"
    small.mkdir(parents=True)
    uid = _copy_slices(lidc_0001, small, 40)
    annotate(small.parent, uid)
    store = tmp_path / "store"
    ingest([small], store)
    annotate(store, uid)
    (direct,), (stored,) = open_cohort(small.parent), open_cohort(store)
    assert direct == stored
    assert direct.patient_id == "LIDC-IDRI-0001"
    assert direct.annotations == (Annotation(uid, NODULE[:3], NODULE[3]),)
    np.testing.assert_array_equal(direct.load().volume.array, stored.load().volume.array)
    np.testing.assert_allclose(direct.load().volume.affine, stored.load().volume.affine)


def _copy_slices(source, target, count):
    """Copy the lowest slices of a series and give its UID."""
    headers = {path: dcmread(path, stop_before_pixels=True) for path in source.rglob("*.dcm")}
    slices = {path: header for path, header in headers.items() if header.Modality == "CT"}
    for path in sorted(slices, key=lambda path: slices[path].ImagePositionPatient[2])[:count]:
        shutil.copy(path, target)
    return str(next(iter(slices.values())).SeriesInstanceUID)
