"""Images as hospitals have them: wrong VRs, broken values, hidden bits; dates, words and kinds of image."""

from __future__ import annotations

import io
from datetime import date

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, SecondaryCaptureImageStorage

from medvision.config.deidentification import DeidentificationConfig
from medvision.dicom.deidentify import BurnedInError, DeidentificationKey, deidentify
from medvision.dicom.deidentify.burned_in import why_burned_in
from medvision.dicom.deidentify.dates import shift
from medvision.dicom.deidentify.elements import read_errors
from medvision.dicom.deidentify.quiet import quiet_pydicom
from medvision.dicom.deidentify.words import clean
from medvision.errors import DicomError
from tests.dicom.builders import Slices

KEY = DeidentificationKey(b"0123456789abcdef")
SHIFT = DeidentificationConfig(dates="shift")
CT = "1.2.840.10008.5.1.4.1.1.2"


def raw(ds, keyword, vr, value):
    """Put bytes under a VR that a lying writer chose, as if read from a file."""
    tag = Tag(keyword)
    ds._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    return ds


def written(ds):
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("KVP", "DS", b"ZZ00001Q"),  # kept as a number, and is none
        ("KVP", "LO", b"ZZ00001Q"),
        ("Manufacturer", "LO", b"ACME\x08\x00\x90\x10LO ZZ00001Q"),  # swallowed the next attribute
        ("ConvolutionKernel", "SH", b"B50f" + bytes(70) + b"ZZ00001Q"),
        ("Rows", "LO", b"ZZ00001Q"),
        ("InstanceNumber", "IS", b"ZZ00001Q"),
        ("ConvolutionKernel", "OB", b"ZZ00001Q"),
        ("AnatomicRegionSequence", "OB", b"ZZ00001Q"),
        ("AnatomicRegionSequence", "UN", b"ZZ00001Q"),
        ("StudyDate", "LO", b"ZZ00001Q"),
        ("PatientBirthDate", "DA", b"ZZ00001Q"),
        ("PatientName", "OB", b"ZZ00001Q"),
        ("StudyInstanceUID", "LO", b"ZZ00001Q"),
        ("PatientSex", "SQ", b"ZZ00001Q"),
        ("SpecificCharacterSet", "CS", b"ZZ00001Q"),
    ],
)
@pytest.mark.parametrize("config", [DeidentificationConfig(), SHIFT])
def test_a_value_under_a_wrong_vr_does_not_pass(keyword, vr, value, config):
    out = deidentify(raw(Slices().dataset(0), keyword, vr, value), KEY, config)

    assert b"ZZ00001Q" not in written(out)


@pytest.mark.parametrize(
    "keyword", ["PatientID", "StudyInstanceUID", "SOPClassUID", "StudyDate", "ImageType", "Rows"]
)
def test_what_is_absent_is_not_missed(keyword):
    ds = Slices().dataset(0)
    del ds[keyword]

    assert keyword not in deidentify(ds, KEY, SHIFT) or keyword == "PatientID"


def test_names_in_other_scripts_are_gone():
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    ds = Slices().dataset(0)
    ds.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    ds.PatientName = ds.PatientComments = name
    ds.Manufacturer = "東芝"
    data = written(pydicom.dcmread(io.BytesIO(written(ds))))
    out = written(deidentify(pydicom.dcmread(io.BytesIO(data)), KEY))

    for script in ("山田", "太郎", "やまだ"):
        assert script.encode("iso2022_jp")[3:-3] in data
        assert script.encode("iso2022_jp")[3:-3] not in out
        assert not [codec for codec in ("utf-8", "shift_jis") if script.encode(codec) in out]
    assert pydicom.dcmread(io.BytesIO(out)).Manufacturer == "東芝"


def test_unknown_attributes_and_free_text_outside_the_table_are_gone():
    ds = Slices().dataset(0)
    ds.add_new(0x00080004, "LO", "ZZ00001Q")  # stands in no dictionary
    ds.PartialViewDescription = "ZZ00002Q"
    ds.EvaluatorName = "ZZ00003Q"
    ds.RetrieveURL = "http://ZZ00004Q.org"
    ds.SOPInstanceUIDOfConcatenationSource = "1.2.3.4"
    ds.SecondaryReviewDate = "20240102"
    out = deidentify(ds, KEY, SHIFT)

    assert b"ZZ0000" not in written(out)
    assert out.SOPInstanceUIDOfConcatenationSource == KEY.uid("1.2.3.4")
    assert out.SecondaryReviewDate == shift("20240102", "DA", KEY.shift_days("P1"))
    assert "SecondaryReviewDate" not in deidentify(ds, KEY)


def test_bits_and_bytes_that_are_no_pixel_are_cleared():
    ds = Slices(signed=True, intercept=0.0).dataset(0)
    ds.BitsStored, ds.HighBit = 12, 11
    ds.PixelData = (np.arange(-96, 96, dtype="<i2") ^ 0x4000).astype("<i2").tobytes() + b"ZZ00001Q"
    out = deidentify(ds, KEY)

    np.testing.assert_array_equal(np.frombuffer(out.PixelData, "<i2"), np.arange(-96, 96))


def test_big_endian_words_keep_their_order():
    words = np.arange(192, dtype=">u2")
    ds = Slices().dataset(0)
    ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    ds.BitsStored, ds.HighBit = 12, 11
    ds.PixelData = (words | 0xF000).astype(">u2").tobytes()
    out = deidentify(ds, KEY)

    np.testing.assert_array_equal(np.frombuffer(out.PixelData, ">u2"), words)


def test_bytes_in_implicit_vr_come_out_the_same_way():
    ds = Slices().dataset(0)
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    again = pydicom.dcmread(io.BytesIO(written(ds)))

    assert deidentify(again, KEY).PixelData == ds.PixelData


def test_nesting_without_end_is_one_line():
    ds = Slices().dataset(0)
    inner = ds
    for _ in range(2000):
        inner.AnatomicRegionSequence = [Dataset()]
        inner = inner.AnatomicRegionSequence[0]

    with pytest.raises(DicomError, match="nested too deeply"):
        deidentify(ds, KEY)


def test_a_secondary_capture_is_refused_unless_it_says_that_nothing_is_burned_in():
    ds = Slices().dataset(0)
    ds.SOPClassUID = SecondaryCaptureImageStorage
    with pytest.raises(BurnedInError, match="secondary capture"):
        deidentify(ds, KEY)
    ds.BurnedInAnnotation = "NO"

    assert deidentify(ds, KEY).BurnedInAnnotation == "NO"


@pytest.mark.parametrize(
    ("declared", "sop_class", "image_type", "refused"),
    [
        ("", CT, ["ORIGINAL", "PRIMARY", "AXIAL"], False),
        ("NO", CT, ["DERIVED", "SECONDARY", "AXIAL"], False),
        ("YES", CT, ["ORIGINAL", "PRIMARY", "AXIAL"], True),
        ("yes ", CT, [], True),
        ("NO", CT, ["DERIVED", "SECONDARY", "SCREEN SAVE"], True),
        ("", CT, ["DERIVED", "SECONDARY", "OTHER", "DOSE_INFO"], True),
        ("", "1.2.840.10008.5.1.4.1.1.7.4", [], True),
        ("", "1.2.840.10008.5.1.4.1.1.6.1", [], True),
        ("", "1.2.840.10008.5.1.4.1.1.3.1", [], True),
        ("", "1.2.840.10008.5.1.4.1.1.77.1.4", [], True),
        ("", "1.2.840.10008.5.1.4.1.1.104.1", [], True),
        ("", "1.2.840.10008.5.1.4.1.1.66.4", [], False),
        ("", "", [], False),
    ],
)
def test_kinds_of_image_that_show_words(declared, sop_class, image_type, refused):
    assert bool(why_burned_in(declared, sop_class, image_type)) == refused


DAYS = st.integers(1, 3652)
DATES = st.dates(date(1900, 1, 1), date(2100, 1, 1))


@given(DATES, DATES, DAYS)
def test_intervals_stay(one, other, days):
    moved = [date.fromisoformat(shift(f"{d:%Y%m%d}", "DA", days)) for d in (one, other)]

    assert moved[1] - moved[0] == other - one
    assert (one - moved[0]).days == days


@given(DATES, DAYS)
def test_dates_with_times_move_as_dates_do(day, days):
    moved = shift(f"{day:%Y%m%d}", "DA", days)

    assert shift(f"{day:%Y%m%d}101112.5+0100", "DT", days) == f"{moved}101112.5+0100"
    assert shift(f"{day:%Y.%m.%d}", "DA", days) == moved


@pytest.mark.parametrize(
    ("value", "vr"),
    [
        ("", "DA"),
        ("2024", "DT"),
        ("20241301", "DA"),
        ("00010101", "DA"),
        ("Monday", "TM"),
        ("20240102", "LO"),
        ("99991231-", "DA"),
    ],
)
def test_what_is_no_date_is_not_moved(value, vr):
    assert shift(value, vr, 10) is None


def test_times_of_day_stay():
    assert shift("101112.123456", "TM", 10) == "101112.123456"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("CHEST 1.0 B50f", "CHEST 1.0 B50f"),
        ("Thorax nativ, Weichteil 5mm", "Thorax nativ Weichteil 5mm"),
        ("Müller Thorax 12/03/1950", "Thorax"),
        ("LUNG 12.03.50 4711", "LUNG"),
        ("Dr. Jones asked for CT", "for CT"),
        ("", ""),
    ],
)
def test_descriptions_keep_known_words_only(text, left):
    assert clean(text) == left


@given(st.text())
def test_nothing_unknown_gets_through(text):
    known = clean(text)

    assert clean(known) == known
    assert all(word in text for word in known.split())


def test_codes_of_a_hospital_are_dropped_and_shared_ones_cleaned():
    def code(value, scheme, meaning):
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
        return item

    ds = Slices().dataset(0)
    ds.AdmittingDiagnosesCodeSequence = [
        code("4711", "99LOCAL", "Doe"),
        code("169069000", "SCT", "CT of chest for Doe"),
    ]
    ds.SeriesDescription = "Doe"
    out = deidentify(ds, KEY, DeidentificationConfig(clean_descriptors=True))

    assert [item.CodeMeaning for item in out.AdmittingDiagnosesCodeSequence] == ["CT of chest for"]
    assert "SeriesDescription" not in out


def test_uids_that_are_none_are_replaced_even_where_uids_stay():
    ds = raw(Slices().dataset(0), "StudyInstanceUID", "UI", b"ZZ00001Q")
    out = deidentify(ds, KEY, DeidentificationConfig(retain_uids=True))

    assert out.StudyInstanceUID == KEY.uid("ZZ00001Q")
    assert out.SOPInstanceUID == ds.SOPInstanceUID


def test_a_group_of_values_stays_a_group():
    ds = Slices().dataset(0)
    ds.add(DataElement("DateOfLastCalibration", "DA", ["20240102", "20240203"]))
    out = deidentify(ds, KEY, SHIFT)

    assert len(out.DateOfLastCalibration) == 2


def test_damaged_images_are_refused_in_one_line_or_come_out_clean():
    base = written(Slices(extra={"PatientComments": "ZZ00001Q", "PatientName": "ZZ00002Q"}).dataset(0))
    random, end = np.random.default_rng(7), base.rindex(b"\xe0\x7f\x10\x00") + 12
    refusals = []
    for _ in range(300):
        data = bytearray(base)
        for place in random.integers(132, end, 4):
            data[place] = random.integers(256)
        with quiet_pydicom():
            try:
                ds = pydicom.dcmread(io.BytesIO(bytes(data)), force=True)
            except read_errors():
                continue
            try:
                out = deidentify(ds, KEY)
            except DicomError as error:
                refusals.append(str(error))
                continue
        assert out.PatientIdentityRemoved == "YES"
    assert refusals
    assert "ZZ0" not in "".join(refusals)


def test_an_unknown_transfer_syntax_is_said():
    ds = Slices().dataset(0)
    ds.file_meta.TransferSyntaxUID = "1.2.840.113619.5.2"

    with pytest.raises(DicomError, match="Transfer Syntax"):
        deidentify(ds, KEY)
