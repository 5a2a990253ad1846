"""Are the values HU? Air, blood, contrast medium, noise."""

from __future__ import annotations

import numpy as np

from medvision.dicom.pixels import AIR_HU
from medvision.dicom.quality.anatomy import PIPE_SHARE, windpipe
from medvision.dicom.quality.check import make_check, signed
from medvision.dicom.quality.chest import TISSUE_HU, Chest, Mask
from medvision.volumes import QualityCheck

AIR_RANGE_HU = (-1024.0, -900.0)
"""Air in a windpipe: −1000 HU by definition, more beside dense walls and with the kernel's overshoot."""
OUTSIDE_RANGE_HU = (-1024.0, -940.0)
BLOOD_RANGE_HU = (10.0, 700.0)
"""Unenhanced blood has 30 to 60 HU, less in severe anaemia; contrast medium lifts it to some 500."""
ENHANCED_HU, UNENHANCED_HU = 90.0, 70.0
"""Above the first blood holds contrast medium, below the second it does not; in between it is left open."""
MAX_NOISE_HU = 75.0
"""Ground glass stands some 200 HU out of the lung: in more noise than this it drowns."""
SOFT_TISSUE_HU = (0.0, 120.0)
PATCH_MM, MANY_PATCHES, ENOUGH_PATCHES = 3.0, 1000, 20


def measure_noise(chest: Chest, within: Mask | None = None) -> float:
    """Standard deviation in small patches of soft tissue, after Christianson et al., AJR 205 (2015): W93.

    Args:
        chest: the sample.
        within: where to look; everywhere where None.

    Returns:
        HU, the lower quartile: patches without an edge. NaN where there is too little soft tissue.
    """
    low, high = SOFT_TISSUE_HU
    tissue = (chest.hu > low - 150) & (chest.hu < high + 150)
    places = np.argwhere(tissue if within is None else tissue & within)
    patches = chest.patches(places[:: max(1, len(places) // MANY_PATCHES)], PATCH_MM).astype(np.float32)
    mean = patches.mean(axis=(1, 2))
    deviation = patches[(mean > low) & (mean < high)].std(axis=(1, 2))
    return float(np.percentile(deviation, 25)) if deviation.size >= ENOUGH_PATCHES else float("nan")


def noise_check(chest: Chest) -> QualityCheck:
    """The noise level in words."""
    noise_hu, limit = measure_noise(chest), f"at most {MAX_NOISE_HU:g} HU"
    if np.isnan(noise_hu):
        return make_check("noise", "not measured: too little soft tissue", limit)
    message = "the scan is noisy: faint nodules can drown, specks can look like nodules"
    too_much = noise_hu > MAX_NOISE_HU
    return make_check("noise", f"{noise_hu:.0f} HU in soft tissue", limit, message if too_much else "")


def look_at_values(chest: Chest, *, agent_named: bool) -> list[QualityCheck]:
    """Air and blood of a chest in which lungs were found.

    Args:
        chest: the sample.
        agent_named: the header has a Contrast/Bolus Agent (0018,0010).
    """
    blood = _blood_hu(chest)
    return [_air(chest), _blood(blood), _contrast(blood, agent_named=agent_named)]


def _air(chest: Chest) -> QualityCheck:
    pipe, outside = _windpipe_hu(chest), _outside_hu(chest)
    words = [
        f"{where} {signed(value)} HU"
        for where, value in (("windpipe", pipe), ("around the body", outside))
        if not np.isnan(value)
    ]
    low, high = AIR_RANGE_HU
    wrong = not np.isnan(pipe) and not low <= pipe <= high
    wrong |= not np.isnan(outside) and not OUTSIDE_RANGE_HU[0] <= outside <= OUTSIDE_RANGE_HU[1]
    limit = (
        f"windpipe {signed(low)} to {signed(high)} HU, around the body up to {signed(OUTSIDE_RANGE_HU[1])} HU"
    )
    message = "air does not have the value of air: the HU scale may be wrong" if wrong else ""
    return make_check("HU of air", ", ".join(words) or "not measured", limit, message)


def _windpipe_hu(chest: Chest) -> float:
    n = max(1, round(0.35 * len(chest.levels)))
    levels = range(chest.levels.stop - n, min(chest.levels.stop + 3, len(chest.hu)))
    places = windpipe(chest, levels)
    if len(np.unique(places[:, 0])) < PIPE_SHARE[0] * len(levels):
        return float("nan")
    return float(np.percentile(chest.patches(places, 2.0).mean(axis=(1, 2)), 25))


def _outside_hu(chest: Chest) -> float:
    """Median of the air around the body; NaN where most of it is padding or below what is kept."""
    outside = chest.hu[(chest.hu < TISSUE_HU) & ~chest.enclosed & chest.picture]
    measured = np.count_nonzero(outside > AIR_HU)
    return float(np.median(outside)) if measured > 0.5 * outside.size else float("nan")


def _blood_hu(chest: Chest) -> float:
    """Between the lungs' front parts, at the heart's height; NaN where there is hardly any tissue."""
    n = len(chest.levels)
    levels = slice(chest.levels.start + n // 4, chest.levels.start + max(round(0.6 * n), n // 4 + 1))
    lungs = chest.lungs[levels]
    rows = np.flatnonzero(chest.lungs.any(axis=(0, 2)))
    front = np.zeros(lungs.shape[1], np.bool_)
    front[rows[0] : rows[0] + int(0.6 * (rows[-1] - rows[0]))] = True
    after_right = np.maximum.accumulate(lungs, axis=2)
    before_left = np.maximum.accumulate(lungs[:, :, ::-1], axis=2)[:, :, ::-1]
    between = after_right & before_left & ~chest.enclosed[levels] & front[None, :, None]
    places = np.argwhere(between) + np.array([levels.start, 0, 0])
    mean = chest.patches(places, PATCH_MM).mean(axis=(1, 2))
    tissue = mean[(mean > -150) & (mean < 1000)]  # a third of it is fat
    return float(np.percentile(tissue, 70)) if tissue.size >= 50 else float("nan")


def _blood(blood: float) -> QualityCheck:
    low, high = BLOOD_RANGE_HU
    limit = f"{low:g} to {high:g} HU"
    if np.isnan(blood):
        return make_check("HU of blood", "not measured", limit)
    message = (
        ""
        if low <= blood <= high
        else "the heart does not have the value of blood: the HU scale may be wrong"
    )
    return make_check("HU of blood", f"heart {signed(blood)} HU", limit, message)


def _contrast(blood: float, *, agent_named: bool) -> QualityCheck:
    told = "named" if agent_named else "not named"
    if np.isnan(blood):
        return make_check("contrast medium", f"not measured, {told} in the header", "as the header says")
    seen = "not clear" if UNENHANCED_HU <= blood <= ENHANCED_HU else "yes" if blood > ENHANCED_HU else "no"
    message = ""
    if seen == "no" and agent_named:
        message = "the header names a contrast medium, but the blood holds none: check phase and header"
    return make_check("contrast medium", f"{seen}, {told} in the header", "as the header says", message)
