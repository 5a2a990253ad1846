"""A de-identified STORE: not one byte that names a patient, in any file, nor on the terminal."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import zipfile
from functools import cache

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from medvision.cli.main import run
from medvision.config.deidentification import DeidentificationConfig
from medvision.contracts import check_document
from medvision.dicom.deidentify import DeidentificationKey, ingest_deidentified
from medvision.dicom.problems import Reason
from medvision.dicom.store import ingest
from medvision.dicom.stored import open_store
from medvision.errors import NothingToDoError, OutputError
from tests.dicom.builders import SERIES_UID, Slices, edit, save, write_series
from tests.dicom.identified import MARKED_UID, MARKS, mark_everything, marks_in

KEY = DeidentificationKey(b"0123456789abcdef")
OTHER_KEY = DeidentificationKey(b"fedcba9876543210")
SHIFTED = DeidentificationConfig(dates="shift")
OWN = ("SOPInstanceUID", "SeriesInstanceUID", "AcquisitionTime")
"""What a mark would part into series of one slice each."""
COMMON = (
    "StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName", "PatientBirthDate", "StudyDate",
    "SeriesDescription", "AcquisitionDate", "ContrastBolusAgent", "StudyDescription", "SpecificCharacterSet",
)  # fmt: skip
"""What every slice needs or shows; the first and another one have marks in all of the table."""


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@cache
def marked():
    """Marks in every attribute."""
    ds = mark_everything(Dataset())
    for keyword in OWN:
        del ds[keyword]
    return ds


def write_marked(folder):
    """A good series full of marks, in its names, its bytes and behind its pixels."""
    slices = Slices(series_uid=f"{MARKED_UID}.5")
    for k in range(len(slices.positions_mm)):
        ds = slices.dataset(k)
        ds.update({e.tag: e for e in marked() if k in (0, 12) or e.keyword in COMMON})
        ds.preamble = b"ZZ00001Q".ljust(128)
        ds.file_meta.SourceApplicationEntityTitle = "ZZ00002Q"
        ds.PixelData += b"ZZ00003Q"
        save(ds, folder / "ZZ00004Q^Tänzer" / f"ZZ00005Q 19370411 {k}.dcm")
    return folder


@pytest.fixture
def dirty(tmp_path):
    """Marks in good and rejected series, in damaged and foreign files, in archives and their members."""
    folder = write_marked(tmp_path / "ZZ00006Q")
    (folder / "ZZ00007Q.txt").write_text("ZZ00008Q 19370411")
    (folder / "ZZ00009Q.dcm").write_bytes(bytes(128) + b"DICM\x10\x00\x10\x00ZZ00009Q")
    whole = next(folder.rglob("* 3.dcm"))
    (folder / "ZZ00010Q cut.dcm").write_bytes(whole.read_bytes()[:-50])
    shutil.copy(whole, folder / "ZZ00011Q twin.dcm")
    write_series(folder / "scout", Slices([0.0, 2.0], series_uid=f"{MARKED_UID}.7"))
    mark = {"PatientName": "ZZ00012Q", "Modality": "MR", "SeriesDescription": "ZZ00013Q"}
    for path in write_series(folder / "mr", Slices(series_uid="1.2.3.4.5678", extra=mark)):
        path.write_bytes(path.read_bytes().replace(b"1.2.3.4.5678", b"ZZ00014Q 777"))
    with zipfile.ZipFile(folder / "ZZ00015Q.zip", "w") as archive:
        archive.writestr("ZZ00016Q/ZZ00017Q.dcm", b"ZZ00018Q")
        archive.write(whole, "ZZ00019Q.dcm")
    return folder


def test_no_byte_of_a_patient_enters_the_store_or_the_terminal(dirty, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("MEDVISION_DEIDENTIFY_KEY", "a secret of sufficient length")
    assert marks_in(dirty)
    before = {path: path.read_bytes() for path in dirty.rglob("*") if path.is_file()}

    code = run(["ingest", "-vv", str(dirty), "-o", str(tmp_path / "store"), "--deidentify", "--dicom-copies"])

    shown = capfd.readouterr()
    assert code == 0, shown
    assert not marks_in(tmp_path / "store")
    assert not MARKS.findall((shown.out + shown.err).encode())
    assert "secret of" not in shown.out + shown.err
    assert [row["status"] for row in rows(tmp_path / "store" / "series.csv")].count("warned") == 1
    assert len(list((tmp_path / "store" / "dicom").rglob("*.dcm"))) == 24
    assert {path: path.read_bytes() for path in dirty.rglob("*") if path.is_file()} == before


def test_neither_does_the_key_enter_it(tmp_path):
    ingest_deidentified([write_marked(tmp_path / "in")], tmp_path / "store", key=KEY)

    for path in (tmp_path / "store").rglob("*"):
        assert path.is_dir() or KEY.secret not in path.read_bytes()
    assert KEY.secret.decode() not in repr(KEY)


def test_voxels_and_geometry_are_the_same_bytes(tmp_path):
    source = write_marked(tmp_path / "in")
    ingest([source], tmp_path / "plain")
    ingest_deidentified([source], tmp_path / "store", key=KEY)
    (plain,), (new,) = open_store(tmp_path / "plain"), open_store(tmp_path / "store")
    before, after = plain.load(), new.load()

    one, other = (tmp_path / name / entry.row.volume for name, entry in (("plain", plain), ("store", new)))
    assert one.read_bytes() == other.read_bytes()
    assert gzip.decompress(other.read_bytes())[148:252].strip(b"\0") == b""  # descrip and aux_file
    np.testing.assert_array_equal(before.volume.affine, after.volume.affine)
    assert before.checks == after.checks
    assert (before.name, before.patient_id) != (after.name, after.patient_id)
    assert [s.instance_number for s in before.slices] == [s.instance_number for s in after.slices]


def test_the_copies_are_the_images_that_the_volume_refers_to(tmp_path):
    config = DeidentificationConfig(dicom_copies=True)
    ingest_deidentified([write_marked(tmp_path / "in")], tmp_path / "store", key=KEY, config=config)
    (entry,) = open_store(tmp_path / "store")
    scan = entry.load()
    copies = tmp_path / "store" / "dicom"
    ingest([copies], tmp_path / "again")
    (again,) = (e for e in open_store(tmp_path / "again"))

    assert {path.stem for path in (copies / scan.series_instance_uid).iterdir()} == {
        s.sop_instance_uid for s in scan.slices
    }
    assert again.name == scan.name
    assert again.patient_id == scan.patient_id
    np.testing.assert_array_equal(again.load().volume.array, scan.volume.array)


def test_same_key_same_pseudonyms_other_key_none_that_match(tmp_path):
    source = write_marked(tmp_path / "in")
    for name, key in (("a", KEY), ("b", KEY), ("c", OTHER_KEY)):
        config = DeidentificationConfig(dates="shift", dicom_copies=True)
        ingest_deidentified([source], tmp_path / name, key=key, config=config)
    a, b, c = ({p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*") if p.is_file()}
               for n in "abc")  # fmt: skip

    assert a == b
    assert {path.name for path in a} & {path.name for path in c} == {
        "series.csv", "problems.csv", "patients.csv", "deidentification.json",
    }  # fmt: skip
    first, last = (open_store(tmp_path / name)[0].load() for name in "ac")
    assert first.patient_id != last.patient_id
    assert first.input_sha256 != last.input_sha256
    assert first.attributes["StudyDate"] != last.attributes["StudyDate"]
    assert not {s.sop_instance_uid for s in first.slices} & {s.sop_instance_uid for s in last.slices}


def test_follow_ups_stay_together_and_apart_by_the_same_days(tmp_path):
    for number, day in enumerate(("20240102", "20240403", "20240403")):
        slices = Slices(
            series_uid=f"1.2.{number}",
            study_uid=f"1.3.{number}",
            extra={"StudyDate": day, "PatientID": f"P{number // 2}"},
        )
        write_series(tmp_path / "in" / str(number), slices)
    ingest_deidentified([tmp_path / "in"], tmp_path / "store", key=KEY, config=SHIFTED)
    scans = [entry.load() for entry in open_store(tmp_path / "store")]
    by_series = {scan.series_instance_uid: scan for scan in scans}
    first, second, other = (by_series[KEY.uid(f"1.2.{number}")] for number in range(3))
    dates = [
        np.datetime64(f"{d[:4]}-{d[4:6]}-{d[6:]}")
        for d in (s.attributes["StudyDate"] for s in (first, second))
    ]

    assert first.patient_id == second.patient_id == KEY.patient_id("P0")
    assert other.patient_id != first.patient_id
    assert dates[1] - dates[0] == np.timedelta64(92, "D")
    assert dates[0] < np.datetime64("2024-01-02")
    assert other.attributes["StudyDate"] != second.attributes["StudyDate"]


def test_a_series_without_patient_id_keeps_its_study_together(tmp_path):
    for number in range(2):
        write_series(
            tmp_path / "in" / str(number), Slices(series_uid=f"1.2.{number}", extra={"PatientID": ""})
        )
    ingest_deidentified([tmp_path / "in"], tmp_path / "store", key=KEY)

    assert len({entry.load().patient_id for entry in open_store(tmp_path / "store")}) == 1


def test_options_reach_the_store(tmp_path):
    words = {"SeriesDescription": "Thorax ZZ00001Q 1.5mm 12.3.1950", "StudyDescription": "ZZ00002Q"}
    write_series(tmp_path / "in", Slices(extra=words))
    config = DeidentificationConfig(
        clean_descriptors=True, retain_patient_characteristics=True, retain_uids=True
    )
    ingest_deidentified([tmp_path / "in"], tmp_path / "store", key=KEY, config=config)
    (entry,) = open_store(tmp_path / "store")
    attributes = entry.load().attributes

    assert entry.name == SERIES_UID
    assert (attributes["PatientSex"], attributes["PatientAge"]) == ("F", "061Y")
    assert attributes["SeriesDescription"] == "Thorax 1.5mm"
    assert attributes["PatientIdentityRemoved"] == "YES"
    assert "PS3.15" in attributes["DeidentificationMethod"]
    assert not {"StudyDescription", "StudyDate"} & set(attributes)
    assert not marks_in(tmp_path / "store")


def test_the_audit_says_what_happened(tmp_path):
    config = DeidentificationConfig(dates="shift", dicom_copies=True)
    ingest_deidentified([write_marked(tmp_path / "in")], tmp_path / "store", key=KEY, config=config)
    audit = json.loads((tmp_path / "store" / "deidentification.json").read_text())
    check_document(audit, "deidentification")
    in_volumes = {row["keyword"]: row for row in audit["volumes"]["attributes"]}
    in_copies = {(row["keyword"], row["action"]): row["count"] for row in audit["dicom_copies"]["attributes"]}

    assert audit["options"]["dates"] == "shift"
    assert [code["code"] for code in audit["method_codes"]] == ["113100", "113107"]
    assert in_volumes["PatientID"] == {
        "tag": "(0010,0020)", "keyword": "PatientID", "action": "replaced by a pseudonym", "count": 24,
    }  # fmt: skip
    assert in_volumes["StudyDate"]["action"] == "date shifted"
    assert in_copies["PatientBirthDate", "emptied"] == 24
    assert audit["dicom_copies"]["n_files"] == 24


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("BurnedInAnnotation", "YES"), ("ImageType", ["ORIGINAL", "PRIMARY", "AXIAL", "DOSE_INFO"])],
)
def test_a_series_with_burned_in_annotation_is_refused(tmp_path, keyword, value):
    write_series(tmp_path / "in")
    edit(tmp_path / "in" / "003.dcm", lambda ds: setattr(ds, keyword, value))
    ingest_deidentified([tmp_path / "in"], tmp_path / "store", key=KEY)
    (row,), (problem,) = (rows(tmp_path / "store" / name) for name in ("series.csv", "problems.csv"))

    assert row["status"] == "rejected"
    assert "burned into 1 of 24 images" in row["reasons"]
    assert problem["reason"] == "burned_in"
    assert problem["path"].startswith("file-")
    assert not list((tmp_path / "store" / "volumes").glob("*.nii.gz"))
    ingest([tmp_path / "in"], tmp_path / "plain")
    assert rows(tmp_path / "plain" / "series.csv")[0]["status"] == "warned"


def test_letters_in_every_slice_are_refused_unless_that_is_switched_off(tmp_path):
    from PIL import Image, ImageDraw

    picture = Image.new("L", (96, 64))
    ImageDraw.Draw(picture).text((4, 40), "DOE JANE", fill=255)
    for k, path in enumerate(write_series(tmp_path / "in", Slices(rows=64, columns=96))):
        ds = pydicom.dcmread(path)
        pixels = np.random.default_rng(k).integers(0, 1000, (64, 96), np.uint16)
        pixels[np.array(picture) > 100] = 3000
        ds.PixelData = pixels.tobytes()
        ds.save_as(path)
    allowed = DeidentificationConfig(refuse_pixel_text=False)
    ingest_deidentified([tmp_path / "in"], tmp_path / "refused", key=KEY)
    ingest_deidentified([tmp_path / "in"], tmp_path / "taken", key=KEY, config=allowed)

    assert "line of letters" in rows(tmp_path / "refused" / "series.csv")[0]["reasons"]
    assert not list((tmp_path / "refused" / "volumes").glob("*.nii.gz"))
    assert rows(tmp_path / "taken" / "series.csv")[0]["status"] == "warned"


def test_every_reason_has_words_without_values():
    from typing import get_args

    from medvision.dicom.deidentify.store import _DETAILS

    assert set(_DETAILS) == set(get_args(Reason))


def test_a_second_run_keeps_what_is_there(tmp_path):
    source = write_marked(tmp_path / "in")
    config = DeidentificationConfig(dicom_copies=True)
    ingest_deidentified([source], tmp_path / "store", key=KEY, config=config)
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (tmp_path / "store").rglob("*.dcm")}
    audit = (tmp_path / "store" / "deidentification.json").read_bytes()
    result = ingest_deidentified([source], tmp_path / "store", key=KEY, config=config)

    assert result.n_kept == 1
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (tmp_path / "store").rglob("*.dcm")} == before
    assert (tmp_path / "store" / "deidentification.json").read_bytes() == audit


def test_identified_and_de_identified_are_never_mixed(tmp_path, capsys):
    source = write_series(tmp_path / "in")[0].parent
    ingest([source], tmp_path / "plain")
    ingest_deidentified([source], tmp_path / "store", key=KEY)

    with pytest.raises(OutputError, match="not de-identified"):
        ingest_deidentified([source], tmp_path / "plain", key=KEY)
    with pytest.raises(OutputError, match="another key"):
        ingest_deidentified([source], tmp_path / "store", key=OTHER_KEY)
    with pytest.raises(OutputError, match="other options"):
        ingest_deidentified([source], tmp_path / "store", key=KEY, config=SHIFTED)
    assert run(["ingest", str(source), "-o", str(tmp_path / "store")]) == 2
    assert "give --deidentify" in capsys.readouterr().err
    (tmp_path / "store" / "deidentification.json").write_text("{")
    with pytest.raises(OutputError, match="damaged"):
        ingest_deidentified([source], tmp_path / "store", key=KEY)


def test_nothing_to_do_names_no_folder(tmp_path):
    (tmp_path / "ZZ00001Q").mkdir()
    with pytest.raises(NothingToDoError) as caught:
        ingest_deidentified([tmp_path / "ZZ00001Q"], tmp_path / "store", key=KEY)

    assert not MARKS.findall(str(caught.value).encode())


def test_options_without_deidentify_are_wrong_usage(tmp_path, capsys):
    assert run(["ingest", str(tmp_path), "-o", str(tmp_path / "store"), "--dicom-copies"]) == 2
    assert "need --deidentify" in capsys.readouterr().err
