"""What ingest knows of one image before it reads a pixel."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from medvision.dicom.elements import (
    DEFLATED_LITTLE,
    BadElementError,
    Elements,
    EndOfDataError,
    NotDicomError,
    read_elements,
)
from medvision.dicom.problems import Problem, Reason
from medvision.dicom.sources import SourceFile

HEAD_BYTES = 32 * 1024
"""What is read first; longer headers make a second read necessary."""
MAX_HEADER_BYTES = 2**28
"""A header longer than this is no header (an Enhanced CT of 2,000 frames needs some 10 MiB)."""
MAX_MATRIX = 8192
"""Largest Rows or Columns that is believed."""

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2.1"
MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"

_TEXT_TAGS = {
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
    "SliceThickness": 0x00180050,
    "KVP": 0x00180060,
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
    "LossyImageCompression": 0x00282110,
}
_NUMBER_TAGS = {
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
_WANTED = frozenset(_TEXT_TAGS.values()) | frozenset(_NUMBER_TAGS.values())

CARRIED = (
    "Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "SliceThickness", "KVP", "XRayTubeCurrent",
    "Exposure", "PatientSex", "PatientAge", "StudyDate", "SeriesDescription", "BodyPartExamined",
    "PatientPosition", "FrameOfReferenceUID", "AcquisitionDate", "StudyDescription",
)  # fmt: skip
"""Keywords of the attributes that travel with a Scan; Accession Number and names are not among them."""


@dataclass(frozen=True, slots=True)
class PixelEncoding:
    """How Pixel Data lies in the file (PS3.3 C.7.6.3).

    Attributes:
        transfer_syntax: Transfer Syntax UID.
        offset: where the value begins, in the file, or in the inflated Data Set of a deflated one.
        length: bytes declared; None where encapsulated.
        n_frames: Number of Frames.
    """

    transfer_syntax: str
    big_endian: bool
    offset: int
    length: int | None
    n_frames: int
    samples_per_pixel: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool

    @property
    def deflated(self) -> bool:
        """Whether the Data Set must be inflated first."""
        return self.transfer_syntax == DEFLATED_LITTLE


@dataclass(frozen=True, slots=True)
class Rescale:
    """From stored values to HU (PS3.3 C.11.1) and which stored values are no image (C.7.5.1.1.2).

    Attributes:
        slope: Rescale Slope.
        intercept: Rescale Intercept.
        padding: lowest and highest stored value that is padding, or None.
    """

    slope: float
    intercept: float
    padding: tuple[int, int] | None


NO_RESCALE = Rescale(1.0, 0.0, None)
"""What is tried where the header has none."""


@dataclass(frozen=True, slots=True)
class Header:
    """One image: a file, or one frame of a multi-frame file. What is absent is None or empty."""

    file: SourceFile
    frame: int
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    patient_id: str
    modality: str
    image_type: tuple[str, ...]
    frame_of_reference_uid: str
    rows: int
    columns: int
    pixel_spacing_mm: tuple[float, float] | None
    orientation: tuple[float, ...] | None
    position_mm: tuple[float, float, float] | None
    slice_thickness_mm: float | None
    kernel: str
    acquisition_number: int | None
    instance_number: int | None
    temporal_position: int | None
    acquisition_time: str
    lossy: bool
    pixels: PixelEncoding | None
    rescale: Rescale | None
    padding: tuple[int, int] | None
    attributes: tuple[tuple[str, str], ...]


def read_header(file: SourceFile) -> Header | Problem | None:
    """Read one file as far as Pixel Data.

    Returns:
        the Header; a Problem where it cannot be used; None for a DICOMDIR, which only lists other files.
    """
    try:
        elements = _read(file)
        return _interpret(file, elements)
    except NotDicomError as error:
        return Problem(file.shown, "empty_file" if file.size == 0 else "not_dicom", str(error))
    except EndOfDataError as error:
        return Problem(file.shown, "truncated", f"header {error}")
    except BadElementError as error:
        return Problem(file.shown, "bad_header", str(error))
    except OSError as error:
        return Problem(file.shown, "unreadable", error.strerror or type(error).__name__)


def _read(file: SourceFile) -> Elements:
    with file.path.open("rb", buffering=0) as stream:
        head = stream.read(HEAD_BYTES)
        whole = len(head) < HEAD_BYTES
        try:
            elements = read_elements(head, _WANTED)
        except EndOfDataError:
            if whole:
                raise
        else:
            if whole or elements.pixel_offset is not None:
                return elements
        return read_elements(head + stream.read(MAX_HEADER_BYTES), _WANTED)


def _interpret(file: SourceFile, elements: Elements) -> Header | Problem | None:
    text = _Texts(elements)
    sop_class = text["SOPClassUID"] or text["MediaStorageSOPClassUID"]
    if sop_class == MEDIA_STORAGE_DIRECTORY:
        return None
    pixels = _pixel_encoding(elements, text)
    if not text["SeriesInstanceUID"]:
        reason: Reason = "no_image" if pixels is None else "bad_header"
        return Problem(file.shown, reason, "no Series Instance UID (0020,000E)")
    numbers = _Numbers(elements)
    header = Header(
        file=file,
        frame=0,
        sop_class_uid=sop_class,
        sop_instance_uid=text["SOPInstanceUID"],
        series_instance_uid=text["SeriesInstanceUID"],
        study_instance_uid=text["StudyInstanceUID"],
        patient_id=text["PatientID"],
        modality=text["Modality"] or ("CT" if sop_class == CT_IMAGE_STORAGE else ""),
        image_type=tuple(part.strip().upper() for part in text["ImageType"].split("\\")),
        frame_of_reference_uid=text["FrameOfReferenceUID"],
        rows=numbers.get("Rows", 0),
        columns=numbers.get("Columns", 0),
        pixel_spacing_mm=_pair(text.decimals("PixelSpacing", 2)),
        orientation=text.decimals("ImageOrientationPatient", 6),
        position_mm=_triple(text.decimals("ImagePositionPatient", 3)),
        slice_thickness_mm=text.decimal("SliceThickness"),
        kernel=text["ConvolutionKernel"],
        acquisition_number=text.integer("AcquisitionNumber"),
        instance_number=text.integer("InstanceNumber"),
        temporal_position=text.integer("TemporalPositionIdentifier"),
        acquisition_time=text["AcquisitionTime"],
        lossy=text["LossyImageCompression"] == "01",
        pixels=pixels,
        rescale=_rescale(text, numbers),
        padding=_padding(numbers),
        attributes=tuple((keyword, text[keyword]) for keyword in CARRIED if text[keyword]),
    )
    return _pixel_problem(header) or header


_CODECS = {
    "ISO_IR 192": "utf-8", "GB18030": "gb18030", "GBK": "gbk", "ISO_IR 13": "shift_jis",
    "ISO_IR 101": "iso8859-2", "ISO_IR 109": "iso8859-3", "ISO_IR 110": "iso8859-4",
    "ISO_IR 144": "iso8859-5", "ISO_IR 127": "iso8859-6", "ISO_IR 126": "iso8859-7",
    "ISO_IR 138": "iso8859-8", "ISO_IR 148": "iso8859-9", "ISO_IR 166": "tis-620",
}  # fmt: skip
"""Specific Character Set (PS3.3 C.12.1.1.2) → codec; Latin-1, which never fails, where not listed."""


class _Texts:
    """Text values by keyword, empty where absent; numbers written as text, None where unreadable."""

    def __init__(self, elements: Elements) -> None:
        self._values = elements.values
        charset = self._values.get(_TEXT_TAGS["SpecificCharacterSet"], b"").decode("latin-1")
        self._codec = _CODECS.get(charset.split("\\")[0].strip(" \0"), "latin-1")

    def __getitem__(self, keyword: str) -> str:
        text = self._values.get(_TEXT_TAGS[keyword], b"").decode(self._codec, "replace")
        return "".join(c for c in text if c.isprintable()).strip()

    def decimals(self, keyword: str, count: int) -> tuple[float, ...] | None:
        """Exactly `count` finite numbers (VR DS), or None."""
        try:
            numbers = tuple(float(part) for part in self[keyword].split("\\"))
        except ValueError:
            return None
        return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None

    def decimal(self, keyword: str) -> float | None:
        numbers = self.decimals(keyword, 1)
        return numbers[0] if numbers else None

    def integer(self, keyword: str) -> int | None:
        number = self.decimal(keyword)
        return int(number) if number is not None else None


class _Numbers:
    """Values of VR US or SS by keyword, as unsigned 16 bit: writers mix the two up, the reader decides."""

    def __init__(self, elements: Elements) -> None:
        self._values = elements.values
        self._format = ">H" if elements.big_endian else "<H"

    def find(self, keyword: str) -> int | None:
        value = self._values.get(_NUMBER_TAGS[keyword], b"")
        return int(struct.unpack_from(self._format, value)[0]) if len(value) >= 2 else None

    def get(self, keyword: str, default: int) -> int:
        value = self.find(keyword)
        return default if value is None else value


def _pair(numbers: tuple[float, ...] | None) -> tuple[float, float] | None:
    """Pixel Spacing: row spacing, column spacing; both positive."""
    return (numbers[0], numbers[1]) if numbers and min(numbers) > 0 else None


def _triple(numbers: tuple[float, ...] | None) -> tuple[float, float, float] | None:
    return (numbers[0], numbers[1], numbers[2]) if numbers else None


def _pixel_encoding(elements: Elements, text: _Texts) -> PixelEncoding | None:
    if elements.pixel_offset is None:
        return None
    numbers = _Numbers(elements)
    allocated = numbers.get("BitsAllocated", 16)
    stored = numbers.get("BitsStored", allocated)
    return PixelEncoding(
        transfer_syntax=elements.transfer_syntax,
        big_endian=elements.big_endian,
        offset=elements.pixel_offset,
        length=elements.pixel_length,
        n_frames=text.integer("NumberOfFrames") or 1,
        samples_per_pixel=numbers.get("SamplesPerPixel", 1),
        photometric=text["PhotometricInterpretation"],
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=numbers.get("HighBit", stored - 1),
        signed=numbers.get("PixelRepresentation", 0) == 1,
    )


def _rescale(text: _Texts, numbers: _Numbers) -> Rescale | None:
    slope, intercept = text.decimal("RescaleSlope"), text.decimal("RescaleIntercept")
    if slope is None or intercept is None:
        return None
    return Rescale(slope, intercept, _padding(numbers))


def _padding(numbers: _Numbers) -> tuple[int, int] | None:
    """Pixel Padding Value to Range Limit, as stored values: 63536 in a signed image means −2000."""
    value = numbers.find("PixelPaddingValue")
    if value is None:
        return None
    limit = numbers.get("PixelPaddingRangeLimit", value)
    if numbers.get("PixelRepresentation", 0) == 1:
        value, limit = (value ^ 0x8000) - 0x8000, (limit ^ 0x8000) - 0x8000
    return min(value, limit), max(value, limit)


def _pixel_problem(header: Header) -> Problem | None:
    """Headers that promise what the file cannot hold."""
    pixels, shown = header.pixels, header.file.shown
    if pixels is None or pixels.samples_per_pixel != 1:
        return None
    if not (0 < header.rows <= MAX_MATRIX and 0 < header.columns <= MAX_MATRIX):
        return Problem(shown, "bad_header", f"Rows {header.rows} × Columns {header.columns}")
    if pixels.length is None or pixels.deflated:
        return None
    wanted = header.rows * header.columns * pixels.n_frames * pixels.bits_allocated // 8
    found = min(pixels.length, header.file.size - pixels.offset)
    if found < wanted:
        return Problem(shown, "truncated", f"Pixel Data holds {found} of {wanted} bytes")
    return None
