"""A replay gives the same; a changed report, model or input is told; a signature holds or does not."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from medvision.cli.main import run
from medvision.errors import ModelError, NothingToDoError, UsageError
from medvision.inference.cohort import infer
from medvision.inference.comparison import compare_reports
from medvision.inference.origins import cached_origins, recall_origins, remember_origins
from medvision.inference.verify import verify
from medvision.models.directory import save_model
from medvision.reporting.build import read_report
from medvision.reporting.signing import is_signed, read_private_key, read_public_key, signature_path
from tests.inference.test_cohort import write_body
from tests.models.cards import lively_detector, tiny_card

UID = "1.2.3.1"


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> Path:
    """scan, model, patients.csv, key.pem, pub.pem and what infer made of them in out."""
    folder = tmp_path_factory.mktemp("verify")
    write_body(folder / "scan", UID)
    save_model(folder / "model", tiny_card(), lively_detector())
    (folder / "patients.csv").write_text(
        f"patient_id,series_instance_uid,screening,age_years\n,{UID},yes,64\n"
    )
    for command in (
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", folder / "key.pem"],
        ["openssl", "pkey", "-in", folder / "key.pem", "-pubout", "-out", folder / "pub.pem"],
    ):
        subprocess.run(command, check=True, capture_output=True)
    infer(
        [folder / "scan"],
        folder / "out",
        model=folder / "model",
        threshold=0.0,
        patient_data=folder / "patients.csv",
        sign=folder / "key.pem",
    )
    return folder


@pytest.fixture
def out(places, tmp_path) -> Path:
    """A copy of OUT that may be spoilt; this machine knows where it came from."""
    copy = shutil.copytree(places / "out", tmp_path / "out")
    remember_origins(copy, [places / "scan"], places / "model")
    return copy


def report_of(out: Path) -> Path:
    return out / UID / "report.json"


def change(out: Path, **parts) -> None:
    document = json.loads(report_of(out).read_text())
    for path, value in parts.items():
        *above, last = path.split("__")
        target = document
        for key in above:
            target = target[int(key) if key.isdigit() else key]
        target[last] = value
    report_of(out).write_text(json.dumps(document))


def test_a_replay_is_bit_for_bit_the_same(places, capsys):
    assert run(["verify", str(report_of(places / "out")), "--json"]) == 0
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (record["outcome"], record["exact"], record["differences"]) == ("same", True, [])
    assert record["findings"] > 0


def test_what_guidelines_suggest_is_replayed_too(places):
    report = read_report(report_of(places / "out"))
    assert report.patient is not None
    assert report.patient.age_years == 64
    assert [one.applies for one in report.guidelines] == ["yes", "no"]


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ({"findings__0__probability": 0.001}, "F1.probability"),
        ({"findings__0__mean_diameter_mm": 3.3}, "F1.mean_diameter_mm"),
        ({"guidelines__0__category": "1"}, "guidelines[0].category"),
        ({"series__patient_age": "099Y"}, "series.patient_age"),
        ({"quality__verdict": "reject"}, "quality.verdict"),
    ],
)
def test_whatever_was_changed_is_told(places, out, parts, what):
    change(out, **parts)
    recorded, replayed = read_report(report_of(out)), read_report(report_of(places / "out"))
    told = compare_reports(recorded, replayed, exact=True)
    assert [(difference.what, difference.tolerated) for difference in told] == [(what, False)]


def test_a_changed_report_ends_with_3(out, capsys):
    change(out, findings__0__probability=0.001)
    assert run(["verify", str(report_of(out))]) == 3
    told = capsys.readouterr().out
    assert "F1.probability: 0.001 → " in told
    assert "NOT the same" in told


def test_a_finding_that_was_removed_is_told(out):
    change(out, findings=[])
    result = verify(report_of(out))
    assert result.outcome == "differs"
    assert {difference.what for difference in result.differences} >= {"a further finding"}


def test_another_model_is_told(out, tmp_path):
    network = lively_detector()
    weight = next(network.parameters())
    weight.data += 0.01
    save_model(tmp_path / "other", tiny_card(), network)
    result = verify(report_of(out), model=tmp_path / "other")
    assert result.outcome == "differs"
    assert "model" in {difference.what for difference in result.differences}


def test_another_input_is_told(out, tmp_path):
    write_body(tmp_path / "other", UID, spacing_mm=5.0)
    result = verify(report_of(out), sources=[tmp_path / "other"])
    assert result.outcome == "differs"
    assert "input" in {difference.what for difference in result.differences}


def test_the_right_scan_is_found_among_others_of_its_name(out, places, tmp_path):
    write_body(tmp_path / "a" / "first", "1.2.3.9")
    shutil.copytree(places / "scan", tmp_path / "a" / "second")
    assert verify(report_of(out), sources=[tmp_path / "a"]).outcome == "same"


def test_what_is_not_found_is_said(out, tmp_path):
    write_body(tmp_path / "stranger", "1.2.3.9")
    with pytest.raises(NothingToDoError, match=f"series {UID} is not in"):
        verify(report_of(out), sources=[tmp_path / "stranger"])
    remember_origins(out, [tmp_path / "gone"], tmp_path / "no model")
    with pytest.raises(ModelError, match="no model at"):
        verify(report_of(out))
    remember_origins(out, [tmp_path / "gone"], None)
    with pytest.raises(ModelError, match="give --model"):
        verify(report_of(out))
    assert run(["verify", str(report_of(out))]) == 2


def test_a_scan_that_has_gone_ends_with_4(out, places, tmp_path):
    remember_origins(out, [tmp_path / "gone"], places / "model")
    assert run(["verify", str(report_of(out))]) == 4


def test_other_hardware_is_no_difference_in_itself(out):
    change(out, lineage__hardware="another machine", lineage__versions={"numpy": "1.0"})
    result = verify(report_of(out))
    assert (result.outcome, result.exact) == ("same", False)
    assert {"hardware", "version of numpy"} <= {difference.what for difference in result.differences}


def test_on_other_hardware_figures_may_be_a_little_off(out):
    recorded = read_report(report_of(out))
    first = recorded.findings[0]

    def with_first(**update):
        changed = first.model_copy(update=update)
        return recorded.model_copy(update={"findings": (changed, *recorded.findings[1:])})

    def outcome(other):
        return [difference.tolerated for difference in compare_reports(recorded, other, exact=False)]

    assert outcome(with_first(volume_mm3=first.volume_mm3 * 1.04)) == [True]
    assert outcome(with_first(volume_mm3=first.volume_mm3 * 1.06)) == [False]
    assert outcome(with_first(long_axis_mm=first.long_axis_mm + 0.4)) == [True]
    assert outcome(with_first(long_axis_mm=first.long_axis_mm + 0.6)) == [False]
    assert [d.tolerated for d in compare_reports(recorded, with_first(volume_mm3=1.0), exact=True)] == [False]
    few = recorded.model_copy(update={"findings": recorded.findings[:-1]})
    last = recorded.findings[-1]
    near = recorded.model_copy(
        update={
            "operating_point": recorded.operating_point.model_copy(
                update={"threshold": round(last.probability, 4)}
            )
        }
    )
    few_near = few.model_copy(update={"operating_point": near.operating_point})
    assert [d.tolerated for d in compare_reports(near, few_near, exact=False)] == [True]
    assert [d.tolerated for d in compare_reports(near, few_near, exact=True)] == [False]


def test_origins_are_the_users_own_and_not_in_out(places, tmp_path):
    place = cached_origins(places / "out")
    assert place.stat().st_mode & 0o077 == 0
    for path in (places / "out").rglob("*"):
        if path.is_file():
            assert str(places / "scan").encode() not in path.read_bytes()
    assert recall_origins(tmp_path) is None
    cached_origins(tmp_path).write_text("{]")
    assert recall_origins(tmp_path) is None


def test_signatures(places, out, capsys):
    report, pub = report_of(out), places / "pub.pem"
    assert run(["verify", str(report), "--key", str(pub), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["signature"] == "valid"
    report.write_bytes(report.read_bytes() + b" ")
    assert run(["verify", str(report), "--key", str(pub)]) == 3
    told = capsys.readouterr().out
    assert "signature: INVALID" in told
    assert "the same findings, bit for bit" in told
    signature_path(report).unlink()
    assert is_signed(report, read_public_key(pub)) is None


def test_openssl_accepts_the_signature(places):
    report = report_of(places / "out")
    done = subprocess.run(
        [
            *("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", places / "pub.pem", "-rawin"),
            *("-in", report, "-sigfile", signature_path(report)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Verified Successfully" in done.stdout


def test_a_run_without_a_key_leaves_no_old_signature(places, out):
    infer([places / "scan"], out, model=places / "model", threshold=0.0, resume=False)
    assert is_signed(report_of(out), read_public_key(places / "pub.pem")) is None


def test_a_finished_report_is_signed_later(places, out):
    signature_path(report_of(out)).unlink()
    options = {"threshold": 0.0, "patient_data": places / "patients.csv"}
    result = infer([places / "scan"], out, model=places / "model", sign=places / "key.pem", **options)
    assert result.counts["reused"] == 1
    assert is_signed(report_of(out), read_public_key(places / "pub.pem")) is True


def test_other_facts_about_the_patient_make_the_report_anew(places, out, tmp_path):
    (tmp_path / "p.csv").write_text(f"patient_id,series_instance_uid,screening\n,{UID},no\n")
    result = infer(
        [places / "scan"], out, model=places / "model", threshold=0.0, patient_data=tmp_path / "p.csv"
    )
    assert result.counts["processed"] == 1
    assert [one.applies for one in read_report(report_of(out)).guidelines] == ["no", "unknown"]


def test_keys_that_are_none(places, tmp_path, monkeypatch):
    text = tmp_path / "text.pem"
    text.write_text("hello")
    for read in (read_private_key, read_public_key):
        with pytest.raises(UsageError, match="cannot read"):
            read(text)
    rsa, pub = tmp_path / "rsa.pem", tmp_path / "rsa-pub.pem"
    for command in (
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", rsa],
        ["openssl", "pkey", "-in", rsa, "-pubout", "-out", pub],
    ):
        subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(UsageError, match="no Ed25519 key"):
        read_private_key(rsa)
    with pytest.raises(UsageError, match="no Ed25519 public key"):
        read_public_key(pub)
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "pkey", "-in", places / "key.pem", "-aes256", "-passout", "pass:x", "-out", locked],
        check=True,
        capture_output=True,
    )
    with pytest.raises(UsageError, match="MEDVISION_SIGN_PASSPHRASE"):
        read_private_key(locked)
    monkeypatch.setenv("MEDVISION_SIGN_PASSPHRASE", "x")
    read_private_key(locked)
