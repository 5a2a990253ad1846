"""What tables, `series.csv` and `truth.json` tell of nodules and scans."""

from __future__ import annotations

import json

import numpy as np
import pytest

from medvision.errors import ContractError, DataError
from medvision.evaluation.attributes import read_attributes
from medvision.evaluation.matching import Lesions

INDEX = {"1.1": 0, "1.2": 1, "1.3": 2}
NODULES = Lesions(
    np.array([0, 0, 1]), np.array([[0.0, 0, 0], [0, 0, 20], [5, 5, 5]]), np.array([10.0, 10.0, -1.0])
)


def read(tmp_path, **tables):
    paths = []
    for name, text in tables.items():
        path = tmp_path / name.replace("_dot_", ".")
        path.write_text(text)
        paths.append(path)
    return read_attributes(paths, INDEX, NODULES)


def test_a_table_with_coordinates_tells_of_the_nodule_that_holds_them(tmp_path):
    known = read(
        tmp_path,
        nodules_dot_csv="seriesuid,coordX,coordY,coordZ,density\n"
        "1.1,1,0,0,solid\n1.1,0,0,30,too far\n1.2,5,9,5,ground_glass\n9.9,0,0,0,stranger\n",
    )
    assert known.nodules["density"].tolist() == ["solid", "", "ground_glass"]
    assert not known.scans
    assert known.patient is None


def test_a_table_of_scans_and_of_patients(tmp_path):
    known = read(
        tmp_path, scans_dot_csv="series_instance_uid;site;patient_id\n1.3;east;b\n1.1;west;a\n1.2;;a\n"
    )
    assert known.scans["site"].tolist() == ["west", "", "east"]
    assert known.patients == ("a", "a", "b")
    assert known.patient.tolist() == [0, 0, 1]


def test_a_scan_of_nobody_known_is_a_patient(tmp_path):
    known = read(tmp_path, scans_dot_csv="seriesuid,patient_id\n1.3,a\n")
    assert len(set(known.patient.tolist())) == 3


def test_of_series_csv_only_the_scanner_is_looked_at(tmp_path):
    known = read(
        tmp_path,
        series_dot_csv="series_instance_uid,study_instance_uid,modality,n_files,slice_thickness_mm,manufacturer,kernel\n"
        "1.1,7.1,CT,200,1.0,GE,LUNG\n1.2,7.2,CT,90,2.5,Philips,B\n1.3,7.3,CT,100,,GE,B\n",
    )
    assert set(known.scans) == {"manufacturer", "kernel", "slice_thickness_mm"}
    assert known.scans["slice_thickness_mm"].tolist() == ["<1.5", "2.5-3.5", ""]


def test_two_tables_tell_together_and_the_first_is_believed(tmp_path):
    known = read(
        tmp_path,
        a_dot_csv="seriesuid,site\n1.1,first\n",
        b_dot_csv="seriesuid,site\n1.1,second\n1.2,second\n",
    )
    assert known.scans["site"].tolist() == ["first", "second", ""]


def test_a_column_of_numbers_is_no_kind(tmp_path):
    index = {f"1.{number}": number for number in range(40)}
    path = tmp_path / "scans.csv"
    path.write_text("seriesuid,dose\n" + "".join(f"{uid},{uid}\n" for uid in index))
    assert not read_attributes([path], index, NODULES).scans


def test_a_simulations_truth(tmp_path):
    nodule = {"volume_mm3": 500.0, "density": "solid", "malignant": False, "diameter_mm": 10.0}
    patients = [
        {
            "patient_id": "A",
            "series_instance_uid": "1.1",
            "acquisition": {"manufacturer": "GE", "kernel": "LUNG", "slice_thickness_mm": 1.0},
            "nodules": [{**nodule, "center_lps_mm": [0, 0, 20], "lobe": "left upper"}],
        },
        {
            "patient_id": "B",
            "series_instance_uid": "1.2",
            "nodules": [{**nodule, "center_lps_mm": [5, 5, 5]}],
        },
    ]
    known = read(tmp_path, truth_dot_json=json.dumps({"schema_version": "1.0", "patients": patients}))
    assert known.patients == ("A", "B", "")
    assert known.nodules["density"].tolist() == ["", "solid", "solid"]
    assert known.nodules["lobe"].tolist() == ["", "left upper", ""]
    assert known.scans["manufacturer"].tolist() == ["GE", "", ""]
    assert known.scans["slice_thickness_mm"].tolist() == ["<1.5", "", ""]


@pytest.mark.parametrize(
    ("name", "text", "error", "message"),
    [
        ("a.csv", "scan,site\n1.1,x\n", DataError, "column 'seriesuid' is missing"),
        ("a.csv", "seriesuid,site\n9.9,x\n", DataError, "none of its 1 rows tells of a listed series"),
        ("a.csv", "seriesuid,site\n", DataError, "none of its 0 rows"),
        ("a.csv", "seriesuid,coordX,coordY,coordZ,d\n1.1,x,0,0,solid\n", DataError, "must be numbers"),
        ("a.json", "{", DataError, "no truth.json that can be read"),
        ("a.json", "{}", ContractError, "required property"),
    ],
)
def test_bad_tables_are_told_in_one_line(tmp_path, name, text, error, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(error, match=message) as caught:
        read_attributes([tmp_path / name], INDEX, NODULES)
    assert "\n" not in str(caught.value)
