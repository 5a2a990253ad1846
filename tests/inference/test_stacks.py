"""A nodule in the slices that two stacks of a study share is told and counted once."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from medvision.findings import Candidate
from medvision.inference.cohort import infer
from medvision.inference.lung_check import nothing_to_see
from medvision.inference.predictor import Detection, Predictor
from medvision.models.directory import save_model
from medvision.preprocessing.lungs import find_lungs
from tests.dicom.builders import Slices, write_series
from tests.models.cards import tiny_card, tiny_detector
from tests.preprocessing.bodies import hu_at

SHARED, UPPER = (-70.0, 10.0, 5.0), (70.0, 0.0, 60.0)
LOWER_UID, UPPER_UID = "1.2.5.1", "1.2.5.2"


def write_stack(folder: Path, uid: str, low_mm: float, high_mm: float, study_uid: str) -> None:
    write_series(
        folder / uid,
        Slices(
            positions_mm=tuple(np.arange(0, high_mm - low_mm, 4.0)),
            rows=80,
            columns=110,
            spacing_mm=(3.0, 3.0),
            origin_mm=(-163.0, -118.0, low_mm),
            series_uid=uid,
            study_uid=study_uid,
            scene=partial(hu_at, nodules=[(SHARED, 9.0), (UPPER, 9.0)]),
        ),
    )


@pytest.fixture
def model(tmp_path, monkeypatch) -> Path:
    """A detector that marks the nodules in the slices it is given, half a millimetre off."""

    def predict(_, scan) -> Detection:
        ends = [scan.volume.affine[2, 3], scan.volume.affine[2, 3] + 4 * (scan.volume.spatial_shape[0] - 1)]
        marks = [
            Candidate((x + 0.5, y, z), 0.9, 0.9, 18.0)
            for x, y, z in (SHARED, UPPER)
            if min(ends) <= z <= max(ends)
        ]
        lungs = find_lungs(scan.volume)
        return Detection(tuple(marks), lungs, nothing_to_see(lungs), {})

    monkeypatch.setattr(Predictor, "predict", predict)
    save_model(tmp_path / "model", tiny_card(), tiny_detector())
    return tmp_path / "model"


def reasons(out: Path) -> dict[str, str]:
    with (out / "worklist.csv").open(newline="") as stream:
        return {row["name"]: row["reason"] for row in csv.DictReader(stream)}


def test_one_nodule_not_two(tmp_path, model):
    write_stack(tmp_path / "in", LOWER_UID, -98, 22, "1.2.5")
    write_stack(tmp_path / "in", UPPER_UID, -18, 102, "1.2.5")
    for _ in ("first", "resumed"):
        result = infer([tmp_path / "in"], tmp_path / "out", model=model, formats=("json",))
        assert result.counts["findings"] == 2
        told = " ".join(reasons(tmp_path / "out").values())
        assert told.count("which overlaps: one nodule, not two") == 1
    reports = [
        json.loads((tmp_path / "out" / uid / "report.json").read_text()) for uid in (LOWER_UID, UPPER_UID)
    ]
    assert sorted(len(report["findings"]) for report in reports) == [1, 2]


def test_two_studies_are_two_nodules(tmp_path, model):
    write_stack(tmp_path / "in", LOWER_UID, -98, 22, "1.2.5")
    write_stack(tmp_path / "in", UPPER_UID, -18, 102, "1.2.6")
    result = infer([tmp_path / "in"], tmp_path / "out", model=model, formats=("json",))
    assert result.counts["findings"] == 3
    assert "one nodule" not in " ".join(reasons(tmp_path / "out").values())
