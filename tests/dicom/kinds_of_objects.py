"""One small file of each kind of object that the reader meets, and of each way to write elements."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ComprehensiveSRStorage,
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    MRImageStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
)

from tests.dicom.builders import Slices, header
from tests.dicom.test_syntaxes import enhanced

SYNTAXES = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}


def _object(sop_class: UID) -> Dataset:
    made = header("1.2.9.1", "1.2.9", "1.2")
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = sop_class
    return made


def _slice() -> Dataset:
    return Slices().dataset(0)


def _enhanced() -> Dataset:
    return enhanced(Slices(), range(len(Slices().positions_mm)))


def _magnetic_resonance() -> Dataset:
    made = _slice()
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = MRImageStorage
    made.Modality = "MR"
    return made


def _localiser() -> Dataset:
    made = _slice()
    made.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    return made


def _colour_capture() -> Dataset:
    made = _object(SecondaryCaptureImageStorage)
    made.Rows = made.Columns = 16
    made.SamplesPerPixel, made.PlanarConfiguration, made.PhotometricInterpretation = 3, 0, "RGB"
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation, made.PixelData = 7, 0, bytes(768)
    return made


def _map_of_floats() -> Dataset:
    made = _object(ParametricMapStorage)
    made.Rows = made.Columns = made.NumberOfFrames = 8
    made.BitsAllocated, made.FloatPixelData = 32, bytes(2048)
    return made


def _report() -> Dataset:
    made, item = _object(ComprehensiveSRStorage), Dataset()
    made.Modality, item.ValueType, item.TextValue = "SR", "TEXT", "nodule"
    for _ in range(12):
        outer = Dataset()
        outer.ValueType, outer.ContentSequence = "CONTAINER", [item]
        item = outer
    made.ContentSequence = [item]
    return made


def _document() -> Dataset:
    made = _object(EncapsulatedPDFStorage)
    made.MIMETypeOfEncapsulatedDocument, made.EncapsulatedDocument = "application/pdf", b"%PDF-1.7 " * 30
    return made


def _directory() -> Dataset:
    made, record = _object(MediaStorageDirectoryStorage), Dataset()
    record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", ["IN", "A0"]
    made.DirectoryRecordSequence = [record] * 20
    return made


KINDS: dict[str, Callable[[], Dataset]] = {
    "slice": _slice,
    "enhanced": _enhanced,
    "mr": _magnetic_resonance,
    "localiser": _localiser,
    "capture": _colour_capture,
    "floats": _map_of_floats,
    "report": _report,
    "document": _document,
    "directory": _directory,
}


def encode(made: Dataset, syntax: UID) -> bytes:
    """A DICOM file's bytes."""
    buffer = io.BytesIO()
    made.file_meta.TransferSyntaxUID = syntax
    dcmwrite(
        buffer,
        made,
        implicit_vr=syntax.is_implicit_VR,
        little_endian=syntax.is_little_endian,
        force_encoding=True,  # also from little to big endian; the pixels stay as they are
    )
    return buffer.getvalue()


def write_objects(folder: Path) -> list[Path]:
    """Each kind in each syntax; returns the paths."""
    folder.mkdir(parents=True)
    paths = []
    for kind, make in KINDS.items():
        for name, syntax in SYNTAXES.items():
            paths.append(folder / f"{kind}_{name}.dcm")
            paths[-1].write_bytes(encode(make(), syntax))
    return paths
