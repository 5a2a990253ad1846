"""What `simulate_cohort` writes, and that it is the same every time."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pydicom
import pytest

from medvision.errors import OutputError, UsageError
from medvision.simulation.cohort import simulate_cohort
from medvision.simulation.truth import annotation_rows

from .conftest import SEED


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def truth(folder: Path) -> dict:
    return json.loads((folder / "truth.json").read_text())


def test_same_bytes_for_any_number_of_workers_and_patients(cohort, tmp_path):
    simulate_cohort(tmp_path, patients=1, seed=SEED, size="small")
    alone = digests(tmp_path / "dicom")
    together = digests(cohort / "dicom")
    assert alone
    assert alone == {name: digest for name, digest in together.items() if name in alone}
    assert truth(tmp_path)["patients"] == truth(cohort)["patients"][:1]
    prefix = truth(tmp_path)["patients"][0]["patient_id"]
    assert {name for name in together if name.startswith(prefix)} == set(alone)


def test_tables_agree_with_the_truth_and_the_files(cohort):
    document = truth(cohort)
    nodules = [nodule for patient in document["patients"] for nodule in patient["nodules"]]
    with (cohort / "annotations.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["seriesuid", "coordX", "coordY", "coordZ", "diameter_mm"]
    expected = {
        (nodule["series_instance_uid"], *nodule["center_lps_mm"], nodule["diameter_mm"])
        for nodule in nodules
        if nodule["diameter_mm"] >= 3
    }
    assert {
        (
            row["seriesuid"],
            float(row["coordX"]),
            float(row["coordY"]),
            float(row["coordZ"]),
            float(row["diameter_mm"]),
        )
        for row in rows
    } == expected
    series = (cohort / "seriesuids.csv").read_text().split()
    assert series == [patient["series_instance_uid"] for patient in document["patients"]]
    for patient in document["patients"]:
        files = list((cohort / "dicom" / patient["patient_id"] / "axial").iterdir())
        assert len(files) == patient["acquisition"]["slices"]
        assert pydicom.dcmread(files[0]).SeriesInstanceUID == patient["series_instance_uid"]


def test_small_nodules_are_true_but_not_annotated():
    nodules = [
        {"diameter_mm": 2.9, "center_lps_mm": [0, 0, 0]},
        {"diameter_mm": 3.0, "center_lps_mm": [1, 2, 3]},
    ]
    rows = annotation_rows([{"series_instance_uid": "1.2", "nodules": nodules}])
    assert rows[1:] == [["1.2", "1", "2", "3", "3.0"]]


def test_truth_holds_what_is_promised(cohort):
    document = truth(cohort)
    assert "McWilliams" in document["malignancy_model"]
    assert any(patient["nodules"] for patient in document["patients"])
    for patient in document["patients"]:
        assert patient["lookalikes"]
        for nodule in patient["nodules"]:
            sphere = np.pi / 6 * nodule["diameter_mm"] ** 3
            assert nodule["volume_mm3"] == pytest.approx(sphere, rel=2e-3)
            assert nodule["density"] in ("solid", "part_solid", "ground_glass", "calcified")
            assert isinstance(nodule["malignant"], bool)
            assert 0 <= nodule["malignancy_probability"] < 1


def test_annotated_nodules_are_seen_in_the_pixels(cohort):
    """A nodule is denser than the lung where annotations.csv and the DICOM geometry say it is."""
    for patient in truth(cohort)["patients"]:
        folder = cohort / "dicom" / patient["patient_id"] / "axial"
        slices = sorted(map(pydicom.dcmread, folder.iterdir()), key=lambda item: item.ImagePositionPatient[2])
        heights = np.array([float(item.ImagePositionPatient[2]) for item in slices])
        for nodule in patient["nodules"]:
            if nodule["density"] == "ground_glass" or nodule["diameter_mm"] < 5:
                continue
            x, y, z = nodule["center_lps_mm"]
            nearest = slices[int(np.argmin(np.abs(heights - z)))]
            hu = nearest.pixel_array * float(nearest.RescaleSlope) + float(nearest.RescaleIntercept)
            row = round((y - float(nearest.ImagePositionPatient[1])) / float(nearest.PixelSpacing[0]))
            column = round((x - float(nearest.ImagePositionPatient[0])) / float(nearest.PixelSpacing[1]))
            assert hu[row - 1 : row + 2, column - 1 : column + 2].mean() > -400


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"patients": 0}, "patients: 0"),
        ({"seed": -1}, "seed: -1"),
        ({"workers": 0}, "workers: 0"),
        ({"dirt": ("mud",)}, "'mud' is unknown"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_written(tmp_path, changes, words):
    out = tmp_path / "cohort"
    with pytest.raises(UsageError, match=words):
        simulate_cohort(out, **{"patients": 1, "seed": 0, "size": "small", **changes})
    assert not out.exists()


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        simulate_cohort(tmp_path / "file" / "cohort", patients=1, seed=0, size="small")
