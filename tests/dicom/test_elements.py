"""The short walk over a header, against pydicom and against damage."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from medvision.dicom.elements import BadElementError, EndOfDataError, NotDicomError, read_elements
from tests.dicom.builders import Slices

ROWS, POSITION, PIXEL_DATA = 0x00280010, 0x00200032, 0x7FE00010
SYNTAXES = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]
LISTED = (NotDicomError, BadElementError, EndOfDataError)


def encode(ds, syntax=ExplicitVRLittleEndian) -> bytes:
    """Write a data set in another uncompressed syntax."""
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
        ds["PixelData"].VR = "OW"
    ds.set_original_encoding(syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian)
    ds.file_meta.TransferSyntaxUID = syntax
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def parts(data: bytes) -> tuple[bytes, bytes]:
    """File Meta Information with its preamble; the Data Set."""
    end = 132 + 12 + pydicom.dcmread(io.BytesIO(data)).file_meta.FileMetaInformationGroupLength
    return data[:end], data[end:]


def with_sequences(ds, depth: int = 2):
    """Nest sequences of undefined length, with items of undefined and of no length."""
    item = Dataset()
    item.CodeValue = "121"
    for _ in range(depth):
        outer = Dataset()
        outer.is_undefined_length_sequence_item = True
        outer.ContentSequence = Sequence([item, Dataset()])
        outer["ContentSequence"].is_undefined_length = True
        item = outer
    ds.ProcedureCodeSequence = Sequence([item, Dataset()])
    ds["ProcedureCodeSequence"].is_undefined_length = True
    return ds


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.name)
def test_finds_what_pydicom_finds(syntax):
    data = encode(with_sequences(Slices().dataset(3)), syntax)
    ds = pydicom.dcmread(io.BytesIO(data))
    elements = read_elements(data, {ROWS, POSITION})
    assert elements.transfer_syntax == syntax
    assert int.from_bytes(elements.values[ROWS], "big" if elements.big_endian else "little") == ds.Rows
    assert elements.values[POSITION].decode().strip() == "\\".join(map(str, ds.ImagePositionPatient))
    plain = zlib.decompress(parts(data)[1], -15) if syntax == DeflatedExplicitVRLittleEndian else data
    assert plain[elements.pixel_offset : elements.pixel_offset + elements.pixel_length] == ds.PixelData


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian], ids=lambda uid: uid.name)
def test_reads_files_without_preamble(syntax):
    whole = encode(Slices().dataset(0), syntax)
    for bare in (whole[132:], parts(whole)[1]):
        elements = read_elements(bare, {ROWS})
        assert int.from_bytes(elements.values[ROWS], "little") == 16
        assert elements.transfer_syntax == syntax


def test_believes_the_bytes_when_the_transfer_syntax_lies():
    explicit, implicit = (
        parts(encode(Slices().dataset(0), syntax))
        for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    )
    for meta, dataset in ((explicit[0], implicit[1]), (implicit[0], explicit[1])):
        assert int.from_bytes(read_elements(meta + dataset, {ROWS}).values[ROWS], "little") == 16


@pytest.mark.parametrize(
    "data", [b"", b"hello", bytes(400), b"\x89PNG\r\n\x1a\n" + bytes(200), b"%PDF-1.7" * 40]
)
def test_refuses_what_is_not_dicom(data):
    with pytest.raises(NotDicomError):
        read_elements(data, {ROWS})


def test_refuses_sequences_nested_beyond_reason():
    data = encode(with_sequences(Slices().dataset(0), depth=40))
    with pytest.raises(BadElementError, match="nested deeper than 32"):
        read_elements(data, {ROWS})


def test_a_deflate_bomb_is_refused(monkeypatch):
    monkeypatch.setattr("medvision.dicom.elements.INFLATION_ALLOWANCE_BYTES", 1000)
    monkeypatch.setattr("medvision.dicom.elements.MAX_INFLATION", 0)
    data = encode(Slices(rows=64, columns=64).dataset(0), DeflatedExplicitVRLittleEndian)
    with pytest.raises(BadElementError, match="unpacks to more"):
        read_elements(data, {ROWS})


EXAMPLE = encode(with_sequences(Slices().dataset(0)))


@given(end=st.integers(0, EXAMPLE.index(b"\xe0\x7f\x10\x00") - 1))
@settings(max_examples=150, deadline=None)
def test_a_header_cut_anywhere_is_an_error_of_its_own(end):
    try:
        elements = read_elements(EXAMPLE[:end], {ROWS})
    except LISTED:
        return
    assert elements.pixel_offset is None  # cut between two elements
