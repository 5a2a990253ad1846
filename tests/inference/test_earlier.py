"""`infer --priors` on small bodies: compared, said why not, resumed, verified; nobody is named."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from medvision.dicom.store import ingest
from medvision.inference.cohort import infer
from medvision.inference.origins import cached_origins
from medvision.inference.predictor import Predictor
from medvision.inference.verify import verify
from medvision.models.directory import save_model
from medvision.priors import register
from tests.dicom.builders import Slices, write_series
from tests.models.cards import tiny_card, tiny_detector
from tests.preprocessing.bodies import hu_at

NOW, THEN = "1.2.5.1", "1.2.5.2"
PATIENT = "Secret-4711"


def write_exam(folder: Path, uid: str, day: str, diameter_mm: float, patient: str = PATIENT) -> None:
    """A chest with one nodule."""
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
            scene=partial(hu_at, nodules=[((-70.0, 10.0, 5.0), diameter_mm)]),
            extra={"PatientID": patient, "StudyDate": day},
        ),
    )


@pytest.fixture(scope="module", autouse=True)
def _quick_alignment() -> Iterator[None]:
    """These bodies differ in nothing but the nodule."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(register, "DEMONS", ((2, 3),))
        patch.setattr(register, "AFFINE_STEPS", 5)
        yield


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> Path:
    """now, then, stranger, model, and out: now compared with then."""
    folder = tmp_path_factory.mktemp("earlier")
    write_exam(folder / "now", NOW, "20240301", 12.0)
    write_exam(folder / "then", THEN, "20230301", 9.0)
    write_exam(folder / "stranger", "1.2.5.3", "20230301", 9.0, "Another")
    save_model(folder / "model", tiny_card(), tiny_detector())
    run(folder, "out", "then")
    return folder


def run(folder: Path, out: str, *priors: str):
    places = [folder / name for name in priors]
    return infer([folder / "now"], folder / out, model=folder / "model", threshold=0.0, priors=places)


def report_of(folder: Path, out: str = "out") -> dict:
    return json.loads((folder / out / NOW / "report.json").read_text())


def check_of(report: dict) -> list[str]:
    return [c["message"] for c in report["quality"]["checks"] if c["name"] == "earlier examination"]


def test_the_report_speaks_of_the_earlier_examination(places):
    prior = report_of(places)["prior"]
    assert (prior["series_instance_uid"], prior["days_between"]) == (THEN, 366)
    assert prior["registration"]
    assert len(prior["input_sha256"]) == 64
    assert report_of(places)["patient"]["prior_ct"] is True


def test_nobody_is_named(places):
    for path in (places / "out").rglob("*"):
        if path.is_file():
            assert PATIENT.encode() not in path.read_bytes()


def test_a_second_run_does_nothing_twice(places, monkeypatch):
    monkeypatch.setattr(Predictor, "predict", lambda *_: pytest.fail("predicted again"))
    assert run(places, "out", "then").counts["reused"] == 1


def test_without_the_prior_it_is_a_new_result(places):
    shutil.copytree(places / "out", places / "again")
    assert run(places, "again").counts["processed"] == 1
    assert report_of(places, "again")["prior"] is None
    assert check_of(report_of(places, "again")) == []


def test_a_stranger_is_no_prior_and_no_failure(places):
    assert run(places, "alone", "stranger").exit_code == 0
    report = report_of(places, "alone")
    assert report["prior"] is None
    assert check_of(report) == ["no earlier examination of this patient among those given"]
    assert report["quality"]["verdict"] == report_of(places)["quality"]["verdict"]
    with (places / "alone" / "worklist.csv").open() as stream:
        (row,) = csv.DictReader(stream)
    assert check_of(report)[0] in row["reason"]
    assert check_of(report)[0][1:] in (places / "alone" / NOW / "report.html").read_text()
    assert run(places, "alone", "stranger").counts["reused"] == 1


def test_an_earlier_out_serves_as_well_where_its_scans_are_remembered(places):
    infer([places / "then"], places / "then_out", model=places / "model", threshold=1.0)
    run(places, "served", "then_out")
    assert report_of(places, "served") == report_of(places)
    cached_origins(places / "then_out").unlink()
    run(places, "served", "then_out")
    assert "it is not remembered where the scans" in check_of(report_of(places, "served"))[0]


def test_an_unreadable_prior_is_no_failure(places, tmp_path):
    write_exam(tmp_path / "then", THEN, "20230301", 9.0)
    ingest([tmp_path / "then"], tmp_path / "store")
    (tmp_path / "store" / "volumes" / f"{THEN}.nii.gz").write_bytes(b"no NIfTI")
    result = infer(
        [places / "now"], tmp_path / "out", model=places / "model", threshold=0.0, priors=[tmp_path / "store"]
    )
    assert result.exit_code == 0
    report = json.loads((tmp_path / "out" / NOW / "report.json").read_text())
    assert check_of(report)[0].startswith("the earlier examination cannot be read: ")


def test_the_rest_can_be_verified(places):
    verification = verify(places / "out" / NOW / "report.json")
    assert (verification.outcome, verification.differences) == ("same", ())
