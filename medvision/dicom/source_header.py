"""The header of a source image: patient, study and frame of reference for what is derived from it.

What a PACS files a result under has to be the source's, value by value. What the standard does not allow is
left out or emptied, with two exceptions: Patient ID and Patient's Name stay as they are, since a PACS knows
the patient by them.
"""

from __future__ import annotations

from pathlib import Path

from pydicom.charset import python_encoding
from pydicom.config import RAISE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag
from pydicom.valuerep import validate_value

from medvision.dicom.deidentify.quiet import quiet_pydicom
from medvision.dicom.sources import SourceFile
from medvision.errors import DicomError

_PER_FRAME_GROUP = 0x5200
"""Groups from here on describe frames and pixels."""
TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
"""Attributes of PS3.3 C.7.1.1 and C.7.2.1 that must be there, empty where not known."""
_KNOWN_BY = ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID", "SpecificCharacterSet")
_WRITTEN = ("DS", "IS")
"""VRs whose values pydicom gives as numbers."""
_SEXES = ("M", "F", "O")
_LATIN_1, _UTF_8 = "ISO_IR 100", "ISO_IR 192"


def read_source_header(image: Path | SourceFile) -> Dataset:
    """Read an image as far as its frames and pixels, and make it fit to be copied from.

    Raises:
        DicomError: the file cannot be read.
    """
    try:
        with image.open() if isinstance(image, SourceFile) else image.open("rb") as file:
            read = read_partial(file, stop_when=_describes_frames, force=True)
    except Exception as error:  # pydicom raises what it likes over damaged files
        words = " ".join(str(error).split()) or type(error).__name__
        raise DicomError(f"header of {_shown(image)} cannot be read: {words}") from error
    return tidy(read)


def _shown(image: Path | SourceFile) -> str:
    return image.shown if isinstance(image, SourceFile) else str(image)


def _describes_frames(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group >= _PER_FRAME_GROUP


def tidy(read: Dataset) -> Dataset:
    """A copy without values that break their Value Representation, with all type 2 attributes.

    Specific Character Set is one that can say what the texts say.
    """
    header = Dataset()
    with quiet_pydicom():
        for tag in sorted(read.keys()):
            element = _usable(read, tag)
            if element is not None:
                header.add(element)
        for keyword in TYPE_2:
            if keyword not in header:
                setattr(header, keyword, "")
        if header.PatientSex not in _SEXES:
            header.PatientSex = ""
        _name_character_set(header)
    return header


def _usable(read: Dataset, tag: BaseTag) -> DataElement | None:
    """The element, where its value can be read and is what its VR allows."""
    if tag.is_private or tag.element == 0:
        return None
    try:
        element = read[tag]
        if element.keyword not in _KNOWN_BY and element.VR != "SQ":
            for value in element.value if element.VM > 1 else [element.value]:
                validate_value(element.VR, str(value) if element.VR in _WRITTEN else value, RAISE)
    except Exception:  # noqa: BLE001  as above: one odd element does not spoil the others
        return None
    return element


def _name_character_set(header: Dataset) -> None:
    """Declare Latin-1 where non-ASCII texts come undeclared, UTF-8 where a declared set does not exist."""
    declared = header.get("SpecificCharacterSet") or ""
    names = [declared] if isinstance(declared, str) else list(declared)
    if any(name and name not in python_encoding for name in names):
        header.SpecificCharacterSet = _UTF_8
    elif not any(names) and not all(_texts(element).isascii() for element in header):
        header.SpecificCharacterSet = _LATIN_1


def _texts(element: DataElement) -> str:
    return "" if element.VR in {"SQ", "OB", "OW", "UN"} else str(element.value)
