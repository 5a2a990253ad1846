"""All checks that need HU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medvision.dicom.headers import Header
from medvision.dicom.pixels import AIR_HU
from medvision.dicom.quality.anatomy import look_at_anatomy
from medvision.dicom.quality.artefacts import metal_check, motion_check, sample_slices
from medvision.dicom.quality.check import make_check
from medvision.dicom.quality.chest import Hu, find_chest
from medvision.dicom.quality.lungs import look_at_lungs
from medvision.dicom.quality.values import look_at_values, noise_check
from medvision.geometry import Affine
from medvision.volumes import QualityCheck, Verdict

AIR_BELOW_HU, SOFT_TISSUE_HU = -800, (-150, 150)
MIN_AIR, MIN_SOFT_TISSUE = 0.02, 0.02
"""Smallest fractions of voxels that are air (or lung) and soft tissue in a CT of a body."""
MAX_PADDING = 0.6
INT16_MAX = 32767


def look_at_voxels(
    hu: Hu, affine: Affine, padded_fraction: float, headers: Sequence[Header]
) -> list[QualityCheck]:
    """Checks that need HU; a sample of the voxels is looked at, so that they take milliseconds.

    Args:
        hu: int16, slices × rows × columns.
        affine: index to LPS mm.
        padded_fraction: voxels that were padding or below −1024 HU, of all.
        headers: of the stack.
    """
    planes, sample_ml = sample_slices(hu, affine)
    chest = find_chest(hu, affine)
    checks = [_plausible(planes, headers), _padding(padded_fraction)]
    if can_overflow(headers):
        checks.append(_clipped(hu))
    checks += look_at_lungs(chest)
    checks += [noise_check(chest), motion_check(planes, affine), metal_check(planes, sample_ml, chest)]
    if chest.found:
        checks += look_at_values(chest, agent_named=any(header.contrast_agent for header in headers))
        checks += look_at_anatomy(chest, dict(headers[0].attributes).get("PatientPosition", ""))
    return checks


def _plausible(planes: Hu, headers: Sequence[Header]) -> QualityCheck:
    """Values that the header does not vouch for must look like a body's HU, or the scan is rejected."""
    sample = planes[::2]
    sample = sample[sample > AIR_HU]
    count = max(sample.size, 1)
    air = np.count_nonzero(sample < AIR_BELOW_HU) / count
    low, high = SOFT_TISSUE_HU
    soft = np.count_nonzero((sample >= low) & (sample <= high)) / count
    message = ""
    if air < MIN_AIR:
        message = "hardly any voxel is air or lung: is this a chest, are these HU?"
    if soft < MIN_SOFT_TISSUE:
        message = "hardly any voxel is soft tissue: is this a body, are these HU?"
    limit = f"air at least {MIN_AIR:.0%}, soft tissue at least {MIN_SOFT_TISSUE:.0%}"
    vouched = all(header.rescale is not None and not is_inverted(header) for header in headers)
    verdict: Verdict = "warn" if vouched else "reject"
    return make_check("HU", f"air {air:.0%}, soft tissue {soft:.0%}", limit, message, verdict)


def is_inverted(header: Header) -> bool:
    """Whether Photometric Interpretation says that low values are to be shown bright."""
    return header.pixels is not None and header.pixels.photometric == "MONOCHROME1"


def _padding(fraction: float) -> QualityCheck:
    message = "most of the picture is padding" if fraction > MAX_PADDING else ""
    value = f"{fraction:.0%} padding or below −1024 HU, set to −1024 HU"
    return make_check("padding", value, f"at most {MAX_PADDING:.0%}", message)


def can_overflow(headers: Sequence[Header]) -> bool:
    """Whether the largest values that the headers allow do not fit into int16."""
    return any(_largest_hu(header) > INT16_MAX for header in headers)


def _largest_hu(header: Header) -> float:
    if header.pixels is None or header.rescale is None:
        return 0.0
    bits = header.pixels.bits_stored
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if header.pixels.signed else (0, 2**bits - 1)
    slope, intercept = header.rescale.slope, header.rescale.intercept
    return float(max(low * slope, high * slope) + intercept)


def _clipped(hu: Hu) -> QualityCheck:
    count = int(np.count_nonzero(hu == INT16_MAX))
    message = f"values beyond what 16 bits hold were cut to {INT16_MAX} HU" if count else ""
    return make_check("range of values", f"{count} voxels cut", "none", message)
