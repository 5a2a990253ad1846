"""Real images in every transfer syntax, a SEG and an SR: de-identified, and still what they were."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pydicom
import pytest

from medvision.dicom.deidentify import DeidentificationKey, deidentify, ingest_deidentified
from medvision.dicom.store import ingest
from medvision.dicom.stored import open_store

KEY = DeidentificationKey(b"0123456789abcdef")


def names_in(ds):
    """Every value that says who: names, IDs, dates, institutions, UIDs; at any depth."""
    found = set()
    for element in ds.iterall():
        if element.VR in ("PN", "DA", "UI") or element.keyword in (
            "PatientID",
            "InstitutionName",
            "AccessionNumber",
        ):
            values = element.value if element.VM > 1 else [element.value]
            found |= {str(value) for value in values if value}
    return {text for text in found if len(text) > 4 and not text.startswith("1.2.840.10008.")}


def test_files_of_every_kind(real_data):
    paths = sorted(p for p in (real_data / "dicom").rglob("*") if p.is_file() and p.suffix in ("", ".dcm"))
    assert len(paths) >= 8
    for path in paths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            before = pydicom.dcmread(path, force=True)
            buffer = io.BytesIO()
            deidentify(before, KEY).save_as(buffer, enforce_file_format=True)
            after = pydicom.dcmread(io.BytesIO(buffer.getvalue()))
            if "PixelData" in before:
                np.testing.assert_array_equal(after.pixel_array, before.pixel_array)
            left = {text for text in names_in(before) if text.encode() in buffer.getvalue()}
        assert after.PatientIdentityRemoved == "YES"
        assert after.SOPInstanceUID == KEY.uid(before.SOPInstanceUID)
        assert not left, path


@pytest.mark.real
def test_a_whole_scan_is_the_same_picture(lidc_0001, tmp_path):
    ingest([lidc_0001], tmp_path / "plain")
    ingest_deidentified([lidc_0001], tmp_path / "store", key=KEY)
    before, after = (
        next(e for e in open_store(tmp_path / name) if e.status != "rejected") for name in ("plain", "store")
    )

    one, other = (tmp_path / name / e.row.volume for name, e in (("plain", before), ("store", after)))
    assert one.read_bytes() == other.read_bytes()
    assert after.patient_id == KEY.patient_id(before.patient_id)
    for path in (tmp_path / "store").rglob("*"):
        if path.is_file() and path.suffix != ".gz":
            assert b"LIDC" not in path.read_bytes()
            assert b"1.3.6.1.4.1.14519" not in path.read_bytes()
