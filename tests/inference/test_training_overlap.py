"""A scan that the model has seen is marked as such wherever its result is told."""

from __future__ import annotations

import csv
import json

import pytest

from medvision.contracts import check
from medvision.dicom.catalogue import catalogue
from medvision.inference.cohort import infer
from medvision.models.directory import save_model
from medvision.models.leakage import LEAKAGE_KEY, hash_all, key_id
from medvision.preprocessing.fingerprint import fingerprint
from tests.inference.test_cohort import write_body
from tests.models.cards import tiny_card, tiny_detector

SEEN = "1.2.3.1"


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    write_body(folder, SEEN)
    return folder


def write_model(folder, **seen):
    card = tiny_card()
    training = card.training.model_copy(update=seen)
    save_model(folder, card.model_copy(update={"training": training}), tiny_detector())
    return folder


def results(out):
    report = json.loads((out / SEEN / "report.json").read_text())
    run = json.loads((out / "run.json").read_text())["training_overlap"]
    with (out / "worklist.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    return report, run, row, (out / SEEN / "report.html").read_text()


def test_a_series_that_was_learnt_from(scans, tmp_path, caplog):
    model = write_model(tmp_path / "model", series_hashes=hash_all("00", [SEEN]))
    infer([scans], tmp_path / "out", model=model)
    report, run, row, page = results(tmp_path / "out")
    words = "The model has learnt from this very scan: what it says here is no test of it."
    assert report["model"]["training_overlap"] == [{"part": "training", "kind": "series"}]
    assert report["quality"]["checks"][-1]["message"] == words
    assert report["quality"]["verdict"] == "warn"
    assert run == {"checked": True, "training": [SEEN], "validation": []}
    assert (row["verdict"], words in row["reason"], words in page) == ("warn", True, True)
    assert "is known to the model (training: series)" in caplog.text
    assert check(tmp_path / "out").count == 0


def test_the_same_pixels_under_another_name_and_nothing_known(scans, tmp_path):
    (entry,) = catalogue([scans]).series
    scan = fingerprint(entry.load().volume)
    model = write_model(tmp_path / "model", validation_fingerprints=(scan,))
    infer([scans], tmp_path / "out", model=model)
    report, run, _, _ = results(tmp_path / "out")
    assert report["model"]["training_overlap"] == [{"part": "validation", "kind": "near_duplicate"}]
    assert run == {"checked": True, "training": [], "validation": [SEEN]}


def test_with_its_key_the_model_tells_and_the_old_report_is_made_again(scans, tmp_path, monkeypatch):
    monkeypatch.delenv(LEAKAGE_KEY, raising=False)
    seen = {"key_id": key_id(b"secret"), "series_hashes": hash_all("00", [SEEN], b"secret")}
    model = write_model(tmp_path / "model", **seen)
    infer([scans], tmp_path / "out", model=model)
    report, run, _, _ = results(tmp_path / "out")
    assert report["model"]["training_overlap"] is None
    assert run["checked"] is False
    monkeypatch.setenv(LEAKAGE_KEY, "secret")
    assert infer([scans], tmp_path / "out", model=model).counts["reused"] == 0
    report, run, _, _ = results(tmp_path / "out")
    assert report["model"]["training_overlap"] == [{"part": "training", "kind": "series"}]
    assert run == {"checked": True, "training": [SEEN], "validation": []}
