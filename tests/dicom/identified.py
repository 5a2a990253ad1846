"""A CT image with something to find in every attribute of table E.1-1, and the search for it."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from medvision.dicom.deidentify.table import rules

MARKED_DATE, MARKED_TIME, MARKED_NUMBER, MARKED_UID = "19370411", "112233.44", "31415926", "1.2.3.2718281"
MARKS = re.compile(rb"ZZ[0-9]{5}Q|19370411|112233\.44|31415926|2718281|777Y|T\xe4nzer|T\xc3\xa4nzer")
"""Whatever `mark` makes, and a name with an umlaut in two encodings."""
_NUMBERS = {"US", "SS", "UL", "SL", "FL", "FD", "AT"}


def vr_of(tag: int) -> str:
    """VR in PS3.6, the first of several; UT for what pydicom's dictionary does not know yet."""
    return dictionary_VR(tag).split(" or ")[0] if dictionary_has_tag(tag) else "UT"


def mark(vr: str, number: int) -> object:
    """A value of a VR that `MARKS` finds."""
    text = f"ZZ{number:05d}Q"
    special = {
        "AS": "777Y", "DA": MARKED_DATE, "DT": f"{MARKED_DATE}{MARKED_TIME}", "TM": MARKED_TIME,
        "DS": MARKED_NUMBER, "IS": MARKED_NUMBER, "UI": f"{MARKED_UID}.{number}", "UR": f"http://{text}.org",
        "OB": text.encode(), "OW": text.encode(), "UN": text.encode(), "PN": f"{text}^Tänzer",
    }  # fmt: skip
    return 7 if vr in _NUMBERS else special.get(vr, text)


def marked_item(number: int, *, depth: int = 1) -> Dataset:
    """An item of a sequence with marks in attributes of the table, private ones and deeper items."""
    item = Dataset()
    for keyword in ("PatientName", "PatientID", "PatientComments", "StudyDate", "ReferencedSOPInstanceUID"):
        setattr(item, keyword, mark(vr_of(DataElement(keyword, "LO", "").tag), number))
    item.private_block(0x0009, f"ZZ{number:05d}Q", create=True).add_new(0x01, "LO", f"ZZ{number:05d}Q")
    if depth:
        item.RequestAttributesSequence = [marked_item(number, depth=depth - 1)]
        item.AnatomicRegionSequence = [marked_item(number, depth=depth - 1)]
    return item


def tags_of_images() -> list[int]:
    """Rows of the table that a Data Set on a disk can hold; not those of messages and directories."""
    return [tag for tag in rules() if tag >> 16 >= 8]


def mark_everything(ds: Dataset, *, leave: tuple[int, ...] = ()) -> Dataset:
    """Put a mark into every attribute of the table and into the places that it covers as groups."""
    ds.SpecificCharacterSet = "ISO_IR 100"
    for number, tag in enumerate(tags_of_images()):
        if tag not in leave:
            vr = vr_of(tag)
            ds.add_new(tag, vr, [marked_item(number)] if vr == "SQ" else mark(vr, number))
    for tag, vr in ((0x50003000, "OB"), (0x60003000, "OB"), (0x60020022, "LO"), (0x60004000, "LT")):
        ds.add_new(tag, vr, mark(vr, 90000))
    ds.add_new(0x60000010, "US", 16)
    ds.private_block(0x0011, "ZZ90001Q", create=True).add_new(0x01, "SQ", [marked_item(90001)])
    ds.AnatomicRegionSequence = [marked_item(90002)]  # not in the table: kept, with clean items
    return ds


def marks_in(folder: Path) -> dict[str, set[bytes]]:
    """Marks in names and bytes of every file, by file; compressed ones are unpacked first."""
    found = {}
    for path in folder.rglob("*"):
        data = str(path.relative_to(folder)).encode()
        if path.is_file():
            raw = path.read_bytes()
            data += raw + (gzip.decompress(raw) if path.suffix == ".gz" else b"")
        if hits := set(MARKS.findall(data)):
            found[str(path)] = hits
    return found
