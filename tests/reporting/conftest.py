"""A small scan whose DICOM text means harm, and a report of it."""

from __future__ import annotations

from dataclasses import replace

import highdicom as hd
import numpy as np
import pytest

from medvision.findings import Candidate, Measurement
from medvision.reporting.build import build_report
from medvision.reporting.report import Lineage, ModelRecord, OperatingPoint, Report
from medvision.volumes import HeatMap, LungMask, QualityCheck, Scan, SliceReference

PATIENT_ID = "MRN-4711-SECRET"
HOSTILE = "<script>alert(1)</script>\"'&"
NODULE_MM = (10.0, -5.0, 12.0)


@pytest.fixture(scope="session")
def scan() -> Scan:
    """60 × 80 × 80 voxels of 2.5 × 1 × 1 mm around the origin, a ball at NODULE_MM."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = 2.5, 1, 1
    affine[:, 3] = [-39.5, -39.5, -73.75, 1]
    index = np.moveaxis(np.indices((60, 80, 80)), 0, -1)
    points = index @ affine[:3, :3].T + affine[:3, 3]
    ball = np.linalg.norm(points - NODULE_MM, axis=-1) < 8
    hu = np.where(ball, 40, -850).astype(np.int16)
    return Scan(
        name="1.2.840.1",
        series_instance_uid="1.2.840.1",
        study_instance_uid="1.2.840.9",
        patient_id=PATIENT_ID,
        volume=hd.Volume(hu, affine, coordinate_system="PATIENT"),
        slices=tuple(SliceReference(f"1.2.840.1.{i}", 60 - i) for i in range(60)),
        attributes={
            "Manufacturer": HOSTILE,
            "ManufacturerModelName": "=cmd()",
            "ConvolutionKernel": "B30f",
            "KVP": "120",
            "SliceThickness": "not a number",
            "StudyDate": "20200131",
            "PatientAge": "061Y",
            "PatientSex": "F",
        },
        checks=(
            QualityCheck("slice spacing", "ok", "2.5 mm", "≤ 3 mm"),
            QualityCheck("gaps", "warn", HOSTILE, "none", f"One slice is missing: {HOSTILE}"),
        ),
        input_sha256="1" * 64,
    )


@pytest.fixture(scope="session")
def measurement() -> Measurement:
    return Measurement(
        long_axis_mm=16.2,
        short_axis_mm=15.8,
        mean_diameter_mm=16.0,
        volume_mm3=2144.7,
        density="solid",
        mean_hu=-12.5,
        distance_to_pleura_mm=7.4,
        location="left upper zone",
        reliable=True,
        remark="",
    )


@pytest.fixture(scope="session")
def findings(measurement) -> list[tuple[Candidate, Measurement]]:
    """Not in the order of their probability."""
    doubtful = replace(
        measurement, mean_diameter_mm=4.0, density="ground_glass", reliable=False, remark="on 2 slices only"
    )
    return [
        (Candidate((-20.0, 0.0, -60.0), 0.61, 0.5, 5.0, None), doubtful),
        (Candidate(NODULE_MM, 0.93456, 0.7, 16.0, 0.4), measurement),
    ]


@pytest.fixture(scope="session")
def parts() -> dict[str, object]:
    return {
        "model": ModelRecord(name=HOSTILE, version="3", sha256="a" * 64),
        "operating_point": OperatingPoint(
            threshold=0.5, fp_per_scan=1, sensitivity=0.87, words="Measured on 24 simulated patients."
        ),
        "lineage": Lineage(
            input_sha256="1" * 64,
            config_sha256="2" * 64,
            versions={"medvision": "0.1.0"},
            runs={"detection": "c0ffee"},
        ),
    }


@pytest.fixture(scope="session")
def report(scan, findings, parts) -> Report:
    return build_report(scan, findings, **parts)


@pytest.fixture(scope="session")
def empty_report(scan, parts) -> Report:
    return build_report(scan, [], **parts)


@pytest.fixture(scope="session")
def lungs() -> LungMask:
    labels = np.zeros((50, 28, 28), np.uint8)
    labels[3:-3, 3:-3, 3:13], labels[3:-3, 3:-3, 15:-3] = 1, 2
    affine = np.zeros((4, 4))
    affine[2, 0] = affine[1, 1] = affine[0, 2] = 3
    affine[:, 3] = [-40.5, -40.5, -73.5, 1]
    return LungMask(labels, affine, found=True)


@pytest.fixture(scope="session")
def heat_map() -> HeatMap:
    """One hot voxel at NODULE_MM."""
    affine = np.zeros((4, 4))
    affine[2, 0] = affine[1, 1] = affine[0, 2] = 4
    affine[:, 3] = [NODULE_MM[0] - 40, NODULE_MM[1] - 40, NODULE_MM[2] - 40, 1]
    probability = np.zeros((20, 20, 20), np.float32)
    probability[10, 10, 10] = 0.9
    return HeatMap(probability, affine)
