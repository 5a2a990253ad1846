"""All checks that need no pixels."""

from __future__ import annotations

from medvision.dicom.grid import MAX_MISSING, Grid
from medvision.dicom.headers import CT_IMAGE_STORAGE, ENHANCED_CT_STORAGE, Header
from medvision.dicom.pixels import is_believable_padding, is_decodable
from medvision.dicom.quality.check import make_check
from medvision.dicom.stacks import Stack
from medvision.geometry import spacing_mm
from medvision.volumes import QualityCheck

MAX_SPACING_MM = 3.0
MAX_THICKNESS_MM = 3.0
MIN_COVERAGE_MM = 180.0
MIN_MATRIX = 256

_PROJECTIONS = (
    "MIP",
    "MINIP",
    "MPR",
    "REFORMATTED",
    "CURVED",
    "VRT",
    "VOLREN",
    "3D",
    "PROJECTION IMAGE",
    "SSD",
)


def look_at_headers(stack: Stack, grid: Grid | None, min_slices: int) -> list[QualityCheck]:
    """All checks that need no pixels; the grid is None where none could be laid."""
    first = stack.headers[0]
    checks = [_kind(first), _image_type(first), _encoding(first)]
    if any(check.verdict == "reject" for check in checks):
        return [check for check in checks if check.verdict == "reject"]
    checks += [
        _number_of_slices(stack, min_slices),
        _duplicates(stack),
        _rescale(first),
        _padding_value(first),
    ]
    checks += [_lossy(stack), _photometric(first), _thickness(first), _matrix(first)]
    if grid is not None:
        checks += [_spacing(grid), _coverage(grid), gaps(grid), _tilt(grid)]
    return checks


def _kind(header: Header) -> QualityCheck:
    modality = header.modality or "unknown modality"
    message = ""
    if modality != "CT":
        message = f"{modality} is not CT"
    elif header.pixels is None:
        message = "holds no Pixel Data"
    elif header.sop_class_uid not in ("", CT_IMAGE_STORAGE, ENHANCED_CT_STORAGE):
        message = (
            f"is no CT image but SOP Class {header.sop_class_uid} (secondary capture, document or the like)"
        )
    elif header.pixels.samples_per_pixel != 1:
        message = "holds colour pictures, not HU"
    elif header.pixels.n_frames != 1 and header.sop_class_uid != ENHANCED_CT_STORAGE:
        message = f"holds {header.pixels.n_frames} frames without their positions"
    return make_check("modality", modality, "CT", message, "reject")


def _image_type(header: Header) -> QualityCheck:
    value, limit = "\\".join(header.image_type), "original axial images"
    derived = header.image_type[:1] == ("DERIVED",)
    if "LOCALIZER" in header.image_type:
        return make_check("image type", value, limit, "is a localiser (scout view)", "reject")
    words = [word for part in header.image_type[2:] for word in (part, *part.split())]
    if derived and any(word in _PROJECTIONS for word in words):
        return make_check(
            "image type", value, limit, "was made from another series (MPR, MIP or the like)", "reject"
        )
    if derived and header.image_type[1:2] == ("SECONDARY",):
        if header.image_type[2:3] not in ((), ("AXIAL",)):
            return make_check(
                "image type", value, limit, "is a secondary picture of another series", "reject"
            )
        return make_check("image type", value, limit, "images were processed after reconstruction")
    return make_check("image type", value, limit)


def _encoding(header: Header) -> QualityCheck:
    syntax = header.pixels.transfer_syntax if header.pixels else ""
    message = ""
    if header.pixels is not None and not is_decodable(header.pixels):
        bits = header.pixels.bits_allocated
        message = f"pixel data in Transfer Syntax {syntax or 'unknown'} with {bits} bits cannot be decoded"
    return make_check("encoding", syntax, "a Transfer Syntax with a decoder", message, "reject")


def _number_of_slices(stack: Stack, min_slices: int) -> QualityCheck:
    n_slices = len(stack.headers)
    message = f"has too few slices: {n_slices} (at least {min_slices})" if n_slices < min_slices else ""
    return make_check("number of slices", str(n_slices), f"at least {min_slices}", message, "reject")


def _duplicates(stack: Stack) -> QualityCheck:
    if stack.clashes:
        places = ", ".join(f"{place:.1f}" for place in stack.clashes[:5])
        message = f"differing slices lie at the same place ({places} mm)"
        return make_check("repeated positions", str(len(stack.clashes)), "none", message, "reject")
    message = (
        f"files left out because they repeat a slice: {stack.n_duplicates}" if stack.n_duplicates else ""
    )
    return make_check("duplicate slices", str(stack.n_duplicates), "none", message)


def _rescale(header: Header) -> QualityCheck:
    if header.rescale is None:
        message = "has no usable Rescale Slope and Intercept: values taken as HU"
        return make_check("rescale", "absent", "present", message)
    return make_check("rescale", f"× {header.rescale.slope:g} + {header.rescale.intercept:g}", "present")


def _padding_value(header: Header) -> QualityCheck:
    padding = header.rescale.padding if header.rescale else None
    if header.rescale is None or is_believable_padding(header.rescale):
        return make_check("padding value", str(padding[0]) if padding else "absent", "outside tissue")
    message = f"Pixel Padding Value {padding and padding[0]} means tissue and is not believed"
    return make_check("padding value", str(padding and padding[0]), "outside tissue", message)


def _lossy(stack: Stack) -> QualityCheck:
    n_lossy = sum(header.lossy for header in stack.headers)
    message = "images were compressed with loss: fine texture may be gone" if n_lossy else ""
    return make_check("compression", f"{n_lossy} lossy images", "lossless", message)


def _photometric(header: Header) -> QualityCheck:
    value = header.pixels.photometric if header.pixels else ""
    inverted = value == "MONOCHROME1"
    message = "is stored for inverted display: check that air is dark" if inverted else ""
    return make_check("photometric interpretation", value, "MONOCHROME2", message)


def _thickness(header: Header) -> QualityCheck:
    thickness = header.slice_thickness_mm
    if thickness is None:
        return make_check("slice thickness", "unknown", f"at most {MAX_THICKNESS_MM:g} mm")
    message = "slices are thick: small nodules can be missed" if thickness > MAX_THICKNESS_MM else ""
    return make_check("slice thickness", f"{thickness:g} mm", f"at most {MAX_THICKNESS_MM:g} mm", message)


def _matrix(header: Header) -> QualityCheck:
    low = min(header.rows, header.columns) < MIN_MATRIX
    message = "the image matrix is small: details are coarse" if low else ""
    return make_check(
        "matrix", f"{header.rows} × {header.columns}", f"at least {MIN_MATRIX} × {MIN_MATRIX}", message
    )


def _spacing(grid: Grid) -> QualityCheck:
    spacing = spacing_mm(grid.affine)[0]
    message = "slices lie far apart: small nodules can be missed" if spacing > MAX_SPACING_MM else ""
    return make_check("slice spacing", f"{spacing:.3g} mm", f"at most {MAX_SPACING_MM:g} mm", message)


def _coverage(grid: Grid) -> QualityCheck:
    coverage = spacing_mm(grid.affine)[0] * grid.shape[0]
    message = "the scan is short: the lungs may not be covered" if coverage < MIN_COVERAGE_MM else ""
    return make_check("coverage", f"{coverage:.0f} mm", f"at least {MIN_COVERAGE_MM:g} mm", message)


def gaps(grid: Grid) -> QualityCheck:
    """Missing slices, and where."""
    places = ", ".join(f"{grid.position_mm(slot):.1f}" for slot in grid.missing)
    message = f"slices are missing and were interpolated at {places} mm" if grid.missing else ""
    return make_check("missing slices", str(len(grid.missing)), f"at most {MAX_MISSING}", message)


def _tilt(grid: Grid) -> QualityCheck:
    message = "the gantry was tilted: slices were sheared onto a straight grid" if grid.tilt_degrees else ""
    return make_check("gantry tilt", f"{grid.tilt_degrees:.1f}°", "none", message)
