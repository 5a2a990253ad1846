"""The LUNA16 rules once more, slowly and plainly, to compare with: loops over rows, no arrays."""

from __future__ import annotations

import math

POINTS = (0.125, 0.25, 0.5, 1, 2, 4, 8)


def evaluate(marks, nodules, excluded, scans):
    """marks: (scan, x, y, z, score); nodules, excluded: (scan, x, y, z, diameter)."""
    found, missed, false = [], 0, []
    counts = {"n_candidates": 0, "ignored_excluded": 0, "ignored_double": 0}
    for scan in scans:
        mine = _best_hundred([mark for mark in marks if mark[0] == scan])
        counts["n_candidates"] += len(mine)
        explained = set()
        for nodule in [row for row in nodules if row[0] == scan]:
            hits = [i for i, mark in enumerate(mine) if _hit(mark, nodule)]
            explained |= set(hits)
            counts["ignored_double"] += max(0, len(hits) - 1)
            if hits:
                found.append(max(mine[i][4] for i in hits))
            else:
                missed += 1
        for i, mark in enumerate(mine):
            if i in explained:
                continue
            if any(_hit(mark, row) for row in excluded if row[0] == scan):
                counts["ignored_excluded"] += 1
            else:
                false.append(mark[4])
    counts |= {
        "true_positives": len(found),
        "false_negatives": missed,
        "false_positives": len(false),
        "n_nodules": len(found) + missed,
        "n_scans": len(scans),
        "sensitivity": [_sensitivity(found, missed, false, len(scans), point) for point in POINTS],
    }
    return counts


def _best_hundred(marks):
    if len(marks) <= 100:
        return marks
    limit = sorted((mark[4] for mark in marks), reverse=True)[100]
    return [mark for mark in marks if mark[4] > limit]


def _hit(mark, lesion):
    diameter = 10.0 if lesion[4] < 0 else lesion[4]
    return math.dist(mark[1:4], lesion[1:4]) < diameter / 2


def _sensitivity(found, missed, false, n_scans, point):
    """Read the polyline of all thresholds at one number of false positives a scan."""
    total = len(found) + missed
    corners = [(0.0, 0.0)]
    thresholds = sorted(set(found) | set(false), reverse=True)
    corners += [(_count(false, score) / n_scans, _count(found, score) / total) for score in thresholds]
    before = [corner for corner in corners if corner[0] <= point]
    after = [corner for corner in corners if corner[0] > point]
    (x0, y0) = before[-1]
    if not after:
        return y0
    (x1, y1) = after[0]
    return y0 + (y1 - y0) * (point - x0) / (x1 - x0)


def _count(scores, threshold):
    return sum(score >= threshold for score in scores)
