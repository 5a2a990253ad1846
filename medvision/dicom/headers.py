"""What ingest knows of one image before it reads a pixel."""

from __future__ import annotations

from collections.abc import Sequence
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
from medvision.dicom.values import WANTED, Numbers, Texts

STEPS_BYTES = (2**15, 2**20, 2**24, 2**28)
"""What is read first, and then, while the header goes on; one longer than all is no header (an Enhanced CT of
2,000 frames needs some 10 MiB)."""
MAX_MATRIX = 8192
"""Largest Rows or Columns that is believed."""
MAX_EXPANSION, EXPANSION_ALLOWANCE_BYTES = 1000, 2**24
"""What a compressed file may unpack to: so many times its size and some more (an empty slice is tiny)."""
MAX_SURPLUS_BYTES = 2**26
"""What may follow the header beyond twice the pixels: the whole file is read when it is decoded."""
PIXEL_SPACING_MM = (0.01, 20.0)
MAX_POSITION_MM = 1e5
MAX_SLOPE, MAX_INTERCEPT = 1e3, 1e5
"""What is believed of spacing, position and rescale; values beyond count as absent."""

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2.1"
LEGACY_CONVERTED_CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2.2"
ENHANCED_CT_CLASSES = frozenset([ENHANCED_CT_STORAGE, LEGACY_CONVERTED_CT_STORAGE])
CT_SOP_CLASSES = ENHANCED_CT_CLASSES | {CT_IMAGE_STORAGE}
MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"

CARRIED = (
    "Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "SliceThickness", "KVP", "XRayTubeCurrent",
    "Exposure", "PatientSex", "PatientAge", "StudyDate", "SeriesDescription", "BodyPartExamined",
    "PatientPosition", "FrameOfReferenceUID", "AcquisitionDate", "StudyDescription",
    "BurnedInAnnotation",
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
    modality_stated: bool = True  # False where the SOP Class alone says that it is CT
    rescale_type: str = ""
    trigger_time: str = ""
    contrast_agent: bool = False  # whether one is named; what it is called stays in the file


def has_geometry(header: Header) -> bool:
    """Whether it says where its pixels lie."""
    return None not in (header.position_mm, header.orientation, header.pixel_spacing_mm)


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
    with file.open() as stream:
        head = b""
        for n_bytes in STEPS_BYTES:
            part = stream.read(n_bytes)
            head += part
            last = len(part) < n_bytes or n_bytes == STEPS_BYTES[-1]
            try:
                elements = read_elements(head, WANTED)
            except EndOfDataError:
                if last:
                    raise
            else:
                if last or elements.pixel_offset is not None:
                    return elements
    raise EndOfDataError("ends before its first byte")


def _interpret(file: SourceFile, elements: Elements) -> Header | Problem | None:
    text = Texts(elements)
    sop_class = text["SOPClassUID"] or text["MediaStorageSOPClassUID"]
    if sop_class == MEDIA_STORAGE_DIRECTORY:
        return None
    pixels = _pixel_encoding(elements, text)
    if not text["SeriesInstanceUID"]:
        reason: Reason = "no_image" if pixels is None else "bad_header"
        return Problem(file.shown, reason, "no Series Instance UID (0020,000E)")
    numbers = Numbers(elements)
    padding = _padding(numbers)
    header = Header(
        file=file,
        frame=0,
        sop_class_uid=sop_class,
        sop_instance_uid=text["SOPInstanceUID"],
        series_instance_uid=text["SeriesInstanceUID"],
        study_instance_uid=text["StudyInstanceUID"],
        patient_id=text["PatientID"],
        modality=text["Modality"] or ("CT" if sop_class in CT_SOP_CLASSES else ""),
        image_type=tuple(part.strip().upper() for part in text["ImageType"].split("\\")),
        frame_of_reference_uid=text["FrameOfReferenceUID"],
        rows=numbers.get("Rows", 0),
        columns=numbers.get("Columns", 0),
        pixel_spacing_mm=believable_spacing(text.decimals("PixelSpacing", 2)),
        orientation=text.decimals("ImageOrientationPatient", 6),
        position_mm=believable_position(text.decimals("ImagePositionPatient", 3)),
        slice_thickness_mm=believable_thickness(text.decimal("SliceThickness")),
        kernel=text["ConvolutionKernel"],
        acquisition_number=text.integer("AcquisitionNumber"),
        instance_number=text.integer("InstanceNumber"),
        temporal_position=text.integer("TemporalPositionIdentifier"),
        acquisition_time=text["AcquisitionTime"],
        lossy=_is_lossy(text["LossyImageCompression"], elements.transfer_syntax),
        pixels=pixels,
        rescale=believable_rescale(text.decimal("RescaleSlope"), text.decimal("RescaleIntercept"), padding),
        padding=padding,
        attributes=tuple((keyword, value) for keyword in CARRIED if (value := text[keyword])),
        modality_stated=bool(text["Modality"]),
        rescale_type=text["RescaleType"].upper(),
        trigger_time=text["TriggerTime"],
        contrast_agent=bool(text["ContrastBolusAgent"]),
    )
    return _pixel_problem(header) or header


def believable_thickness(thickness_mm: float | None) -> float | None:
    """Slice Thickness; None where it is negative: then nobody has measured it."""
    return None if thickness_mm is None or thickness_mm < 0 else thickness_mm


def believable_spacing(numbers: Sequence[float] | None) -> tuple[float, float] | None:
    """Pixel Spacing: row spacing, column spacing in mm."""
    low, high = PIXEL_SPACING_MM
    if numbers is None or not all(low <= number <= high for number in numbers):
        return None
    return numbers[0], numbers[1]


def believable_position(numbers: Sequence[float] | None) -> tuple[float, float, float] | None:
    """Image Position (Patient): x, y, z in mm."""
    if numbers is None or max(map(abs, numbers)) > MAX_POSITION_MM:
        return None
    return numbers[0], numbers[1], numbers[2]


def believable_rescale(
    slope: float | None, intercept: float | None, padding: tuple[int, int] | None
) -> Rescale | None:
    """Rescale Slope and Intercept, where they can be those of a CT."""
    if (
        slope is None
        or intercept is None
        or not 0 < abs(slope) <= MAX_SLOPE
        or abs(intercept) > MAX_INTERCEPT
    ):
        return None
    return Rescale(slope, intercept, padding)


def _pixel_encoding(elements: Elements, text: Texts) -> PixelEncoding | None:
    if elements.pixel_offset is None:
        return None
    numbers = Numbers(elements)
    allocated = numbers.get("BitsAllocated", 16)
    stored = numbers.get("BitsStored", allocated)
    if not 0 < stored <= allocated:
        stored = allocated
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


_ALWAYS_LOSSY = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 81))
_PERHAPS_LOSSY = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (91, 203))


def _is_lossy(declared: str, transfer_syntax: str) -> bool:
    """Lossy Image Compression (0028,2110), or the Transfer Syntax where the header does not deny it."""
    if declared == "01" or transfer_syntax in _ALWAYS_LOSSY:
        return True
    return declared != "00" and transfer_syntax in _PERHAPS_LOSSY


def _padding(numbers: Numbers) -> tuple[int, int] | None:
    """Pixel Padding Value to Range Limit, as stored values: 63536 in a signed image means −2000."""
    value = numbers.find("PixelPaddingValue")
    if value is None:
        return None
    limit = numbers.get("PixelPaddingRangeLimit", value)
    if numbers.get("PixelRepresentation", 0) == 1:
        value, limit = (value ^ 0x8000) - 0x8000, (limit ^ 0x8000) - 0x8000
    return min(value, limit), max(value, limit)


def _pixel_problem(header: Header) -> Problem | None:
    """Headers that promise what the file cannot hold, files that hold much more than was promised."""
    pixels = header.pixels
    if pixels is None:
        return None
    problem = _size_problem(header, pixels)
    if problem is None:
        return None
    reason, detail = problem
    return Problem(header.file.shown, reason, detail)


def _size_problem(header: Header, pixels: PixelEncoding) -> tuple[Reason, str] | None:
    gray = pixels.samples_per_pixel == 1
    if gray and not (0 < header.rows <= MAX_MATRIX and 0 < header.columns <= MAX_MATRIX):
        return "bad_header", f"Rows {header.rows} × Columns {header.columns}"
    n_samples = header.rows * header.columns * pixels.samples_per_pixel * pixels.n_frames
    wanted = n_samples * pixels.bits_allocated // 8
    size = header.file.size - (0 if pixels.deflated else pixels.offset)
    if size > 2 * wanted + MAX_SURPLUS_BYTES:
        return "bad_header", f"{size} bytes follow the header, which promises {wanted}"
    packed = pixels.length is None or pixels.deflated
    if gray and packed and wanted > MAX_EXPANSION * size + EXPANSION_ALLOWANCE_BYTES:
        return "bad_header", f"{size} bytes cannot hold the {wanted} promised"
    found = size if pixels.length is None else min(pixels.length, size)
    if gray and not packed and found < wanted:
        return "truncated", f"Pixel Data holds {found} of {wanted} bytes"
    return None
