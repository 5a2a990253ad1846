"""What the bytes of a Data Element say: text, decimals, integers; None where they say nothing usable."""

from __future__ import annotations

import math
import struct

from medvision.dicom.elements import Elements

TEXT_TAGS = {
    "MediaStorageSOPClassUID": 0x00020002,
    "SpecificCharacterSet": 0x00080005,
    "ImageType": 0x00080008,
    "SOPClassUID": 0x00080016,
    "SOPInstanceUID": 0x00080018,
    "StudyDate": 0x00080020,
    "AcquisitionDate": 0x00080022,
    "AcquisitionTime": 0x00080032,
    "Modality": 0x00080060,
    "Manufacturer": 0x00080070,
    "StudyDescription": 0x00081030,
    "SeriesDescription": 0x0008103E,
    "ManufacturerModelName": 0x00081090,
    "PatientID": 0x00100020,
    "PatientSex": 0x00100040,
    "PatientAge": 0x00101010,
    "BodyPartExamined": 0x00180015,
    "ContrastBolusAgent": 0x00180010,
    "SliceThickness": 0x00180050,
    "KVP": 0x00180060,
    "TriggerTime": 0x00181060,
    "GantryDetectorTilt": 0x00181120,
    "XRayTubeCurrent": 0x00181151,
    "Exposure": 0x00181152,
    "ConvolutionKernel": 0x00181210,
    "PatientPosition": 0x00185100,
    "StudyInstanceUID": 0x0020000D,
    "SeriesInstanceUID": 0x0020000E,
    "AcquisitionNumber": 0x00200012,
    "InstanceNumber": 0x00200013,
    "ImagePositionPatient": 0x00200032,
    "ImageOrientationPatient": 0x00200037,
    "FrameOfReferenceUID": 0x00200052,
    "TemporalPositionIdentifier": 0x00200100,
    "PhotometricInterpretation": 0x00280004,
    "NumberOfFrames": 0x00280008,
    "PixelSpacing": 0x00280030,
    "RescaleIntercept": 0x00281052,
    "RescaleSlope": 0x00281053,
    "RescaleType": 0x00281054,
    "BurnedInAnnotation": 0x00280301,
    "LossyImageCompression": 0x00282110,
}
NUMBER_TAGS = {
    "SamplesPerPixel": 0x00280002,
    "Rows": 0x00280010,
    "Columns": 0x00280011,
    "BitsAllocated": 0x00280100,
    "BitsStored": 0x00280101,
    "HighBit": 0x00280102,
    "PixelRepresentation": 0x00280103,
    "PixelPaddingValue": 0x00280120,
    "PixelPaddingRangeLimit": 0x00280121,
}
WANTED = frozenset(TEXT_TAGS.values()) | frozenset(NUMBER_TAGS.values())

_CODECS = {
    "ISO_IR 192": "utf-8", "GB18030": "gb18030", "GBK": "gbk", "ISO_IR 13": "shift_jis",
    "ISO_IR 101": "iso8859-2", "ISO_IR 109": "iso8859-3", "ISO_IR 110": "iso8859-4",
    "ISO_IR 144": "iso8859-5", "ISO_IR 127": "iso8859-6", "ISO_IR 126": "iso8859-7",
    "ISO_IR 138": "iso8859-8", "ISO_IR 148": "iso8859-9", "ISO_IR 166": "tis-620",
}  # fmt: skip
"""Specific Character Set (PS3.3 C.12.1.1.2) → codec; Latin-1, which never fails, where not listed."""


class Texts:
    """Text values by keyword, empty where absent; numbers written as text, None where unreadable."""

    def __init__(self, elements: Elements) -> None:
        self._values = elements.values
        charset = self._values.get(TEXT_TAGS["SpecificCharacterSet"], b"").decode("latin-1")
        self._codec = _CODECS.get(charset.split("\\")[0].strip(" \0"), "latin-1")

    def __getitem__(self, keyword: str) -> str:
        value = self._values.get(TEXT_TAGS[keyword])
        if value is None:
            return ""
        text = value.strip(b"\0 ").decode(self._codec, "replace")
        if not text.isprintable():
            text = "".join(c for c in text if c.isprintable())
        return text.strip()

    def decimals(self, keyword: str, count: int) -> tuple[float, ...] | None:
        """Exactly `count` finite numbers (VR DS), or None."""
        try:
            numbers = tuple(float(part) for part in self[keyword].split("\\"))
        except ValueError:
            return None
        return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None

    def decimal(self, keyword: str) -> float | None:
        """One finite number, or None."""
        numbers = self.decimals(keyword, 1)
        return numbers[0] if numbers else None

    def integer(self, keyword: str) -> int | None:
        """One number cut to an integer (VR IS), or None."""
        number = self.decimal(keyword)
        return int(number) if number is not None else None


class Numbers:
    """Values of VR US or SS by keyword, as unsigned 16 bit: writers mix the two up, the reader decides."""

    def __init__(self, elements: Elements) -> None:
        self._values = elements.values
        self._format = ">H" if elements.big_endian else "<H"

    def find(self, keyword: str) -> int | None:
        """The number, or None."""
        value = self._values.get(NUMBER_TAGS[keyword], b"")
        return int(struct.unpack_from(self._format, value)[0]) if len(value) >= 2 else None

    def get(self, keyword: str, default: int) -> int:
        """The number, or what to take where there is none."""
        value = self.find(keyword)
        return default if value is None else value
