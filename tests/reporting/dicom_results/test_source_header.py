"""Patient and study come over as they are, whatever the source's character set and dirt."""

from __future__ import annotations

import pydicom
import pytest
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from medvision.dicom.source_header import TYPE_2, read_source_header, tidy
from medvision.errors import DicomError
from medvision.reporting.case import DICOM_FORMATS
from medvision.reporting.dicom_results.write import write_dicom_results
from tests.dicom.builders import Slices, body_hu, edit, write_series
from tests.reporting.dicom_results.cases import case_of, make_case, read

NAMES = {
    "ISO_IR 100": "Müller^Jürgen",
    "ISO_IR 144": "Иванов^Иван",
    "ISO_IR 192": "山田^太郎",
    "GB18030": "王^小东",
    ("", "ISO 2022 IR 87"): "Yamada^Tarou=山田^太郎",
    ("", "ISO 2022 IR 149"): "Hong^Gildong=洪^吉洞=홍^길동",
    "": "Doe^Jane",
}


def results_of(folder, out, change, formats=DICOM_FORMATS):
    """The DICOM results of a series whose headers were changed."""
    with disable_value_validation():
        for path in write_series(folder, Slices(rows=40, columns=44, scene=body_hu)):
            edit(path, change)
    case = case_of(*read(folder))
    out.mkdir()
    paths = write_dicom_results(out, case.report, case.scan, case.masks, formats, case.header)
    return [pydicom.dcmread(path) for path in paths]


@pytest.mark.parametrize("charset", NAMES)
def test_names_in_every_character_set(charset, tmp_path):
    def change(ds):
        ds.SpecificCharacterSet = list(charset) if isinstance(charset, tuple) else charset
        ds.PatientName = NAMES[charset]

    for result in results_of(tmp_path / "in", tmp_path / "out", change, formats=("sr", "kos")):
        assert str(result.PatientName) == NAMES[charset]


def test_patient_and_study_modules_come_over(tmp_path):
    study = {
        "PatientID": "MRN 4711", "IssuerOfPatientID": "HOSPITAL", "PatientBirthDate": "19601224",
        "PatientSex": "F", "PatientAge": "063Y", "PatientWeight": "61",
        "StudyDate": "20240102", "StudyTime": "101112", "StudyID": "S1", "AccessionNumber": "ACC1",
        "StudyDescription": "CT Thorax", "ReferringPhysicianName": "Ref^A",
        "ClinicalTrialSubjectID": "T7", "ClinicalTrialTimePointID": "2",
    }  # fmt: skip

    results = results_of(
        tmp_path / "in", tmp_path / "out", lambda ds: [setattr(ds, *pair) for pair in study.items()]
    )

    assert len(results) == len(DICOM_FORMATS)
    for result in results:
        assert {keyword: str(result[keyword].value) for keyword in study} == study
        assert result.SeriesInstanceUID.startswith("2.25.")
        assert result.Manufacturer == "medvision"


def test_absent_attributes_of_type_2_are_empty(tmp_path):
    def change(ds):
        for keyword in TYPE_2:
            if keyword in ds and keyword != "PatientID":
                delattr(ds, keyword)
        del ds.FrameOfReferenceUID

    results = results_of(tmp_path / "in", tmp_path / "out", change)

    frames_of_reference = {ds.FrameOfReferenceUID for ds in results if "FrameOfReferenceUID" in ds}
    assert len(frames_of_reference) == 1
    for result in results:
        assert [result[keyword].value or "" for keyword in TYPE_2 if keyword != "PatientID"] == [""] * 8
        assert result.PatientID == "P1"


@pytest.mark.filterwarnings("ignore:The value length")
def test_values_that_break_the_standard_do_not_come_over(tmp_path):
    """But what a PACS knows the patient by does."""

    def change(ds):
        ds.PatientBirthDate, ds.StudyTime, ds.PatientAge = "unknown", "noon", "61"
        ds.PatientSex, ds.PatientID = "female", "X" * 70

    for result in results_of(tmp_path / "in", tmp_path / "out", change):
        assert result.PatientID == "X" * 70
        assert result.PatientBirthDate == result.StudyTime == result.PatientSex == ""
        assert "PatientAge" not in result


def test_a_name_that_highdicom_finds_unlikely_is_said_nowhere(tmp_path, caplog, recwarn):
    results_of(tmp_path / "in", tmp_path / "out", lambda ds: setattr(ds, "PatientName", "VERYSECRET"))

    assert not [warning for warning in recwarn if "SECRET" in str(warning.message)]
    assert "SECRET" not in caplog.text


def test_undeclared_letters_are_declared_as_latin_1():
    read_from = Dataset()
    read_from.PatientName = "Müller^J"

    assert tidy(read_from).SpecificCharacterSet == "ISO_IR 100"


def test_a_character_set_that_does_not_exist_becomes_utf_8():
    read_from = Dataset()
    read_from.SpecificCharacterSet, read_from.PatientName = "ISO_IR 99", "Doe^J"

    assert tidy(read_from).SpecificCharacterSet == "ISO_IR 192"


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(DicomError, match=r"gone\.dcm cannot be read: .*No such file"):
        read_source_header(tmp_path / "gone.dcm")


def test_a_scan_from_a_store_gives_what_the_store_keeps(tmp_path, caplog):
    """And says what it lacks."""
    case = make_case(tmp_path / "in")

    for path in write_dicom_results(tmp_path, case.report, case.scan, case.masks, DICOM_FORMATS, None):
        result = pydicom.dcmread(path)
        assert (result.PatientID, result.PatientSex, result.StudyDate) == ("P1", "F", "20240102")
        assert (result.PatientName, result.AccessionNumber) == ("", "")
        assert result.StudyInstanceUID == case.scan.study_instance_uid
    assert "comes from a store, which keeps no names" in caplog.text
    assert "P1" not in caplog.text
