"""Everything that is wrong in a folder is found, with file, line, column, value, rule and contract."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest

from medvision.contracts import contract_names, load_contract
from medvision.contracts.checking import check
from medvision.contracts.items import find_items
from medvision.contracts.places import contracts_folder
from medvision.contracts.violations import KEPT_PER_RULE
from medvision.errors import UsageError

SERIES = (
    "series_instance_uid,study_instance_uid,modality,n_files,n_slices,rows,columns,"
    "spacing_x_mm,spacing_y_mm,spacing_z_mm,status,reasons,volume,name"
)
SHA = "0" * 64


def series_row(uid: str, **change: object) -> str:
    row = dict.fromkeys(SERIES.split(","), "")
    row |= {"series_instance_uid": uid, "name": uid, "modality": "CT", "status": "accepted"}
    row |= dict.fromkeys(("n_files", "n_slices", "rows", "columns"), "30")
    row |= dict.fromkeys(("spacing_x_mm", "spacing_y_mm", "spacing_z_mm"), "1")
    row |= {"volume": f"volumes/{uid}.nii.gz"}
    return ",".join(str(value) for value in (row | change).values())


def sidecar(uid: str) -> dict[str, object]:
    return {
        "store_version": 1,
        "name": uid,
        "series_instance_uid": uid,
        "study_instance_uid": "1.2",
        "patient_id": "MRN-4711",
        "input_sha256": SHA,
        "affine_lps_mm": [[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]],
        "slices": [["1.2.3", 1], ["1.2.4", None]],
        "attributes": {"Manufacturer": "X"},
        "checks": [{"name": "gaps", "verdict": "ok", "value": "0", "limit": "0", "message": ""}],
    }


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two volumes and a table; nothing wrong."""
    (tmp_path / "volumes").mkdir()
    for uid in ("1.1", "1.2"):
        (tmp_path / "volumes" / f"{uid}.nii.gz").touch()
        (tmp_path / "volumes" / f"{uid}.json").write_text(json.dumps(sidecar(uid)))
    (tmp_path / "series.csv").write_text("\n".join([SERIES, series_row("1.1"), series_row("1.2")]) + "\n")
    (tmp_path / "problems.csv").write_text("path,reason,detail\n")
    return tmp_path


def told(path: Path) -> list[tuple[str, int | None, str, str | None]]:
    return [(Path(v.source).name, v.line, v.column, v.value) for v in check(path).violations]


def test_a_sound_store_passes(store):
    result = check(store)
    assert (result.count, result.rows) == (0, 2)
    assert [item.contract for item in result.items] == ["series", "problems", "volume", "volume"]


def test_all_violations_of_all_files_are_found(store):
    rows = [
        SERIES,
        series_row("1.1", status="fine", n_files="x"),
        series_row("1.2", spacing_z_mm="0"),
        series_row("1.2", name="1.2", volume="volumes/nowhere.nii.gz"),
        "1.3,too,few",
    ]
    (store / "series.csv").write_text("\n".join(rows) + "\n")
    (store / "problems.csv").write_text("path,reason,detail\na.dcm,bad_luck,\n")
    (store / "volumes" / "1.1.json").write_text("{")
    (store / "volumes" / "1.2.nii.gz").unlink()
    assert set(told(store)) == {
        ("series.csv", 2, "status", "fine"),
        ("series.csv", 2, "n_files", "x"),
        ("series.csv", 3, "", None),
        ("series.csv", 3, "volume", "volumes/1.2.nii.gz"),
        ("series.csv", 4, "name", "1.2"),
        ("series.csv", 4, "volume", "volumes/nowhere.nii.gz"),
        ("series.csv", 5, "", None),
        ("problems.csv", 2, "reason", "bad_luck"),
        ("1.1.json", None, "", None),
        ("1.2.json", None, "name", "1.2"),
    }


def test_a_row_rule_names_itself_and_skips_rows_that_are_broken_already(store):
    rows = [SERIES, series_row("1.1", spacing_x_mm="wide"), series_row("1.2", status="rejected")]
    (store / "series.csv").write_text("\n".join(rows) + "\n")
    rules = {(v.line, v.rule) for v in check(store).violations}
    assert rules == {
        (2, "must be a number from 0"),
        (3, "What is rejected says why. (rejected_has_reasons)"),
        (3, "What is rejected has no volume. (rejected_has_no_volume)"),
    }


def test_many_violations_of_one_rule_are_counted_and_a_few_are_kept(tmp_path):
    lines = ["path,reason,detail", *(f"{i}.dcm,bad_luck," for i in range(1000)), ",no_image,"]
    (tmp_path / "problems.csv").write_text("\n".join(lines) + "\n")
    result = check(tmp_path)
    assert result.count == 1001
    assert len(result.violations) == KEPT_PER_RULE + 1
    assert (1002, "path") in [(v.line, v.column) for v in result.violations]


def test_predictions_of_a_series_that_is_not_listed(store):
    (store / "predictions.csv").write_text(
        "seriesuid,coordX,coordY,coordZ,probability\n1.1,0,0,0,0.5\n1.9,0,0,0,0.5\n"
    )
    assert told(store) == [("predictions.csv", 3, "seriesuid", "1.9")]


def test_patient_ids_are_never_shown(store):
    broken = sidecar("1.1") | {"patient_id": ["MRN-4711"]}
    (store / "volumes" / "1.1.json").write_text(json.dumps(broken))
    (store / "manifest.csv").write_text("path,patient_id\nseries.csv,\nseries.csv,MRN-4711\n")
    (store / "oof.csv").write_text("path,patient_id,fold,target,probability\na,MRN-4711,-1,1,0.5\n")
    result = check(store)
    assert result.count == 4
    assert "MRN-4711" not in "".join(map(str, result.violations))


FINDINGS = (contracts_folder() / "examples" / "findings.csv").read_text().splitlines()


def report(uid: str, findings: list[dict[str, str]], sha256: str) -> dict[str, object]:
    absent = dict.fromkeys(
        [
            "study_date",
            "patient_sex",
            "patient_age",
            "manufacturer",
            "manufacturer_model_name",
            "convolution_kernel",
            "kvp",
            "slice_thickness_mm",
        ]
    )
    return {
        "series": absent
        | {"name": uid, "series_instance_uid": uid, "study_instance_uid": "1", "patient_reference": "r"}
        | {"spacing_mm": [1, 1, 1], "shape": [9, 9, 9]},
        "quality": {"verdict": "ok", "checks": []},
        "model": {"name": "m", "version": "1", "sha256": sha256},
        "operating_point": {"threshold": 0.5},
        "findings": [finding(row) for row in findings],
        "lineage": {"input_sha256": SHA, "config_sha256": SHA},
    }


def finding(row: dict[str, str]) -> dict[str, object]:
    numbers = {
        name: json.loads(value or "null")
        for name, value in row.items()
        if name.endswith(("_mm", "_mm3", "_hu")) and not name.startswith("prior_")
    }
    probabilities = {name: float(value) for name, value in row.items() if name.endswith("probability")}
    texts = {name: row[name] for name in ("finding_id", "density", "sop_instance_uid", "location", "remark")}
    center = [numbers.pop(f"center_{axis}_mm") for axis in "xyz"]
    rest = {"center_lps_mm": center, "index_vox": [0, 0, 0], "slice_number": None, "reliable": True}
    return texts | numbers | probabilities | rest


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """What infer writes of one series, as far as it must agree."""
    folder = tmp_path / "1.1"
    folder.mkdir()
    (folder / "findings.csv").write_text("\n".join(FINDINGS) + "\n")
    rows = list(csv.DictReader(FINDINGS))
    (folder / "report.json").write_text(json.dumps(report("1.1", rows, SHA)))
    run = {"versions": {}, "model": {"name": "m", "version": "1", "sha256": SHA}, "config_sha256": SHA}
    run |= {"operating_point": {"threshold": 0.5}, "device": "cpu", "counts": {}, "seconds": {}}
    run |= {"started": "2026-01-01T00:00:00Z", "ended": "2026-01-01T00:01:00Z", "exit_code": 0}
    (tmp_path / "run.json").write_text(json.dumps(run))
    (tmp_path / "worklist.csv").write_bytes((contracts_folder() / "examples" / "worklist.csv").read_bytes())
    return tmp_path


def test_an_out_folder_agrees_with_itself(out):
    result = check(out)
    assert {v.column for v in result.violations} == {"link"}  # the example's reports are not there
    assert [item.contract for item in result.items] == ["worklist", "findings", "run", "report"]


def test_a_report_and_its_table_disagree(out):
    (out / "worklist.csv").unlink()
    rows = list(csv.DictReader(FINDINGS))
    (out / "1.1" / "report.json").write_text(json.dumps(report("1.1", rows[:-1], SHA)))
    assert told(out) == [("report.json", None, "findings", f"{len(rows) - 1} findings")]
    rows[0]["probability"] = "0.123"
    (out / "1.1" / "report.json").write_text(json.dumps(report("1.1", rows, SHA)))
    assert told(out) == [("report.json", None, "findings[0].probability", "0.123")]


def test_a_report_of_another_run_is_out_of_date(out):
    (out / "worklist.csv").unlink()
    rows = list(csv.DictReader(FINDINGS))
    (out / "1.1" / "report.json").write_text(json.dumps(report("1.2", rows, "1" * 64)))
    assert told(out) == [
        ("report.json", None, "series.name", "1.2"),
        ("report.json", None, "model.sha256", "1" * 64),
    ]


def test_an_unknown_path_is_wrong_usage(tmp_path):
    with pytest.raises(UsageError, match=r"holds nothing that has a contract; .* for series\.csv"):
        check(tmp_path)
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear all\n")
    with pytest.raises(UsageError, match=r"letter\.txt is nothing .* --contract: annotations"):
        check(letter)
    with pytest.raises(UsageError, match=r"--contract serie: for letter\.txt there are annotations"):
        check(letter, "serie")
    with pytest.raises(UsageError, match="is for a single file"):
        check(tmp_path, "series")


@pytest.mark.parametrize("name", contract_names())
def test_every_example_has_all_columns(name):
    """Tools of the standard know no column that may be absent."""
    header = (contracts_folder() / "examples" / f"{name}.csv").read_text().splitlines()[0].split(",")
    assert set(header) >= {column.name for column in load_contract(name).columns}


@pytest.mark.parametrize("name", contract_names())
def test_every_example_keeps_its_contract_and_is_known_by_its_columns(name, tmp_path):
    example = contracts_folder() / "examples" / f"{name}.csv"
    stranger = tmp_path / "stranger.csv"
    stranger.write_bytes(example.read_bytes())
    assert [item.contract for item in find_items(stranger)] == [name]
    result = check(stranger, name)
    missing_files = {"series", "worklist", "patches"}
    assert {v.column for v in result.violations} <= (
        {"path", "link", "volume"} if name in missing_files else set()
    )
    assert result.rows > 0


def test_a_file_under_another_name_can_be_forced(tmp_path):
    path = tmp_path / "scans.txt"
    path.write_text("1.2.3\n1.2.4\n1.2.3\n")
    assert told_by(check(path, "seriesuids")) == [(3, "seriesuid", "1.2.3")]


def told_by(result):
    return [(v.line, v.column, v.value) for v in result.violations]


def test_gzip_and_files_that_are_none(tmp_path):
    path = tmp_path / "annotations.csv.gz"
    with gzip.open(path, "wt") as stream:
        stream.write("seriesuid,coordX,coordY,coordZ,diameter_mm\n1.2,0,0,nan,5\n")
    assert told_by(check(path)) == [(2, "coordZ", "nan")]
    path.write_bytes(path.read_bytes()[:-20])
    (violation,) = check(path).violations
    assert "cannot read" in str(violation)
    assert str(violation).count(str(path)) == 1


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\x00", "{'a': 1}"])
def test_a_damaged_document_is_a_violation(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    (violation,) = check(tmp_path).violations
    assert "is not valid JSON" in violation.rule


def test_lines_are_those_of_the_file_where_cells_hold_line_breaks_and_lines_are_empty(tmp_path):
    path = tmp_path / "problems.csv"
    path.write_text('path,reason,detail\n\na,no_image,"two\nlines"\n\nb,odd,\nc\nd,odd,"x\ny"\n')
    assert {(v.line, v.column) for v in check(path).violations} == {(6, "reason"), (7, ""), (9, "reason")}
