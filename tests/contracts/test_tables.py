from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.contracts import check_table, contract_names, csv_chunks, load_contract, read_table
from medvision.errors import ContractError

SERIES = {
    "series_instance_uid": "1.2.3",
    "study_instance_uid": "1.2",
    "modality": "CT",
    "n_files": 120,
    "n_slices": 120,
    "rows": 512,
    "columns": 512,
    "spacing_x_mm": 0.7,
    "spacing_y_mm": 0.7,
    "spacing_z_mm": 1.25,
    "status": "accepted",
    "reasons": "",
    "volume": "volumes/1.2.3.nii.gz",
}


def write(path, rows):
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_good_table_has_its_rows_counted(tmp_path):
    rejected = SERIES | {
        "status": "rejected",
        "reasons": "a localiser",
        "spacing_z_mm": "",
        "volume": "",
        "series_instance_uid": "1.2.4",
    }
    path = write(tmp_path / "series.csv", [SERIES, rejected])
    assert check_table(path, "series") == 2
    table = read_table(path, "series")
    assert table["n_files"].tolist() == [120, 120]
    assert np.isnan(table["spacing_z_mm"]).tolist() == [False, True]
    assert table["volume"].tolist() == ["volumes/1.2.3.nii.gz", ""]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "fine"}, "column 'status' is 'fine' and must be one of accepted, warned, rejected"),
        ({"n_files": 1.5}, "column 'n_files' is '1.5' and must be a whole number"),
        ({"n_files": 0}, "column 'n_files' is '0' and must be a whole number from 1"),
        ({"spacing_x_mm": -1}, "column 'spacing_x_mm' is '-1' and must be a number from 0"),
        ({"spacing_x_mm": "wide"}, "column 'spacing_x_mm' is 'wide'"),
        ({"series_instance_uid": ""}, "column 'series_instance_uid' is '' and must not be empty"),
    ],
)
def test_a_bad_cell_is_named_with_table_line_column_value_rule_and_contract(tmp_path, change, message):
    path = write(tmp_path / "series.csv", [SERIES, SERIES | change])
    with pytest.raises(ContractError) as caught:
        check_table(path, "series")
    version = load_contract("series").version
    assert str(caught.value).startswith(f"{path}, line 3: {message}")
    assert str(caught.value).endswith(f"[contract series {version}]")


def test_a_missing_column_is_named_and_further_columns_are_welcome():
    row = SERIES | {"kernel": "B30f"}
    assert check_table([row], "series") == 1
    del row["status"]
    with pytest.raises(
        ContractError, match=r"table: column 'status' is missing \(there are: series_instance_uid,"
    ):
        check_table([row], "series")


def test_numbers_out_of_range_pass_only_when_limits_are_off():
    row = {"seriesuid": "1", "coordX": 0, "coordY": 0, "coordZ": 0, "probability": 1.5}
    with pytest.raises(ContractError, match=r"'1\.5' and must be a number from 0 up to 1"):
        check_table([row], "predictions")
    assert read_table([row], "predictions", limits=False)["probability"].tolist() == [1.5]


def test_a_value_that_must_be_unique_comes_twice(monkeypatch, tmp_path):
    monkeypatch.setattr(csv_chunks, "ROWS_PER_CHUNK", 1)  # so that the second is in another chunk
    path = write(tmp_path / "findings.csv", [finding("F1"), finding("F2"), finding("F1")])
    with pytest.raises(
        ContractError, match="line 4: column 'finding_id' is 'F1' and must be unique, but line 2"
    ):
        check_table(path, "findings")


@given(st.lists(st.floats(-1e6, 1e6), max_size=20), st.integers(1, 7))
def test_chunks_join_to_the_whole_table(tmp_path_factory, values, rows_per_chunk):
    path = tmp_path_factory.mktemp("chunks") / "annotations.csv"
    lines = [f"1.2,{value!r},0,0,5" for value in values]
    path.write_text("\n".join(["seriesuid,coordX,coordY,coordZ,diameter_mm", *lines]) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_chunks, "ROWS_PER_CHUNK", rows_per_chunk)
        assert read_table(path, "annotations")["coordX"].tolist() == values


def test_a_good_finding_passes_and_true_or_false_is_needed():
    assert check_table([finding("F1"), finding("F2")], "findings") == 2
    with pytest.raises(ContractError, match="column 'reliable' is 'maybe' and must be true or false"):
        check_table([finding("F1") | {"reliable": "maybe"}], "findings")


@pytest.mark.parametrize("name", contract_names())
def test_a_table_without_rows_passes(name, tmp_path):
    header = [column.name for column in load_contract(name).columns]
    path = tmp_path / "table.csv"
    path.write_text(",".join(header) + "\n")
    assert check_table(path, name) == 0
    assert check_table([], name) == 0
    assert {len(column) for column in read_table(path, name).values()} == {0}


def test_blanks_around_cells_do_not_count():
    row = {" seriesuid": "x"} | {
        "seriesuid": " 1.2 ",
        "coordX": " 1.5",
        "coordY": "2 ",
        "coordZ": "3",
        "diameter_mm": "4",
    }
    table = read_table([row], "annotations")
    assert (table["seriesuid"][0], table["coordX"][0], table["coordY"][0]) == ("1.2", 1.5, 2.0)
    with pytest.raises(ContractError, match="column 'coordZ' is '' and must not be empty"):
        check_table([row | {"coordZ": "  "}], "annotations")


def test_unknown_contract():
    with pytest.raises(ContractError, match=r"no contract named 'serie'; there are: annotations, .*series"):
        load_contract("serie")


def test_every_contract_is_named_like_its_file_and_gives_columns():
    assert set(contract_names()) >= {
        "annotations",
        "findings",
        "predictions",
        "problems",
        "series",
        "worklist",
    }
    for name in contract_names():
        contract = load_contract(name)
        assert contract.name == name
        assert contract.columns
        assert len({column.name for column in contract.columns}) == len(contract.columns)


def finding(identifier):
    row = {
        column.name: column.allowed[0] if column.allowed else "1"
        for column in load_contract("findings").columns
    }
    return row | {"finding_id": identifier, "reliable": "True"}
