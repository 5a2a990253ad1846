"""Follow each finding back into an earlier examination, and each earlier finding into the current one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medvision.errors import DataError
from medvision.findings import Candidate, Measurement, Point
from medvision.geometry import lps_to_voxel
from medvision.measurement.nodule import measure
from medvision.priors.growth import Growth, growth_between
from medvision.priors.match import Seen, distance_mm, match
from medvision.priors.register import Alignment, align
from medvision.volumes import LungMask, Scan

FAINT_REACH_MM = 6.0
"""A candidate below the operating point is taken for a finding's earlier self only this near."""
SAME_PLACE_MM = 4.0
"""Without any candidate, what is measured at the mapped place counts only this near."""
LARGEST_FACTOR = 2.0
"""And only where it is no larger than this times the finding."""
OUTSIDE = "that place lies outside the current scan"
GONE = "nothing stands out at that place any more"


@dataclass(frozen=True, slots=True)
class Exam:
    """An examined scan.

    Attributes:
        scan: the voxels.
        lungs: where they are.
        candidates: all of them, down to the model's floor.
        threshold: probability from which a candidate is a finding.
    """

    scan: Scan
    lungs: LungMask
    candidates: tuple[Candidate, ...]
    threshold: float

    def holds(self, place_mm: Point) -> bool:
        """Whether a place lies on the scan."""
        index = lps_to_voxel(self.scan.volume.affine, place_mm)
        return bool(((index >= 0) & (index <= np.array(self.scan.volume.spatial_shape) - 1)).all())

    def measure(self, candidate: Candidate) -> Measurement | None:
        """Size there; None outside the scan."""
        try:
            return measure(self.scan.volume, candidate, self.lungs)[0]
        except DataError:
            return None


@dataclass(frozen=True, slots=True)
class Followed:
    """What the earlier examination says of a current finding.

    Attributes:
        growth: new, growing, …
        place_mm: where it is, or would be, in the earlier examination; None where that is outside of it.
        then: how it was; None where nothing was there.
    """

    growth: Growth
    place_mm: Point | None
    then: Measurement | None


@dataclass(frozen=True, slots=True)
class Vanished:
    """An earlier finding that is no finding now.

    Attributes:
        place_mm: where it would lie now.
        then: how it was.
        words: what is there now.
    """

    place_mm: Point
    then: Measurement
    words: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two examinations side by side.

    Attributes:
        alignment: how well they could be aligned; where not, the rest is empty.
        followed: one a current finding, in the order given.
        vanished: earlier findings without a partner.
    """

    alignment: Alignment
    followed: tuple[Followed, ...] = ()
    vanished: tuple[Vanished, ...] = ()


def compare(
    current: Exam, findings: Sequence[tuple[Candidate, Measurement]], prior: Exam, days: int | None
) -> Comparison:
    """Compare a scan with an earlier one of the same patient.

    Args:
        current: the scan.
        findings: what is reported of it, with its measurements.
        prior: the earlier scan, looked at by the same model.
        days: between both.
    """
    alignment = align(current.scan.volume, current.lungs, prior.scan.volume, prior.lungs)
    if not alignment.found:
        return Comparison(alignment)
    earlier = _measured(prior)
    mapped = [alignment.to_prior(_center(*finding)) for finding in findings]
    seen = [replace(_seen(*one), center_lps_mm=at) for one, at in zip(findings, mapped, strict=True)]
    pairs = match(seen, [_seen(*one) for one in earlier])
    faint = _faint_pairs(seen, [i for i in range(len(seen)) if i not in pairs], prior)
    followed = []
    for i, ((_, now), place_mm) in enumerate(zip(findings, mapped, strict=True)):
        if i in pairs:
            candidate, then = earlier[pairs[i]]
            followed.append(Followed(growth_between(then, now, days), _center(candidate, then), then))
        else:
            followed.append(_look_there(now, place_mm, faint.get(i), prior, days))
    left = [one for j, one in enumerate(earlier) if j not in pairs.values()]
    gone = [_look_here(candidate, then, alignment, current) for candidate, then in left]
    return Comparison(alignment, tuple(followed), tuple(gone))


def _measured(exam: Exam) -> list[tuple[Candidate, Measurement]]:
    """An examination's findings."""
    chosen = [candidate for candidate in exam.candidates if candidate.probability >= exam.threshold]
    sizes = [exam.measure(candidate) for candidate in chosen]
    return [(candidate, size) for candidate, size in zip(chosen, sizes, strict=True) if size is not None]


def _center(candidate: Candidate, measured: Measurement) -> Point:
    return measured.centroid_lps_mm or candidate.center_lps_mm


def _seen(candidate: Candidate, measured: Measurement) -> Seen:
    return Seen(_center(candidate, measured), measured.mean_diameter_mm, measured.mean_hu)


def _faint_pairs(seen: Sequence[Seen], alone: Sequence[int], prior: Exam) -> dict[int, Candidate]:
    """Candidates below the operating point near the places of findings without a partner."""
    faint = [candidate for candidate in prior.candidates if candidate.probability < prior.threshold]
    there = [Seen(candidate.center_lps_mm, candidate.diameter_mm) for candidate in faint]
    pairs = match([replace(seen[i], mean_hu=None) for i in alone], there)
    near = {alone[i]: faint[j] for i, j in pairs.items()}
    return {
        i: candidate
        for i, candidate in near.items()
        if distance_mm(candidate.center_lps_mm, seen[i].center_lps_mm) <= FAINT_REACH_MM
    }


def _look_there(
    now: Measurement, place_mm: Point, faint: Candidate | None, prior: Exam, days: int | None
) -> Followed:
    """Measure at the mapped place, so that "new" is not merely "missed"."""
    if not prior.holds(place_mm):
        return Followed(Growth("unclear"), None, None)
    mark = faint or Candidate(place_mm, 0.0, 0.0, now.mean_diameter_mm)
    then = prior.measure(mark)
    if (
        then is None
        or then.centroid_lps_mm is None
        or not _may_be(then, now, place_mm, known=faint is not None)
    ):
        return Followed(Growth("new"), place_mm, None)
    return Followed(growth_between(then, now, days), then.centroid_lps_mm, then)


def _may_be(then: Measurement, now: Measurement, place_mm: Point, *, known: bool) -> bool:
    """Whether what is measured there is the finding's earlier self rather than a vessel nearby."""
    if then.centroid_lps_mm is None:
        return False
    off = distance_mm(then.centroid_lps_mm, place_mm)
    if known:
        return off <= FAINT_REACH_MM + now.mean_diameter_mm / 4
    fits = then.volume_mm3 <= LARGEST_FACTOR * now.volume_mm3
    return off <= SAME_PLACE_MM and fits and then.attachment != "vascular" and then.reliable


def _look_here(candidate: Candidate, then: Measurement, alignment: Alignment, current: Exam) -> Vanished:
    """What is at an earlier finding's place now."""
    place_mm = alignment.to_current(_center(candidate, then))
    if not current.holds(place_mm):
        return Vanished(place_mm, then, OUTSIDE)
    near = [c for c in current.candidates if distance_mm(c.center_lps_mm, place_mm) <= FAINT_REACH_MM]
    best = max(near, key=lambda c: c.probability, default=None)
    now = current.measure(best or replace(candidate, center_lps_mm=place_mm))
    if now is None or now.centroid_lps_mm is None or not _may_be(now, then, place_mm, known=best is not None):
        return Vanished(place_mm, then, GONE)
    below = "" if best is None else ", below the operating point"
    return Vanished(place_mm, then, f"something of {now.volume_mm3:.0f} mm³ is still there{below}")
