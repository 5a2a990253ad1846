"""Scans that no detector was made for: each ends in a report that says so, or a reason, never in a crash."""

from __future__ import annotations

import csv
import json
import math
import tarfile
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medvision.dicom.store import ingest
from medvision.inference.cohort import InferResult, infer
from medvision.models.directory import save_model
from tests.dicom.builders import Slices, edit, write_series
from tests.models.cards import tiny_card, tiny_detector
from tests.preprocessing.bodies import hu_at

UID = "1.2.9.1"
NODULE = ((-70.0, 10.0, 5.0), 9.0)
CHEST = partial(hu_at, nodules=[NODULE])
PAGES = ("json", "csv", "html")
UPSIDE_DOWN = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, tiny_card(), tiny_detector())
    return folder


def chest(step_mm: float = 4.0, scene=CHEST, **changes) -> Slices:
    """50 slices of 80 × 110."""
    settings = {
        "positions_mm": tuple(step_mm * k for k in range(round(200 / step_mm))),
        "rows": 80,
        "columns": 110,
        "spacing_mm": (3.0, 3.0),
        "origin_mm": (-163.0, -118.0, -98.0),
        "series_uid": UID,
        "study_uid": "1.2.9",
        "scene": scene,
    }
    return Slices(**(settings | changes))


def run(source: Path, out: Path, model: Path, **options) -> InferResult:
    return infer([source], out, model=model, threshold=0.0, **({"formats": ("json", "csv")} | options))


def analysed(slices: Slices, tmp_path: Path, model: Path, **options) -> dict:
    """The report of a scan that must be analysed."""
    write_series(tmp_path / "in", slices)
    result = run(tmp_path / "in", tmp_path / "out", model, **options)
    assert (result.exit_code, result.counts["processed"]) == (0, 1)
    report = json.loads((tmp_path / "out" / slices.series_uid / "report.json").read_text())
    for finding in report["findings"]:
        assert all(map(math.isfinite, (*finding["center_lps_mm"], finding["probability"])))
    return report


def check(report: dict, name: str) -> dict:
    (found,) = (check for check in report["quality"]["checks"] if check["name"] == name)
    return found


def candidates(out: Path) -> np.ndarray:
    with (out / "predictions.csv").open(newline="") as stream:
        rows = [list(row.values())[1:] for row in csv.DictReader(stream)]
    return np.array(rows, dtype=float).reshape(-1, 4)


def test_smaller_than_a_tile(tmp_path, model):
    """20 slices of 9 × 7 in the middle of a lung: no body around it."""
    slices = chest(1.0, positions_mm=tuple(range(20)), rows=9, columns=7, origin_mm=(-80.0, -10.0, -5.0))
    report = analysed(slices, tmp_path, model, formats=PAGES)
    assert report["quality"]["verdict"] == "warn"


def test_one_slice(tmp_path, model):
    report = analysed(chest(positions_mm=(100.0,)), tmp_path, model, min_slices=1, formats=PAGES)
    assert report["series"]["shape"][0] == 1
    assert check(report, "coverage")["verdict"] == "warn"
    assert check(report, "lung search")["verdict"] == "ok"


@pytest.mark.parametrize("hu", [-1000, 0, 2000])
def test_a_volume_of_one_value(tmp_path, model, hu):
    report = analysed(chest(scene=lambda points: np.full(points.shape[:-1], hu)), tmp_path, model)
    assert report["findings"] == []
    assert check(report, "lung search")["message"] == "nothing like a lung is there: nothing was searched"
    assert report["quality"]["verdict"] == "warn"


def test_a_body_without_lungs(tmp_path, model):
    report = analysed(chest(scene=partial(hu_at, lungs=())), tmp_path, model)
    assert report["findings"] == []
    assert check(report, "lung search")["value"] == "no lungs found"
    assert candidates(tmp_path / "out").size == 0


def test_a_head(real_data, tmp_path, model):
    with tarfile.open(real_data / "dicom" / "philips_tilt_minus18.tar.xz") as archive:
        archive.extractall(tmp_path / "in", filter="data")
    result = run(tmp_path / "in", tmp_path / "out", model)
    assert result.counts["failed"] == 0
    reports = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("*/report.json")]
    assert reports
    for report in reports:
        assert report["findings"] == []
        assert check(report, "lung search")["value"] == "no lungs found"
        assert report["quality"]["verdict"] == "warn"


def test_very_fine_voxels(tmp_path, model):
    """0.3 mm: the picture is 33 mm wide and lies in the lung."""
    slices = chest(
        0.3,
        positions_mm=tuple(0.3 * k for k in range(60)),
        spacing_mm=(0.3, 0.3),
        origin_mm=(-85.0, 0.0, -5.0),
    )
    assert analysed(slices, tmp_path, model, formats=PAGES)["quality"]["verdict"] == "warn"


def test_very_coarse_voxels(tmp_path, model):
    slices = chest(5.0, spacing_mm=(5.0, 5.0), rows=48, columns=66)
    report = analysed(slices, tmp_path, model)
    assert check(report, "lung search")["verdict"] == "ok"
    assert check(report, "training range")["verdict"] == "warn"


def with_metal(points: np.ndarray) -> np.ndarray:
    hu = CHEST(points)
    hu[((points - (0.0, -60.0, 0.0)) ** 2).sum(axis=-1) < 400] = 30_000
    return hu


def test_metal(tmp_path, model):
    report = analysed(chest(scene=with_metal), tmp_path, model)
    assert check(report, "metal")["verdict"] == "warn"
    assert check(report, "lung search")["verdict"] == "ok"


def test_values_that_16_bits_cannot_hold(tmp_path, model):
    slices = chest(scene=with_metal, intercept=-1024.0)
    for path in write_series(tmp_path / "in", slices):
        edit(path, lambda ds: setattr(ds, "RescaleIntercept", "9000"))
    result = run(tmp_path / "in", tmp_path / "out", model)
    assert result.counts["failed"] == 0
    assert sum(result.counts[what] for what in ("processed", "rejected")) == 1


@pytest.mark.parametrize("value", ["nan", "inf", "0"])
def test_a_rescale_that_is_no_number(tmp_path, model, value):
    for path in write_series(tmp_path / "in", chest()):
        raw = path.read_bytes()
        old = b"\x28\x00\x53\x10DS\x02\x001 "
        assert old in raw
        new = value.encode().ljust(4)
        path.write_bytes(raw.replace(old, b"\x28\x00\x53\x10DS\x04\x00" + new))
    result = run(tmp_path / "in", tmp_path / "out", model)
    assert result.counts["failed"] == 0
    assert sum(result.counts[what] for what in ("processed", "rejected")) == 1
    assert np.isfinite(candidates(tmp_path / "out")).all()


def test_a_store_whose_volume_holds_nan(tmp_path, model):
    """Not what ingest writes: one line that names the volume, and the other series go on."""
    write_series(tmp_path / "in" / "good", chest(series_uid="1.2.9.2", study_uid="1.2.8"))
    write_series(tmp_path / "in" / "bad", chest())
    ingest([tmp_path / "in"], tmp_path / "store")
    path = tmp_path / "store" / "volumes" / f"{UID}.nii.gz"
    image = nibabel.load(path)
    hu = np.asarray(image.dataobj).astype(np.float32)
    hu[3] = np.nan
    nibabel.save(nibabel.Nifti1Image(hu, image.affine), path)
    result = run(tmp_path / "store", tmp_path / "out", model)
    assert (result.exit_code, result.counts["processed"], result.counts["failed"]) == (3, 1, 1)
    problems = (tmp_path / "out" / "problems.csv").read_text()
    assert f"series {UID},series_failed," in problems


def test_upside_down_is_the_same_patient(tmp_path, model):
    """Feet first, rows from back to front, files in reverse: the same places are found."""
    analysed(chest(), tmp_path / "plain", model)
    turned = chest(
        orientation=UPSIDE_DOWN,
        origin_mm=(-163.0, -118.0 + 79 * 3.0, -98.0 + 49 * 4.0),
        extra={"PatientPosition": "FFS"},
    )
    analysed(turned, tmp_path / "turned", model)
    plain, other = (candidates(tmp_path / name / "out") for name in ("plain", "turned"))
    assert len(plain) > 0
    assert np.allclose(plain, other, atol=2e-3)
