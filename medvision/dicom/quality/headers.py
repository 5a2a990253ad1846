"""All checks that need no pixels."""

from __future__ import annotations

import numpy as np

from medvision.dicom.grid import MAX_MISSING, MAX_UNEVEN, SAME_POSITION_MM, Grid
from medvision.dicom.headers import Header
from medvision.dicom.pixels import is_believable_padding
from medvision.dicom.quality.check import make_check
from medvision.dicom.quality.kernels import sharpness_of
from medvision.dicom.quality.kind import look_at_kind
from medvision.dicom.stacks import Stack
from medvision.geometry import spacing_mm
from medvision.volumes import QualityCheck

MAX_SPACING_MM = 3.0
MAX_THICKNESS_MM = 3.0
MIN_COVERAGE_MM = 180.0
MIN_MATRIX = 256
MAX_GAP = 0.1
HU_TYPES = frozenset(["", "HU", "US"])
"""Rescale Type (0028,1054); US is unspecified. Others are densities, atomic numbers and the like."""


def look_at_headers(stack: Stack, grid: Grid | None, min_slices: int) -> list[QualityCheck]:
    """All checks that need no pixels; the grid is None where none could be laid."""
    first = stack.headers[0]
    checks = look_at_kind(first)
    if any(check.verdict == "reject" for check in checks):
        return [check for check in checks if check.verdict == "reject"]
    checks += [_number_of_slices(stack, min_slices), _duplicates(stack)]
    checks += [_rescale(stack), _padding_value(first), _lossy(stack), _photometric(stack)]
    checks += [_kernel(first), _thickness(first), _matrix(first)]
    if grid is not None:
        checks += [
            _spacing(stack, grid),
            _gap(first, grid),
            _coverage(grid),
            gaps(grid),
            _uneven(grid),
            _tilt(grid),
        ]
    return checks


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


def _rescale(stack: Stack) -> QualityCheck:
    first = stack.headers[0]
    if first.rescale is None:
        message = "has no usable Rescale Slope and Intercept: values taken as HU"
        return make_check("rescale", "absent", "present", message)
    value = f"× {first.rescale.slope:g} {'+' if first.rescale.intercept >= 0 else '−'} "
    value += f"{abs(first.rescale.intercept):g}"
    if any(header.rescale != first.rescale for header in stack.headers):
        value += ", others in other slices: each slice has its own"
    if first.rescale_type not in HU_TYPES:
        message = f"holds values in {first.rescale_type} (Rescale Type), not HU"
        return make_check("rescale", f"{value} {first.rescale_type}", "HU", message, "reject")
    return make_check("rescale", value, "present")


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


def _photometric(stack: Stack) -> QualityCheck:
    values = sorted({header.pixels.photometric for header in stack.headers if header.pixels})
    message = "is marked for inverted display: its values are used because air is the darkest in them"
    inverted = "MONOCHROME1" in values
    name, limit = "photometric interpretation", "MONOCHROME2"
    return make_check(name, ", ".join(values) or "absent", limit, message if inverted else "")


def _kernel(header: Header) -> QualityCheck:
    sharpness = sharpness_of(header.kernel, dict(header.attributes).get("Manufacturer", ""))
    value = f"{header.kernel} ({sharpness})" if header.kernel else "absent"
    message = (
        "the kernel enhances edges: nodules look larger and denser" if sharpness == "edge-enhancing" else ""
    )
    return make_check("kernel", value, "soft, medium or sharp", message)


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


def _spacing(stack: Stack, grid: Grid) -> QualityCheck:
    spacing = spacing_mm(grid.affine)[0]
    message = "slices lie far apart: small nodules can be missed" if spacing > MAX_SPACING_MM else ""
    value, off_mm = f"{spacing:.3g} mm", _off_the_grid_mm(stack, grid)
    if off_mm > SAME_POSITION_MM:
        value += f", slices at most {off_mm:.2g} mm off"
    return make_check("slice spacing", value, f"at most {MAX_SPACING_MM:g} mm", message)


def _off_the_grid_mm(stack: Stack, grid: Grid) -> float:
    """How far the slice that is furthest from its place on the grid lies from it."""
    if grid.places_vox is not None:
        return 0.0
    positions = np.array([header.position_mm for header in stack.headers])
    distances = (positions - grid.affine[:3, 3]) @ grid.affine[:3, 0] / spacing_mm(grid.affine)[0]
    return float(np.abs(distances - np.array(grid.slots) * spacing_mm(grid.affine)[0]).max())


def _gap(header: Header, grid: Grid) -> QualityCheck:
    """What lies between two slices and in none of them."""
    thickness, limit = header.slice_thickness_mm, f"at most {MAX_GAP:.0%} of the spacing"
    if thickness is None or thickness <= 0:
        return make_check("gap between slices", "unknown", limit)
    spacing = spacing_mm(grid.affine)[0]
    gap = max(spacing - thickness, 0.0)
    message = (
        "slices leave gaps between them: nodules can lie in none of them" if gap > MAX_GAP * spacing else ""
    )
    return make_check("gap between slices", f"{gap:.2g} mm", limit, message)


def _coverage(grid: Grid) -> QualityCheck:
    coverage = spacing_mm(grid.affine)[0] * grid.shape[0]
    message = "the scan is short: the lungs may not be covered" if coverage < MIN_COVERAGE_MM else ""
    return make_check("coverage", f"{coverage:.0f} mm", f"at least {MIN_COVERAGE_MM:g} mm", message)


def gaps(grid: Grid) -> QualityCheck:
    """Missing slices, and where."""
    places = ", ".join(f"{grid.position_mm(slot):.1f}" for slot in grid.missing)
    message = f"slices are missing and were interpolated at {places} mm" if grid.missing else ""
    return make_check("missing slices", str(len(grid.missing)), f"at most {MAX_MISSING}", message)


def _uneven(grid: Grid) -> QualityCheck:
    """Steps of another length, and where."""
    usual = spacing_mm(grid.affine)[0]
    steps = "; ".join(
        f"{high - low:.2f} mm between {low:.1f} and {high:.1f} mm" for low, high in grid.uneven_mm
    )
    message = ""
    if grid.places_vox is not None:
        where = steps or "a little everywhere"
        message = f"slices are unevenly spaced and were interpolated: {where}, usually {usual:.2f} mm"
    count = len(grid.uneven_mm)
    return make_check("uneven steps", str(count), f"at most {MAX_UNEVEN}, better none", message)


def _tilt(grid: Grid) -> QualityCheck:
    message = "the gantry was tilted: slices were sheared onto a straight grid" if grid.tilt_degrees else ""
    return make_check("gantry tilt", f"{grid.tilt_degrees:.1f}°", "none", message)
