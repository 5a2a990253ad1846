"""`infer` on small bodies written as DICOM: OUT as promised, resumed, and never stopped by one bad Series."""

from __future__ import annotations

import csv
import json
import shutil
from functools import partial
from pathlib import Path

import pytest

from medvision.contracts import check_document, check_table
from medvision.dicom.store import ingest
from medvision.errors import ModelError, NothingToDoError, OutputError, UsageError
from medvision.inference import cohort
from medvision.inference.cohort import infer
from medvision.inference.predictor import Predictor
from medvision.models.directory import save_model
from tests.dicom.builders import Slices, write_series
from tests.models.cards import tiny_card, tiny_detector
from tests.preprocessing.bodies import hu_at

SERIES = ("1.2.3.1", "1.2.3.2", "1.2.3.3")
NODULE = ((-70.0, 10.0, 5.0), 9.0)


def write_body(folder: Path, uid: str) -> None:
    """A chest of 50 slices of 80 × 110 with one nodule."""
    write_series(
        folder,
        Slices(
            positions_mm=tuple(4.0 * k for k in range(50)),
            rows=80,
            columns=110,
            spacing_mm=(3.0, 3.0),
            origin_mm=(-163.0, -118.0, -98.0),
            series_uid=uid,
            study_uid=f"{uid}.9",
            scene=partial(hu_at, nodules=[NODULE]),
        ),
    )


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    for uid in SERIES:
        write_body(folder / uid, uid)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, tiny_card(), tiny_detector())
    return folder


@pytest.fixture(scope="module")
def finished(scans, model, tmp_path_factory) -> Path:
    """One undisturbed run."""
    out = tmp_path_factory.mktemp("runs") / "out"
    result = infer([scans], out, model=model, threshold=0.0)
    assert result.exit_code == 0
    assert result.counts["processed"] == len(SERIES)
    return out


def files(out: Path) -> dict[str, bytes]:
    """Everything a run wrote but its own record of times."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


def test_out_is_as_promised(finished):
    assert {path.name for path in finished.iterdir()} == {
        *("worklist.html", "worklist.csv", "predictions.csv", "series.csv", "problems.csv", "run.json"),
        *SERIES,
    }
    for uid in SERIES:
        check_document(json.loads((finished / uid / "report.json").read_text()), "report")
        assert (finished / uid / "report.html").stat().st_size < 3_000_000
    for table in ("predictions", "series", "problems", "worklist"):
        check_table(finished / f"{table}.csv", table)


def test_lineage_leads_back_to_input_settings_and_training(finished):
    lineages = [json.loads((finished / uid / "report.json").read_text())["lineage"] for uid in SERIES]
    assert len({lineage["input_sha256"] for lineage in lineages}) == len(SERIES)
    assert len({lineage["config_sha256"] for lineage in lineages}) == 1
    assert lineages[0]["runs"] == {"train": "5f3c"}
    assert lineages[0]["versions"]["medvision"]


def test_run_record(finished):
    record = json.loads((finished / "run.json").read_text())
    assert record["exit_code"] == 0
    assert record["counts"]["processed"] == len(SERIES)
    assert record["started"] <= record["ended"]
    assert {"lungs", "proposals", "second_look", "total"} <= record["seconds"].keys()


def test_predictions_go_below_the_operating_point(scans, model, tmp_path):
    infer([scans / SERIES[0]], tmp_path, model=model, threshold=1.0)
    report = json.loads((tmp_path / SERIES[0] / "report.json").read_text())
    assert report["findings"] == []
    with (tmp_path / "predictions.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) > 0


def test_a_store_gives_the_same_findings_as_its_dicom(scans, model, finished, tmp_path):
    ingest([scans], tmp_path / "store")
    infer([tmp_path / "store"], tmp_path / "out", model=model, threshold=0.0)
    assert (tmp_path / "out" / "predictions.csv").read_bytes() == (finished / "predictions.csv").read_bytes()
    for uid in SERIES:
        first, second = (
            json.loads((out / uid / "report.json").read_text()) for out in (finished, tmp_path / "out")
        )
        assert first["findings"] == second["findings"]


def test_a_second_run_does_nothing_twice(scans, model, finished, tmp_path, monkeypatch):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    monkeypatch.setattr(Predictor, "predict", lambda *_: pytest.fail("predicted again"))
    result = infer([scans], out, model=model, threshold=0.0)
    assert (result.counts["processed"], result.counts["reused"]) == (0, len(SERIES))
    assert files(out) == files(finished)


def test_an_interrupted_run_ends_with_the_same_files(scans, model, finished, tmp_path):
    """What a kill leaves: a complete case, one without its last file, half-written leftovers, no tables."""
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (out / SERIES[1] / "report.json").unlink()
    (out / SERIES[1] / ".report.json.part").write_text("{")
    shutil.rmtree(out / SERIES[2])
    for name in ("worklist.html", "worklist.csv", "predictions.csv", "run.json"):
        (out / name).unlink()
    result = infer([scans], out, model=model, threshold=0.0)
    assert (result.counts["processed"], result.counts["reused"]) == (2, 1)
    assert files(out) == files(finished)


@pytest.mark.parametrize("change", [{"threshold": 0.9}, {"resume": False}, {"formats": ("json",)}])
def test_other_settings_start_anew(scans, model, finished, tmp_path, change):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    result = infer([scans], out, model=model, **({"threshold": 0.0} | change))
    assert result.counts["processed"] == len(SERIES)


def test_one_series_that_fails_does_not_stop_the_others(scans, model, tmp_path, monkeypatch):
    real = cohort.process_case

    def fail_second(scan, *rest):
        if scan.name == SERIES[1]:
            raise RuntimeError("out of luck\nin two lines")
        return real(scan, *rest)

    monkeypatch.setattr(cohort, "process_case", fail_second)
    result = infer([scans], tmp_path, model=model)
    assert result.exit_code == 3
    assert result.counts["processed"] == 2
    with (tmp_path / "problems.csv").open() as stream:
        problems = list(csv.DictReader(stream))
    assert [(p["path"], p["reason"], p["detail"]) for p in problems] == [
        (f"series {SERIES[1]}", "series_failed", "out of luck in two lines")
    ]
    assert SERIES[1] in (tmp_path / "worklist.csv").read_text()
    assert not (tmp_path / SERIES[1] / "report.json").exists()


def test_a_corrupt_file_among_good_ones_is_named(scans, model, tmp_path):
    shutil.copytree(scans / SERIES[0], tmp_path / "in")
    (tmp_path / "in" / "notes.txt").write_text("no DICOM at all")
    cut = tmp_path / "in" / "049.dcm"
    cut.write_bytes(cut.read_bytes()[:-1000])
    result = infer([tmp_path / "in"], tmp_path / "out", model=model)
    assert result.counts["processed"] == 1
    problems = (tmp_path / "out" / "problems.csv").read_text()
    assert "049.dcm" in problems
    assert "notes.txt" in problems


def test_only_rejected_series_is_nothing_to_process(model, tmp_path):
    write_series(tmp_path / "in", Slices(positions_mm=tuple(2.0 * k for k in range(4))))
    result = infer([tmp_path / "in"], tmp_path / "out", model=model)
    assert result.exit_code == 4
    assert result.counts == {"processed": 0, "reused": 0, "failed": 0, "rejected": 1, "findings": 0}
    assert "reject" in (tmp_path / "out" / "worklist.csv").read_text()


def test_wrong_usage_is_told_before_anything_is_read(scans, model, tmp_path):
    with pytest.raises(ModelError):
        infer([scans], tmp_path / "out", model=tmp_path / "no model")
    with pytest.raises(UsageError, match="cuda:7"):
        infer([scans], tmp_path / "out", model=model, device="cuda:7")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        infer([scans], tmp_path / "file" / "out", model=model)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingToDoError):
        infer([tmp_path / "empty"], tmp_path / "out", model=model)


def test_nothing_names_the_patient(finished):
    for name, content in files(finished).items():
        assert b"Doe" not in content, name
        assert b"Jane" not in content, name
