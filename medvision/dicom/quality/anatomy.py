"""Is the picture the right way round? Heart on the left, spine and table behind, windpipe above.

What is found is said and never changed: situs inversus is a patient, a mirrored picture is an error, and only
a human can tell them apart.
"""

from __future__ import annotations

import numpy as np

from medvision.dicom.quality.check import make_check
from medvision.dicom.quality.chest import TISSUE_HU, Chest, Mask, Vector
from medvision.volumes import QualityCheck

CLEAR_MM = 8.0
"""A heart that reaches less further to one side than this is in the middle."""
HEART_LEVELS = 0.6
"""The heart lies in the lower part of the lungs' height; above come the great vessels."""
FULL_AREA = 0.75
"""Slices with less lung than this share of the largest, low in the chest, hold the diaphragm."""
BONE_HU = 200
CLEAR_RATIO = 1.5
"""So much more bone on one side tells where the spine is."""
TABLE_HU = 25.0
"""So much denser than on the other side is what lies beside the body where the table is."""
GAS_HU = -850
PIPE_SHARE = 0.9, 0.8
"""A windpipe shows in this share of the slices or more; where it is not, in less than the second."""
WINDPIPE_MM = 24.0
"""A windpipe is narrower."""


def look_at_anatomy(chest: Chest, patient_position: str) -> list[QualityCheck]:
    """Checks of a chest in which lungs were found.

    Args:
        chest: the sample.
        patient_position: Patient Position (0018,5100), such as HFS; empty where absent.
    """
    return [_heart(chest), _front_and_back(chest, patient_position), _head_end(chest)]


def _heart(chest: Chest) -> QualityCheck:
    reach = _heart_reach_mm(chest)
    side = "left" if reach > 0 else "right"
    value = f"reaches {abs(reach):.0f} mm further to the {side}"
    message = ""
    if reach <= -CLEAR_MM:
        message = (
            "the heart lies on the right: the picture is mirrored, or the heart is displaced (situs inversus)"
        )
    return make_check("heart side", value, f"not {CLEAR_MM:g} mm or more to the right", message)


def _heart_reach_mm(chest: Chest) -> float:
    """How much further the mediastinum reaches to the left of the middle than to the right.

    The level that counts is the one where it is most to one side, leaving a fifth of the levels out, where
    the liver may stand beside the heart.
    """
    levels, area = chest.levels, chest.area_cm2
    fullest = float(area.max())
    start = next(k for k in levels if area[k] >= FULL_AREA * fullest)
    stop = levels.start + round(HEART_LEVELS * len(levels))
    reach = [_reach(chest, k) for k in range(start, max(stop, start + 1))]
    low, high = np.percentile(reach, [20, 80]) * chest.step_mm[2]
    return float(high if abs(high) >= abs(low) else low)


def _reach(chest: Chest, level: int) -> float:
    """Mean over the rows of the front 60 % of the lungs, in columns of the sample."""
    lungs = chest.lungs[level]
    rows, columns = np.flatnonzero(lungs.any(axis=1)), np.flatnonzero(lungs.any(axis=0))
    if rows.size == 0:
        return 0.0
    middle = round((columns[0] + columns[-1]) / 2)
    front = lungs[rows[0] : rows[0] + max(1, int(0.6 * (rows[-1] - rows[0])))]
    right, left = front[:, middle::-1], front[:, middle:]
    both = right.any(axis=1) & left.any(axis=1)
    if not both.any():
        return 0.0
    return float((left[both].argmax(axis=1) - right[both].argmax(axis=1)).mean() / 2)


def _front_and_back(chest: Chest, patient_position: str) -> QualityCheck:
    spine, table = _spine(chest), _table(chest)
    expected = "in front" if patient_position.endswith("P") else "behind"
    message = ""
    if spine == "in front":
        message = "the spine lies in front: the picture is upside down"
    elif table not in ("not seen", expected):
        told = patient_position or "not told"
        message = f"the table lies {table} (patient position {told}): is the patient's position right?"
    return make_check(
        "front and back", f"spine {spine}, table {table}", f"spine behind, table {expected}", message
    )


def _spine(chest: Chest) -> str:
    """Where there is more bone in the middle: about the lungs' front, or about their back."""
    levels, rows, strip = _central(chest, 30.0)
    depth, beyond = rows.stop - rows.start, round(40 / chest.step_mm[1])
    bone = chest.hu[levels, :, strip] > BONE_HU
    front = np.count_nonzero(bone[:, max(0, rows.start - beyond) : rows.start + round(0.2 * depth)])
    back = np.count_nonzero(bone[:, rows.stop - round(0.2 * depth) : rows.stop + beyond])
    if back > CLEAR_RATIO * front:
        return "behind"
    return "in front" if front > CLEAR_RATIO * back else "not clear"


def _central(chest: Chest, half_width_mm: float) -> tuple[slice, slice, slice]:
    """Levels of mid-chest, rows of the lungs, columns of a strip in the middle."""
    n = len(chest.levels)
    levels = slice(
        chest.levels.start + n // 3, max(chest.levels.stop - n // 4, chest.levels.start + n // 3 + 1)
    )
    rows = np.flatnonzero(chest.lungs.any(axis=(0, 2)))
    half = max(1, round(half_width_mm / chest.step_mm[2]))
    columns = slice(max(0, chest.middle - half), chest.middle + half + 1)
    return levels, slice(int(rows[0]), int(rows[-1]) + 1), columns


def _table(chest: Chest) -> str:
    """On which side of the body something denser than air lies."""
    levels, _, strip = _central(chest, 60.0)
    hu, picture = chest.hu[levels, :, strip], chest.picture[:, strip]
    ahead, behind = (
        _beside(hu, picture, chest.step_mm[1]),
        _beside(hu[:, ::-1], picture[::-1], chest.step_mm[1]),
    )
    if min(ahead.size, behind.size) == 0:
        return "not seen"
    difference = float(behind.mean() - ahead.mean())
    if abs(difference) < TABLE_HU:
        return "not seen"
    return "behind" if difference > 0 else "in front"


def _beside(hu: np.ndarray[tuple[int, ...], np.dtype[np.int16]], picture: Mask, step_mm: float) -> Vector:
    """HU of what lies 8 to 70 mm before the first tissue of each column."""
    body = hu > TISSUE_HU
    first = np.where(body.any(axis=1), body.argmax(axis=1), 0)[:, None, :]
    row = np.arange(hu.shape[1])[None, :, None]
    near, far = max(1, round(8 / step_mm)), round(70 / step_mm)
    beside = (row <= first - near) & (row >= first - far) & picture[None]
    return np.asarray(hu[beside], np.float64)


def _head_end(chest: Chest) -> QualityCheck:
    n = max(1, round(0.35 * len(chest.levels)))
    upper = _pipe_share(chest, range(chest.levels.stop - n, chest.levels.stop))
    lower = _pipe_share(chest, range(chest.levels.start, chest.levels.start + n))
    enough, too_few = PIPE_SHARE
    mistaken = lower >= enough and upper < too_few
    message = "the windpipe lies at the lower end: head and feet are exchanged" if mistaken else ""
    value = f"windpipe in {upper:.0%} of the upper and {lower:.0%} of the lower slices"
    return make_check("head end", value, "windpipe above", message)


def _pipe_share(chest: Chest, levels: range) -> float:
    found = windpipe(chest, levels)
    return len(set(found[:, 0].tolist())) / len(levels)


def windpipe(chest: Chest, levels: range) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Gas near the middle with tissue close to its right and left.

    Returns:
        n × 3 places of the sample.
    """
    half = round(30 / chest.step_mm[2])
    rows = np.flatnonzero(chest.lungs.any(axis=(0, 2)))
    box = (
        slice(levels.start, levels.stop),
        slice(int(rows[0]), int(rows[-1])),
        slice(max(0, chest.middle - half), chest.middle + half + 1),
    )
    hu, tissue = chest.hu[box], chest.hu[box] > TISSUE_HU
    on_right, on_left = np.zeros_like(tissue), np.zeros_like(tissue)
    for k in range(1, round(WINDPIPE_MM / chest.step_mm[2]) + 1):
        on_right[:, :, k:] |= tissue[:, :, :-k]
        on_left[:, :, :-k] |= tissue[:, :, k:]
    places = np.argwhere((hu < GAS_HU) & chest.enclosed[box] & on_right & on_left)
    return np.asarray(places + np.array([side.start for side in box]))
