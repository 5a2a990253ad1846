"""`medvision calibrate`: a new model directory that `infer` obeys."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import yaml
from scipy.special import expit, logit

from medvision.cli.main import run
from medvision.contracts import check_document
from medvision.errors import DataError, UsageError
from medvision.findings import Candidate
from medvision.inference.operating_point import choose_operating_point
from medvision.inference.recalibrated import recalibrated
from medvision.inference.retinanet.detector import engine
from medvision.models.card import ModelCard, load_card
from medvision.models.leakage import LeakageGuard, hash_all
from medvision.models.retinanet.bundle_writing import write_bundle
from medvision.models.retinanet.loading import load_retinanet
from medvision.reporting.words import ENGLISH
from medvision.training.local_calibration import LocalScans, calibrate
from tests.inference.retinanet.test_detector import CARD as BUNDLE_CARD
from tests.inference.retinanet.test_detector import TINY as BUNDLE_NETWORK
from tests.models.cards import tiny_card
from tests.models.retinanet.test_network import awake

N_SCANS = 40


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"as they are")
    card = tiny_card()
    card = card.model_copy(
        update={
            "weights_sha256": "0" * 64,
            "training": card.training.model_copy(
                update={"salt": "00ff", "series_hashes": hash_all("00ff", ["learnt"])}
            ),
        }
    )
    (folder / "model.yaml").write_text(yaml.safe_dump(card.model_dump(mode="json")))
    return folder


@pytest.fixture
def scans(tmp_path):
    """Two nodules and eight false marks a scan; far too sure of itself."""
    random = np.random.default_rng(0)
    nodules, marks = ["seriesuid,coordX,coordY,coordZ,diameter_mm"], []
    for scan in range(N_SCANS):
        for place in range(10):
            is_nodule = place < 2
            true = random.beta(3, 2) if is_nodule else random.beta(1, 8)
            marks.append(f"s{scan},{-20 * place},0,0,{expit(2 * logit(true) + 2):.6f}")
            if is_nodule:
                nodules.append(f"s{scan},{-20 * place},1,0,8")
    (tmp_path / "annotations.csv").write_text("\n".join(nodules) + "\n")
    (tmp_path / "predictions.csv").write_text(
        "seriesuid,coordX,coordY,coordZ,probability\n" + "\n".join(marks) + "\n"
    )
    return LocalScans(tmp_path / "predictions.csv", tmp_path / "annotations.csv")


def test_a_new_model_that_says_what_was_done(model, scans, tmp_path):
    card = calibrate(model, scans, tmp_path / "new", fp_per_scan=0.5)
    assert load_card(tmp_path / "new", ModelCard) == card
    check_document(yaml.safe_load((tmp_path / "new" / "model.yaml").read_text()), "model")
    assert (tmp_path / "new" / "weights.safetensors").read_bytes() == b"as they are"
    assert (tmp_path / "new" / "reliability.png").read_bytes()[:4] == b"\x89PNG"
    local = card.local_calibration
    assert (local.scans, local.patients, local.nodules, local.candidates) == (40, 40, 80, 400)
    assert local.after["ece"].upper < local.before["ece"].lower
    assert card.version.startswith("1+local.")
    assert card.metrics == load_card(model, ModelCard).metrics
    point = choose_operating_point(card)
    assert point.fp_per_scan == 0.5
    words = ENGLISH.operating(point)
    assert "expect about 0.5 false marks a scan" in words
    assert "95% interval" in words
    assert words.endswith("Measured on 40 local scans with 80 nodules.")


def test_the_operating_points_hold_on_what_infer_then_says(model, scans, tmp_path):
    card = calibrate(model, scans, tmp_path / "new")
    rows = [line.split(",") for line in scans.predictions.read_text().splitlines()[1:]]
    candidates = [Candidate((float(r[1]), 0, 0), float(r[4]), float(r[4]), 5.0, 0.3) for r in rows]
    after = recalibrated(candidates, card)
    assert [one.center_lps_mm for one in after] == [one.center_lps_mm for one in candidates]
    assert {one.malignancy_probability for one in after} == {0.3}
    before = np.array([one.probability for one in candidates])
    new = np.array([one.probability for one in after])
    assert (np.diff(new[np.argsort(before)]) >= 0).all()
    is_nodule = np.array([float(row[1]) > -40 for row in rows])
    for point in card.operating_points:
        false = ((new >= point.threshold) & ~is_nodule).sum() / N_SCANS
        assert false <= point.fp_per_scan
        assert point.sensitivity == pytest.approx((new[is_nodule] >= point.threshold).mean())


def test_a_second_recalibration_follows_on_the_first(model, scans, tmp_path):
    first = calibrate(model, scans, tmp_path / "first", method="platt")
    rows = [line.split(",") for line in scans.predictions.read_text().splitlines()]
    again = [Candidate((0, 0, 0), float(row[4]), 0.5, 5.0) for row in rows[1:]]
    new = [f"{one.probability:.6f}" for one in recalibrated(again, first)]
    scans.predictions.write_text(
        "\n".join([",".join(rows[0]), *(",".join([*r[:4], p]) for r, p in zip(rows[1:], new, strict=True))])
    )
    second = calibrate(tmp_path / "first", scans, tmp_path / "second", method="temperature")
    assert [one.method for one in second.calibrations] == ["platt", "temperature"]
    assert second.calibrations[1].numbers["temperature"] == pytest.approx(1, abs=0.1)
    assert second.version.count("+") == 1


def test_the_scans_become_known_only_as_hashes(model, scans, tmp_path):
    patients = tmp_path / "patients.csv"
    patients.write_text("seriesuid,patient_id\n" + "".join(f"s{n},P{n // 2}\n" for n in range(N_SCANS)))
    card = calibrate(
        model, LocalScans(scans.predictions, scans.annotations, patients=patients), tmp_path / "new"
    )
    assert card.local_calibration.patients == N_SCANS // 2
    text = (tmp_path / "new" / "model.yaml").read_text()
    assert "P1" not in text
    guard = LeakageGuard(card.training)
    assert [way.words for way in guard.seen("s1")] == ["validation: series"]
    assert [way.words for way in guard.seen("other", "P1")] == ["validation: patient"]


def test_scans_that_were_learnt_from_are_left_out(model, scans, tmp_path, caplog):
    for path in (scans.predictions, scans.annotations):
        path.write_text(path.read_text().replace("s0,", "learnt,"))
    card = calibrate(model, scans, tmp_path / "new")
    assert card.local_calibration.scans == N_SCANS - 1
    assert "left out 1 of 40 scans: the model has learnt from them" in caplog.text


def test_a_threshold_with_what_to_expect(model, scans, tmp_path):
    card = calibrate(model, scans, tmp_path / "new", threshold=0.5)
    assert card.chosen.threshold == 0.5
    chosen = choose_operating_point(card)
    by_hand = choose_operating_point(card, threshold=0.5)
    assert by_hand.sensitivity == pytest.approx(chosen.sensitivity, abs=0.03)
    assert choose_operating_point(card, threshold=0.9999).words == "Threshold set by hand."


def test_refusals_are_one_line(model, scans, tmp_path, caplog):
    (tmp_path / "few.csv").write_text("s0\ns1\n")
    few = LocalScans(scans.predictions, scans.annotations, tmp_path / "few.csv")
    with pytest.raises(DataError, match="too few to recalibrate on: 4 nodules found") as caught:
        calibrate(model, few, tmp_path / "new")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "new").iterdir())
    with pytest.raises(UsageError, match="is not empty"):
        calibrate(model, scans, model)
    with pytest.raises(UsageError, match="not both"):
        calibrate(model, scans, tmp_path / "new", fp_per_scan=1, threshold=0.5)
    (tmp_path / "one.csv").write_text("learnt\n")
    with pytest.raises(DataError, match="has learnt from all 1 scans"):
        calibrate(
            model, LocalScans(scans.predictions, scans.annotations, tmp_path / "one.csv"), tmp_path / "new"
        )
    card = load_card(model, ModelCard)
    keyed = card.model_copy(update={"training": card.training.model_copy(update={"key_id": "12345678"})})
    (model / "model.yaml").write_text(yaml.safe_dump(keyed.model_dump(mode="json")))
    new = calibrate(model, scans, tmp_path / "new")
    assert "cannot be told without its key (MEDVISION_LEAKAGE_KEY)" in caplog.text
    assert new.training == keyed.training


def test_the_command(model, scans, tmp_path, capsys):
    arguments = ["--model", str(model), "--predictions", str(scans.predictions)]
    arguments += ["--annotations", str(scans.annotations), "-o", str(tmp_path / "new"), "--fp-per-scan", "1"]
    assert run(["calibrate", *arguments, "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["chosen"]["fp_per_scan"] == 1
    assert run(["calibrate", *arguments]) == 2
    assert capsys.readouterr().err.strip().endswith("give a new folder for the recalibrated model")


def test_a_bundle_becomes_a_model_directory_with_operating_points(scans, tmp_path, capsys):
    bundle = write_bundle(tmp_path / "bundle", awake(BUNDLE_NETWORK), BUNDLE_CARD)
    arguments = ["--model", f"monai-bundle:{bundle}", "--predictions", str(scans.predictions)]
    arguments += ["--annotations", str(scans.annotations), "-o", str(tmp_path / "new"), "--fp-per-scan", "1"]
    assert run(["calibrate", *arguments, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out.splitlines()[-1])["chosen"]["fp_per_scan"] == 1
    assert "a bundle does not say whom it has learnt from" in captured.err
    (before, _), (after, card) = load_retinanet(bundle), load_retinanet(tmp_path / "new")
    assert card.calibrations
    assert choose_operating_point(card).fp_per_scan == 1
    image = torch.rand(32, 32, 16)
    maps = [engine(network, card.boxes, "cpu").maps(image) for network in (before, after)]
    for one, other in zip(maps[0].logits, maps[1].logits, strict=True):
        assert torch.equal(one, other)
