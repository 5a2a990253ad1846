"""Facts about patients: the user's table first, then DICOM; nobody is named."""

from __future__ import annotations

import pytest

from medvision.errors import ContractError
from medvision.guidelines import Patient, PatientTable, describe_patient, read_patient_table
from medvision.guidelines.patient import parse_age, parse_sex

HEADER = "patient_id,study_instance_uid,series_instance_uid,age_years,sex,family_history,screening,risk"


def table(tmp_path, *rows: str) -> PatientTable:
    path = tmp_path / "patients.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return read_patient_table(path)


@pytest.mark.parametrize(
    ("text", "years"),
    [("061Y", 61), ("018M", 1.5), ("010W", 0.19), ("100D", 0.27), ("000Y", None), ("61", None), ("", None)],
)
def test_dicoms_ages(text, years):
    assert parse_age(text) == years
    assert parse_age(None) is None


def test_dicoms_sexes():
    assert [parse_sex(text) for text in ("M", "f ", "O", "", "X", None)] == ["M", "F", "O", None, None, None]


def test_the_table_counts_before_dicom():
    given = Patient(age_years=70, origins={"age_years": "patient data"})
    patient = describe_patient(given, "061Y", "F")
    assert (patient.age_years, patient.sex) == (70, "F")
    assert patient.origins == {"age_years": "patient data", "sex": "DICOM"}
    assert describe_patient(None, "061Y", None).age_years == 61


def test_the_narrowest_row_counts_and_wider_ones_fill_it_up(tmp_path):
    found = table(tmp_path, "P1,,,64,F,no,yes,low", ",1.2,,65,,yes,,", "P1,1.2,1.2.3,,,,no,", "P2,,,40,M,,,")
    patient = found.find("1.2.3", "1.2", "P1")
    assert patient is not None
    assert (patient.age_years, patient.sex, patient.family_history) == (65, "F", True)
    assert (patient.screening, patient.risk) == (False, "low")
    other = found.find("9", "9", "P2 ")
    assert other is not None
    assert (other.age_years, other.screening) == (40, None)
    assert found.find("9", "9", "P3") is None
    assert found.find("9", "9", "") is None


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (",,,64,F,,,", "A row says whom it is about"),
        ("P1,,,old,F,,,", "column 'age_years' is 'old'"),
        ("P1,,,200,F,,,", "up to 130"),
        ("P1,,,64,female,,,", "one of M, F, O"),
        ("P1,,,64,F,true,,", "one of yes, no"),
        ("P1,,,64,F,,,medium", "one of low, high"),
    ],
)
def test_a_row_that_cannot_be_right_is_named(tmp_path, row, words):
    with pytest.raises(ContractError, match=words):
        table(tmp_path, row)


def test_two_rows_of_one_patient_are_refused_without_naming_him(tmp_path):
    with pytest.raises(ContractError, match="line 3: a second row for the same patient_id") as caught:
        table(tmp_path, "MRN-4711,,,64,F,,,", "MRN-4711,,,65,F,,,")
    assert "4711" not in str(caught.value)


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(ContractError, match=r"nothing\.csv"):
        read_patient_table(tmp_path / "nothing.csv")


def test_a_table_as_a_spreadsheet_writes_it(tmp_path):
    path = tmp_path / "patients.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\r\nP1,,,64,F,,yes,\r\n".encode())
    patient = read_patient_table(path).find("1", "1", "P1")
    assert patient is not None
    assert patient.screening is True


def test_nothing_names_the_patient(tmp_path):
    assert "MRN" not in repr(table(tmp_path, "MRN-1,,,64,F,,,"))
