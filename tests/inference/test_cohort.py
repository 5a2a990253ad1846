"""`infer` on small bodies written as DICOM: OUT as promised, resumed, and never stopped by one bad Series."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from pydicom.uid import JPEGLSLossless

from medvision.contracts import check_document, check_table
from medvision.dicom.index import cached_index
from medvision.dicom.sources import SourceFile
from medvision.dicom.store import ingest
from medvision.errors import ModelError, NothingToDoError, OutputError, UsageError
from medvision.exclusive import alone_in
from medvision.inference import cohort, run_record, working
from medvision.inference.cohort import COUNTED, infer
from medvision.inference.predictor import Predictor
from medvision.log_context import current_log_fields, log_fields
from medvision.models.directory import save_model
from tests.dicom.builders import Slices, edit, write_series
from tests.models.cards import lively_detector, tiny_card
from tests.preprocessing.bodies import hu_at

SERIES = ("1.2.3.1", "1.2.3.2", "1.2.3.3")
NODULE = ((-70.0, 10.0, 5.0), 9.0)


def write_body(folder: Path, uid: str, study_uid: str = "", spacing_mm: float = 4.0) -> None:
    """A chest of 50 slices of 80 × 110 with one nodule."""
    write_series(
        folder,
        Slices(
            positions_mm=tuple(spacing_mm * k for k in range(round(200 / spacing_mm))),
            rows=80,
            columns=110,
            spacing_mm=(3.0, 3.0),
            origin_mm=(-163.0, -118.0, -98.0),
            series_uid=uid,
            study_uid=study_uid or f"{uid}.9",
            scene=partial(hu_at, nodules=[NODULE]),
        ),
    )


def write_bodies(folder: Path, uids: Sequence[str]) -> Path:
    """A body for each series, in a folder of its own."""
    for uid in uids:
        write_body(folder / uid, uid)
    return folder


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    return write_bodies(tmp_path_factory.mktemp("scans"), SERIES)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, tiny_card(), lively_detector())
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
    """Everything a run wrote but its own records of times."""
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


@pytest.mark.parametrize("reason", [errno.ESTALE, errno.EIO])
def test_a_share_that_goes_away_fails_its_series_only(scans, model, tmp_path, monkeypatch, reason):
    read = SourceFile.read_bytes

    def gone(file):
        if SERIES[1] in file.path.parts:
            raise OSError(reason, os.strerror(reason))
        return read(file)

    with monkeypatch.context() as patched:
        patched.setattr(SourceFile, "read_bytes", gone)
        result = infer([scans], tmp_path, model=model, threshold=1.0, formats=["json"])
    assert (result.exit_code, result.counts["processed"], result.counts["failed"]) == (3, 2, 1)
    problems = (tmp_path / "problems.csv").read_text()
    assert f"unreadable,{os.strerror(reason)}" in problems
    assert f"series {SERIES[1]},series_failed" in problems
    again = infer([scans], tmp_path, model=model, threshold=1.0, formats=["json"])
    assert (again.exit_code, again.counts["processed"], again.counts["reused"]) == (0, 1, 2)


@pytest.mark.parametrize("jump_hours", [-1, 1_000])
def test_a_clock_that_is_set_makes_no_time_negative_or_absurd(
    scans, model, tmp_path, monkeypatch, jump_hours
):
    class Jumping(datetime):
        hours = 0

        @classmethod
        def now(cls, tz=None):
            cls.hours += jump_hours
            return datetime.now(tz) + timedelta(hours=cls.hours)

    monkeypatch.setattr(run_record, "datetime", Jumping)
    monkeypatch.setattr(time, "time", lambda: Jumping.now().timestamp())
    infer([scans / SERIES[0]], tmp_path, model=model, threshold=1.0, formats=["json"])
    record = json.loads((tmp_path / "run.json").read_text())
    lasted = datetime.fromisoformat(record["ended"]) - datetime.fromisoformat(record["started"])
    assert timedelta(0) <= lasted < timedelta(hours=1)
    assert 0 <= min(record["seconds"].values()) <= max(record["seconds"].values()) < 3600


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
    real = working.process_case

    def fail_second(scan, *rest):
        if scan.name == SERIES[1]:
            raise RuntimeError("out of luck\nin two lines")
        return real(scan, *rest)

    monkeypatch.setattr(working, "process_case", fail_second)
    belongs = []
    monkeypatch.setattr(cohort.logger, "error", lambda *_: belongs.append(dict(current_log_fields())))
    with log_fields(run="r1"):
        result = infer([scans], tmp_path, model=model)
    assert belongs == [{"run": "r1", "case": SERIES[1]}]
    assert json.loads((tmp_path / "run.json").read_text())["run_id"] == "r1"
    assert result.exit_code == 3
    assert result.counts["processed"] == 2
    with (tmp_path / "problems.csv").open() as stream:
        problems = list(csv.DictReader(stream))
    assert [(p["path"], p["reason"], p["detail"]) for p in problems] == [
        (f"series {SERIES[1]}", "series_failed", "out of luck in two lines")
    ]
    assert SERIES[1] in (tmp_path / "worklist.csv").read_text()
    assert not (tmp_path / SERIES[1] / "report.json").exists()


def test_two_at_once_into_one_out_are_told_apart(scans, model, tmp_path):
    with alone_in(tmp_path, "infer"), pytest.raises(OutputError, match="another infer is at work"):
        infer([scans], tmp_path, model=model)
    assert list(tmp_path.iterdir()) == []


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
    assert result.counts == dict.fromkeys(COUNTED, 0) | {"rejected": 1}
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


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """One study: a thick series, a thin one."""
    folder = tmp_path_factory.mktemp("study")
    write_body(folder / "thick", "1.2.8.1", study_uid="1.2.8", spacing_mm=8.0)
    write_body(folder / "thin", "1.2.8.2", study_uid="1.2.8")
    return folder


def table(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="") as stream:
        return {row["name"]: row for row in csv.DictReader(stream)}


@pytest.mark.parametrize("kind", ["dicom", "store"])
def test_of_a_study_the_best_series_is_analysed_and_the_reason_said(study, model, tmp_path, kind):
    source, out = study, tmp_path / "out"
    if kind == "store":
        source = tmp_path / "store"
        ingest([study], source)
    result = infer([source], out, model=model, threshold=0.0)
    assert result.exit_code == 0
    assert (result.counts["processed"], result.counts["skipped"]) == (1, 1)
    advantage = "has thinner slices (4 mm against 8 mm)"
    skipped = f"not analysed: series 1.2.8.2 of the same study {advantage}"
    worklist, series = table(out / "worklist.csv"), table(out / "series.csv")
    assert (worklist["1.2.8.1"]["verdict"], worklist["1.2.8.1"]["reason"]) == ("skipped", skipped)
    assert worklist["1.2.8.2"]["reason"].endswith(f"; chosen among 2 series of the study: it {advantage}")
    assert series["1.2.8.1"]["reasons"].endswith(f"; {skipped}")
    assert series["1.2.8.1"]["status"] == "warned"
    assert series["1.2.8.2"]["reasons"].endswith(f"; chosen among 2 series of the study: it {advantage}")
    assert not (out / "1.2.8.1").exists()
    assert "1.2.8.1" in (out / "worklist.html").read_text()
    for name in ("series", "worklist", "predictions"):
        check_table(out / f"{name}.csv", name)
    assert cached_index(out).exists() == (kind == "dicom")
    if kind == "store":
        assert (out / series["1.2.8.1"]["volume"]).resolve() == source / "volumes" / "1.2.8.1.nii.gz"


def test_all_series_or_the_ones_asked_for(study, model, tmp_path):
    everything = infer([study], tmp_path / "all", model=model, all_series=True)
    assert (everything.counts["processed"], everything.counts["skipped"]) == (2, 0)
    one = infer([study], tmp_path / "one", model=model, series=["1.2.8.1"])
    assert (one.counts["processed"], one.counts["skipped"]) == (1, 1)
    worklist = table(tmp_path / "one" / "worklist.csv")
    assert worklist["1.2.8.2"]["reason"] == "not analysed: not among the series asked for"
    assert worklist["1.2.8.1"]["verdict"] == "warn"
    with pytest.raises(UsageError, match=r"no series 9\.9 among the 2 found"):
        infer([study], tmp_path / "none", model=model, series=["9.9"])


def test_resuming_reads_no_pixel(scans, model, tmp_path, monkeypatch):
    import os

    shutil.copytree(scans, tmp_path / "in")
    for path in (tmp_path / "in").rglob("*"):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    infer([tmp_path / "in"], tmp_path / "out", model=model)
    monkeypatch.setattr("medvision.dicom.entries.read_voxels", lambda *_: pytest.fail("decoded"))
    monkeypatch.setattr("medvision.dicom.sources.file_sha256", lambda *_: pytest.fail("read"))
    assert infer([tmp_path / "in"], tmp_path / "out", model=model).counts["reused"] == len(SERIES)


def test_damaged_slices_are_named_as_ingest_names_them(scans, model, tmp_path):
    shutil.copytree(scans / SERIES[0], tmp_path / "in")
    for path in sorted((tmp_path / "in").iterdir()):
        edit(path, lambda ds: ds.compress(JPEGLSLossless, generate_instance_uid=False))
    bad = tmp_path / "in" / "020.dcm"
    bad.write_bytes(bad.read_bytes().replace(b"\xff\xd8\xff", b"\0\0\0"))
    for _ in range(2):
        result = infer([tmp_path / "in"], tmp_path / "out", model=model)
        assert result.exit_code == 0
        assert "020.dcm,bad_pixels" in (tmp_path / "out" / "problems.csv").read_text()


def test_what_only_pixels_show_is_a_rejection_and_no_failure(scans, model, tmp_path):
    shutil.copytree(scans / SERIES[0], tmp_path / "in" / "good")
    for path in write_series(
        tmp_path / "in" / "bad", Slices(series_uid="1.2.7", scene=lambda p: 0 * p[..., 0])
    ):
        edit(path, lambda ds: [delattr(ds, name) for name in ("RescaleSlope", "RescaleIntercept")])
    result = infer([tmp_path / "in"], tmp_path / "out", model=model)
    assert result.exit_code == 0
    assert (result.counts["processed"], result.counts["failed"], result.counts["rejected"]) == (1, 0, 1)
    assert table(tmp_path / "out" / "series.csv")["1.2.7"]["status"] == "rejected"
    assert table(tmp_path / "out" / "worklist.csv")["1.2.7"]["verdict"] == "reject"
