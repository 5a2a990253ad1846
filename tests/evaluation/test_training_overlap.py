"""An evaluation on scans that the model has seen says so, in its files and in the log."""

from __future__ import annotations

import json

import pytest

from medvision.cli.main import run
from medvision.contracts import check_document
from medvision.errors import ModelError
from medvision.evaluation.luna16 import evaluate
from medvision.files import write_text
from medvision.models.leakage import LEAKAGE_KEY, hash_all, key_id
from tests.models.cards import tiny_card

SHA = "0" * 64


@pytest.fixture
def cohort(tmp_path):
    (tmp_path / "seriesuids.csv").write_text("1.1\n1.2\n1.3\n")
    (tmp_path / "annotations.csv").write_text(
        "seriesuid,coordX,coordY,coordZ,diameter_mm\n1.1,0,0,0,8\n1.2,0,0,0,8\n"
    )
    (tmp_path / "predictions.csv").write_text(
        "seriesuid,coordX,coordY,coordZ,probability\n1.1,0,0,0,0.9\n1.3,0,0,0,0.2\n"
    )
    return tmp_path


def write_card(folder, key=b""):
    """Of a model that has learnt from 1.1 and validated on 1.3."""
    import yaml

    card = tiny_card()
    training = card.training.model_copy(
        update={
            "key_id": key_id(key),
            "series_hashes": hash_all("00", ["1.1", "8.8"], key),
            "validation_series_hashes": hash_all("00", ["1.3"], key),
        }
    )
    folder.mkdir()
    card = card.model_copy(update={"training": training, "weights_sha256": SHA})
    write_text(folder / "model.yaml", yaml.safe_dump(card.model_dump(mode="json")))
    return folder


def tables(cohort):
    return cohort / "predictions.csv", cohort / "annotations.csv", cohort / "seriesuids.csv"


def written(cohort):
    document = json.loads((cohort / "froc" / "froc.json").read_text())
    check_document(document, "froc")
    return document.get("training_overlap")


def test_the_model_of_the_predictions_is_asked(cohort, caplog):
    model = write_card(cohort / "model")
    evaluate(*tables(cohort), cohort / "froc", model=model)
    assert written(cohort) == {
        "model": "tiny",
        "version": "1",
        "checked": True,
        "training": ["1.1"],
        "validation": ["1.3"],
    }
    assert "no independent test: model tiny 1 has learnt from 1 of these 3 scans" in caplog.text


def test_without_the_secret_key_nothing_is_claimed(cohort, caplog, monkeypatch):
    monkeypatch.delenv(LEAKAGE_KEY, raising=False)
    model = write_card(cohort / "model", b"secret")
    evaluate(*tables(cohort), cohort / "froc", model=model)
    assert written(cohort)["checked"] is False
    assert "cannot be told without its key" in caplog.text


def test_a_run_beside_the_predictions_tells_too(cohort):
    overlap = {"checked": True, "training": ["1.2", "9.9"], "validation": []}
    document = {
        "versions": {},
        "model": {"name": "m", "version": "7", "sha256": SHA},
        "operating_point": {"threshold": 0.5},
        "config_sha256": SHA,
        "device": "cpu",
        "counts": {},
        "seconds": {},
        "started": "2026-01-01T00:00:00Z",
        "ended": "2026-01-01T00:00:01Z",
        "exit_code": 0,
        "training_overlap": overlap,
    }
    (cohort / "run.json").write_text(json.dumps(document))
    evaluate(*tables(cohort), cohort / "froc")
    assert written(cohort) == {
        "model": "m",
        "version": "7",
        "checked": True,
        "training": ["1.2"],
        "validation": [],
    }


@pytest.mark.parametrize("text", [None, "{", '{"training_overlap": 3}'])
def test_without_a_usable_run_the_file_says_nothing(cohort, text):
    if text is not None:
        (cohort / "run.json").write_text(text)
    evaluate(*tables(cohort), cohort / "froc")
    assert written(cohort) is None


def test_a_model_that_is_not_there(cohort):
    with pytest.raises(ModelError, match="no model at"):
        evaluate(*tables(cohort), cohort / "froc", model=cohort / "nowhere")


def test_the_command_takes_the_model(cohort, capsys):
    predictions, annotations, seriesuids = map(str, tables(cohort))
    model = write_card(cohort / "model")
    (model / "weights.safetensors").touch()
    command = ["evaluate", predictions, "--annotations", annotations, "--seriesuids", seriesuids]
    assert run([*command, "-o", str(cohort / "froc"), "--model", str(model), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert shown["training_overlap"] == written(cohort)
