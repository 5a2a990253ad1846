from __future__ import annotations

import csv
import gzip
import json
import logging

import numpy as np
import pytest

from medvision.contracts import check, check_document
from medvision.errors import ContractError, DataError, OutputError, UsageError
from medvision.evaluation.luna16 import evaluate

HEADER = "seriesuid,coordX,coordY,coordZ,"


@pytest.fixture(scope="module")
def subset50(real_data, tmp_path_factory):
    folder = real_data / "luna16" / "subset50"
    out = tmp_path_factory.mktemp("froc")
    result = evaluate(
        folder / "deeplung_dpn26.csv",
        folder / "annotations.csv",
        folder / "seriesuids.csv",
        out,
        excluded=folder / "annotations_excluded.csv",
        bootstrap=1000,
        seed=0,
    )
    return folder, out, result


@pytest.mark.real
def test_counts_of_the_official_script(subset50):
    _, out, result = subset50
    document = json.loads((out / "froc.json").read_text())
    expected = {
        "true_positives": 64,
        "false_positives": 2312,
        "false_negatives": 1,
        "n_nodules": 65,
        "n_scans": 50,
        "n_candidates": 2667,
        "ignored_excluded": 287,
        "ignored_double": 4,
    }
    assert document.items() >= expected.items()
    assert abs(document["cpm"] - 414 / 455) < 1e-12
    assert round(document["cpm"], 9) == 0.909890110
    assert round(document["cpm_mean"], 4) == 0.9089
    assert document["cpm_lower"] < document["cpm"] < document["cpm_upper"]
    assert document == result.to_dict()
    check_document(document, "froc")


@pytest.mark.real
def test_every_point_of_the_official_curve(subset50):
    folder, out, _ = subset50
    official = np.loadtxt(folder / "froc_s50_deeplung_dpn26.txt", delimiter=",")
    ours = np.loadtxt(out / "froc.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(ours, official, rtol=0, atol=1e-9)


@pytest.mark.real
def test_every_point_of_the_official_bootstrap(subset50):
    folder, out, result = subset50
    with gzip.open(folder / "froc_bootstrap_seed0.csv.gz", "rt") as stream:
        official = np.loadtxt(stream, delimiter=",", skiprows=1)
    ours = np.loadtxt(out / "froc_bootstrap.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(ours, official, rtol=0, atol=1e-9)
    points = [np.interp(result.fp_per_scan, official[:, 0], official[:, column]) for column in (1, 2, 3)]
    bounds = (result.sensitivity_mean, result.sensitivity_lower, result.sensitivity_upper)
    np.testing.assert_allclose(bounds, points, rtol=0, atol=1e-9)


@pytest.mark.real
def test_picture_is_a_png(subset50):
    assert (subset50[1] / "froc.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def tables(tmp_path):
    paths = {
        "predictions": tmp_path / "predictions.csv",
        "annotations": tmp_path / "annotations.csv",
        "seriesuids": tmp_path / "seriesuids.csv",
    }
    paths["predictions"].write_text(HEADER + "probability\n1.2,0,0,0,0.9\n1.2,50,0,0,0.4\n")
    paths["annotations"].write_text(HEADER + "diameter_mm\n1.2,1,0,0,6\n")
    paths["seriesuids"].write_text("1.2\n1.3\n")
    return paths


def test_a_plain_submission(tables, tmp_path):
    result = evaluate(**tables, out=tmp_path / "new" / "folder")
    assert (result.true_positives, result.false_positives, result.n_scans) == (1, 1, 2)
    assert result.band is None
    written = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    assert written == ["froc.csv", "froc.json", "froc.png", "scans.csv", "strata.csv"]
    assert not any(name.startswith(("cpm_", "sensitivity_")) for name in result.to_dict())
    check_document(result.to_dict(), "froc")
    assert not check(tmp_path / "new" / "folder").violations


def test_points_kinds_and_a_comparison_in_one_evaluation(tables, tmp_path):
    tables["annotations"].write_text(HEADER + "diameter_mm,density\n1.2,1,0,0,6,solid\n1.3,0,0,0,9,\n")
    other = tmp_path / "other.csv"
    other.write_text(HEADER + "probability,diameter_mm\n1.2,9,9,9,0.9,6\n")
    result = evaluate(
        **tables,
        out=tmp_path / "out",
        bootstrap=50,
        points=[2, 0.5, 2],
        other=other,
        strata=[tables["annotations"]],
    )
    document = json.loads((tmp_path / "out" / "froc.json").read_text())
    assert document == result.to_dict()
    check_document(document, "froc")
    assert not check(tmp_path / "out").violations
    assert [point["fp_per_scan"] for point in document["points"]] == [0.5, 2]
    assert document["fp_per_scan"] == [0.125, 0.25, 0.5, 1, 2, 4, 8]
    assert {(row["by"], row["value"]) for row in document["strata"]} == {
        ("diameter_mm", "6-8"),
        ("diameter_mm", "8-15"),
        ("density", "solid"),
        ("density", "unknown"),
    }
    assert document["comparison"]["cpm"]["difference"] == document["cpm"]
    assert "average_precision" not in document
    with pytest.raises(UsageError, match="give --bootstrap"):
        evaluate(**tables, other=other)
    boxes = evaluate(**tables | {"predictions": other}).to_dict()["average_precision"]
    assert boxes["ap_iou_0.10"] == 0


def test_tables_as_spreadsheets_write_them(tables):
    expected = evaluate(**tables).to_dict()
    tables["predictions"].write_bytes(
        b"\xef\xbb\xbfseriesuid;coordX;coordY;coordZ;probability;note\r\n"
        b'1.2;0,0;0;0;0,9;x\r\n\r\n1.2;50;0;0;0,4;"a;b"\r\n'
    )
    tables["seriesuids"].write_text("\ufeffseriesuid\r\n1.2\r\n1.3\r\n\r\n", encoding="utf-8")
    assert evaluate(**tables).to_dict() == expected


def test_a_compressed_table(tables, tmp_path):
    expected = evaluate(**tables).to_dict()
    packed = tmp_path / "predictions.csv.gz"
    packed.write_bytes(gzip.compress(tables["predictions"].read_bytes()))
    assert evaluate(**tables | {"predictions": packed}).to_dict() == expected


def test_scores_of_any_scale(tables):
    tables["predictions"].write_text(HEADER + "probability\n1.2,0,0,0,12.5\n1.2,50,0,0,-3\n")
    assert evaluate(**tables).sensitivity[0] == 1.0


@pytest.mark.parametrize(
    ("table", "text", "message"),
    [
        ("predictions", "", r"predictions.csv is empty"),
        ("predictions", "seriesuid,coordX,coordY,probability\n", "column 'coordZ' is missing"),
        (
            "predictions",
            HEADER + "probability\n1.2,0,0,0,\n",
            "line 2: column 'probability' is '' and must not",
        ),
        ("predictions", HEADER + "probability\n1.2,0,0,0,nan\n", "line 2: column 'probability' is 'nan'"),
        (
            "predictions",
            HEADER + "probability\n1.2,0,x,0,1\n",
            "line 2: column 'coordY' is 'x' and must be a number",
        ),
        (
            "predictions",
            HEADER + "probability\n1.2,0,0,0,1\n1.2,0,inf,0,1\n",
            "line 3: column 'coordY' is 'inf'",
        ),
        ("predictions", HEADER + "probability\n1.2,0,0,0\n", "line 2: 4 values under 5 column names"),
        ("predictions", HEADER + "coordX\n", "'coordX' comes twice"),
        (
            "predictions",
            HEADER + "probability\n8.8,0,0,0,1\n",
            "none of its 1 rows belongs to a listed series",
        ),
        ("annotations", HEADER + "probability\n", "column 'diameter_mm' is missing"),
        ("annotations", HEADER + "diameter_mm\n", "2 scans with 0 nodules"),
        ("seriesuids", "\n", "lists no series"),
        ("seriesuids", "1.2\n1.3\n1.2\n", "line 3: series 1.2 is listed on line 1 already"),
    ],
)
def test_bad_tables_are_named_in_one_line(tables, table, text, message):
    tables[table].write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        evaluate(**tables)
    assert "\n" not in str(caught.value)
    if "nodules" not in message:
        assert str(tables[table]) in str(caught.value)


def test_bytes_that_are_no_text(tables):
    tables["predictions"].write_bytes(b"seriesuid,coordX\n\xff\xfe\x00\n")
    with pytest.raises(ContractError, match="is not UTF-8 text"):
        evaluate(**tables)


def test_a_missing_file(tables, tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*nowhere.csv: No such file"):
        evaluate(**tables | {"annotations": tmp_path / "nowhere.csv"})


def test_a_file_in_place_of_the_folder(tables, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="taken"):
        evaluate(**tables, out=tmp_path / "taken")


def test_rows_of_other_series_are_left_out_and_told(tables, caplog):
    expected = evaluate(**tables).to_dict()
    with tables["predictions"].open("a", newline="") as stream:
        csv.writer(stream).writerow(["9.9", 0, 0, 0, 1])
    with caplog.at_level(logging.INFO, "medvision"):
        assert evaluate(**tables).to_dict() == expected
    assert "left out 1 of 3 rows" in caplog.text


def test_voxel_indices_in_place_of_millimetres_are_suspected(tables, caplog):
    evaluate(**tables)
    assert "voxel" not in caplog.text
    tables["predictions"].write_text(HEADER + "probability\n1.2,256,300,40,0.9\n")
    assert evaluate(**tables).true_positives == 0
    assert "are its coordinates voxel indices?" in caplog.text
