"""A report to deliver and to ring for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from medvision.reporting.report import (
    FindingRecord,
    JudgingModel,
    Lineage,
    OperatingPoint,
    QualityRecord,
    Report,
    SeriesRecord,
)
from tests.dicom.network.network import dropped_sockets

__all__ = ["dropped_sockets"]

STUDY, SERIES = "1.2.3", "1.2.3.4"


def finding(number: int = 1, **changes: object) -> FindingRecord:
    values: dict[str, object] = {
        "finding_id": f"F{number}",
        "center_lps_mm": (10.0 * number, 2.0, 3.0),
        "probability": 0.9,
        "proposal_probability": 0.8,
        "malignancy_probability": None,
        "long_axis_mm": 12.0,
        "short_axis_mm": 9.0,
        "mean_diameter_mm": 10.5,
        "volume_mm3": 600.0,
        "density": "solid",
        "mean_hu": 30.0,
        "sop_instance_uid": f"{SERIES}.{number}",
        "slice_number": number,
        "index_vox": (number, 2, 3),
        "location": "right, upper third",
        "distance_to_pleura_mm": 4.0,
        "reliable": True,
        "remark": "",
    }
    return FindingRecord.model_validate(values | changes)


@pytest.fixture
def make_report() -> Callable[..., Report]:
    def make(*findings: FindingRecord) -> Report:
        series = SeriesRecord(
            name=SERIES,
            series_instance_uid=SERIES,
            study_instance_uid=STUDY,
            patient_reference="abcdef0123",
            study_date="2026-01-31",
            patient_sex=None,
            patient_age=None,
            manufacturer=None,
            manufacturer_model_name=None,
            convolution_kernel=None,
            kvp=None,
            slice_thickness_mm=None,
            spacing_mm=(1.0, 0.7, 0.7),
            shape=(100, 512, 512),
        )
        return Report(
            series=series,
            quality=QualityRecord(verdict="ok", checks=()),
            model=JudgingModel(name="detector", version="1", sha256=""),
            operating_point=OperatingPoint(threshold=0.5),
            findings=findings,
            lineage=Lineage(input_sha256="", config_sha256=""),
        )

    return make


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def put(results: Path, report: Report) -> Path:
    """A finished case."""
    folder = results / STUDY / report.series.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(report.to_json())
    return folder
