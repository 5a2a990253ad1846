"""Are the lungs there, whole, and inside the picture?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medvision.dicom.quality.check import make_check
from medvision.dicom.quality.chest import AIRWAY_CM2, PARENCHYMA_HU, Chest, Mask
from medvision.volumes import QualityCheck

MAX_CUT_CM2 = AIRWAY_CM2
"""Lung in the outermost slice that is no cut: the trachea, or the last millimetres of a recess."""
MAX_BEYOND_ML = 20.0
"""Lung that reaches the edge of the picture; skin folds, clothes and table foam look like a few ml of it."""
AT_THE_EDGE_HU = (-940, -500)
MAX_BODY_SHARE = 0.5
"""Share of the picture's edge at which there may be body: chest scans fit the picture to the lungs."""
SCANNER_FIELD_MM, MAX_SCANNER_SHARE = 480.0, 0.1
"""Scanners measure some 500 mm across: body beyond it cannot be reconstructed."""
BODY_HU = -300


def look_at_lungs(chest: Chest) -> list[QualityCheck]:
    """Coverage from top to bottom, and from side to side."""
    return [_coverage(chest), _field_of_view(chest)]


def _coverage(chest: Chest) -> QualityCheck:
    name, limit = "lung coverage", f"at most {MAX_CUT_CM2:g} cm² of lung in the outermost slices"
    if not chest.found:
        return make_check(name, "no lungs found", "both lungs", "no lungs were found: is this a chest?")
    low, high = PARENCHYMA_HU
    ends = chest.lungs[[0, -1]] & (chest.hu[[0, -1]] > low) & (chest.hu[[0, -1]] < high)
    bottom, top = ends.sum(axis=(1, 2)) * chest.step_mm[1] * chest.step_mm[2] / 100
    cut = [word for word, area in (("at the top", top), ("at the bottom", bottom)) if area > MAX_CUT_CM2]
    message = f"the lungs are cut off {' and '.join(cut)}" if cut else ""
    return make_check(name, f"top {top:.0f} cm², bottom {bottom:.0f} cm²", limit, message)


def _field_of_view(chest: Chest) -> QualityCheck:
    beyond_ml, share = _lung_at_the_edge_ml(chest), _body_share(chest)
    width_mm = float(chest.fine_mm[2] * chest.fine.shape[2])
    message = ""
    if chest.found and beyond_ml > MAX_BEYOND_ML:
        message = "the picture is too narrow: lung lies at its edge and beyond"
    elif width_mm >= SCANNER_FIELD_MM and share > MAX_SCANNER_SHARE:
        message = "the body is wider than the scanner's field of view: values near the edge are too high"
    elif share > MAX_BODY_SHARE:
        message = "the picture is narrow: the chest wall is cut off on most sides"
    value = f"{width_mm:.0f} mm wide, body at {share:.0%} of the edge, lung at the edge {beyond_ml:.0f} ml"
    limit = f"body at most {MAX_BODY_SHARE:.0%} of the edge, lung at most {MAX_BEYOND_ML:g} ml"
    return make_check("field of view", value, limit, message)


def _lung_at_the_edge_ml(chest: Chest) -> float:
    """What looks like lung, several voxels wide, in air that reaches the edge of its axial picture.

    Only at the lungs' own depth: table foam behind the body looks like lung as well.
    """
    if not chest.found:
        return 0.0
    low, high = AT_THE_EDGE_HU
    like_lung = (chest.hu > low) & (chest.hu < high) & ~chest.enclosed
    rows = np.flatnonzero(chest.lungs.any(axis=(0, 2)))
    like_lung[:, : rows[0]] = like_lung[:, rows[-1] + 1 :] = False
    inner = like_lung.copy()
    for axis in (1, 2):
        inner &= np.roll(like_lung, 1, axis) & np.roll(like_lung, -1, axis)
    inner &= np.roll(like_lung, 1, 0) & np.roll(like_lung, -1, 0)
    return float(np.count_nonzero(inner) * np.prod(chest.step_mm) / 1000)


def _body_share(chest: Chest) -> float:
    """Share of the picture's edge at which there is body, over the slices with lung."""
    if not chest.found:
        return 0.0
    edge = _edge(chest.picture)
    levels = chest.levels
    return float((chest.hu[levels.start : levels.stop][:, edge] > BODY_HU).mean())


def _edge(picture: Mask) -> NDArray[np.bool_]:
    """Its outermost pixels; of a circle those one further inside, since its own are blurred."""
    whole = bool(picture.all())
    outer = picture if whole else _shrunk(picture)
    return outer & ~_shrunk(outer)


def _shrunk(mask: Mask) -> Mask:
    inner = np.pad(mask, 1)
    return np.asarray(mask & inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:])
