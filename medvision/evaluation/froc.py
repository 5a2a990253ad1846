"""FROC analysis of a detector over a cohort, from nodules and candidates in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from medvision.errors import DataError
from medvision.evaluation.beyond import Beyond
from medvision.evaluation.bootstrap import FrocBand, bootstrap_curves, mean_and_interval
from medvision.evaluation.curve import FP_PER_SCAN, Events, FrocCurve
from medvision.evaluation.matching import MAX_MARKS_PER_SCAN, Lesions, Marks, Matching, match
from medvision.evaluation.training_overlap import TrainingOverlap
from medvision.findings import Annotation, Candidate


@dataclass(frozen=True, slots=True, eq=False)
class FrocResult:
    """What `froc.json` says, and the curve it was read from.

    Attributes:
        fp_per_scan: the seven operating points, false positives a scan.
        sensitivity: at each of them.
        cpm: mean of the seven sensitivities.
        true_positives: nodules that any mark hits.
        false_positives: marks that hit nothing.
        false_negatives: nodules that no mark hits.
        n_nodules: nodules in the scans.
        n_scans: scans, those without nodules too.
        n_candidates: marks looked at.
        ignored_excluded: marks ignored because they hit an excluded finding.
        ignored_double: marks ignored because a better one hits the same nodule.
        curve: all corner points.
        matching: what became of every nodule and every mark.
        band: mean and interval over bootstrapped cohorts; None without bootstrap.
        training_overlap: which scans the model had seen; None where it is not known.
        beyond: what the LUNA16 script does not tell; None where it was not asked for.
    """

    fp_per_scan: tuple[float, ...]
    sensitivity: tuple[float, ...]
    cpm: float
    true_positives: int
    false_positives: int
    false_negatives: int
    n_nodules: int
    n_scans: int
    n_candidates: int
    ignored_excluded: int
    ignored_double: int
    curve: FrocCurve
    matching: Matching
    band: FrocBand | None = None
    training_overlap: TrainingOverlap | None = None
    beyond: Beyond | None = None

    @property
    def sensitivity_mean(self) -> tuple[float, ...] | None:
        """Mean over bootstrapped cohorts at the seven operating points; None without bootstrap."""
        return None if self.band is None else self._at(self.band.mean)

    @property
    def sensitivity_lower(self) -> tuple[float, ...] | None:
        """Lower bound of the 95 % interval at the seven operating points; None without bootstrap."""
        return None if self.band is None else self._at(self.band.lower)

    @property
    def sensitivity_upper(self) -> tuple[float, ...] | None:
        """Upper bound of the 95 % interval at the seven operating points; None without bootstrap."""
        return None if self.band is None else self._at(self.band.upper)

    @property
    def cpm_interval(self) -> tuple[float, float, float] | None:
        """Mean, lower and upper bound (95 %) of the CPM over bootstrapped cohorts; None without bootstrap."""
        if self.band is None:
            return None
        mean, lower, upper = mean_and_interval(self.band.cpm)
        return float(mean), float(lower), float(upper)

    def operating_point(self, fp_per_scan: float) -> tuple[float, float]:
        """The lowest threshold with at most so many false positives a scan, and the sensitivity there."""
        allowed = int(fp_per_scan * self.n_scans)
        false = np.sort(self.matching.false_probability)[::-1]
        threshold = float(np.nextafter(false[allowed], np.inf)) if allowed < len(false) else 0.0
        return threshold, float((self.matching.nodule_probability >= threshold).mean())

    def to_dict(self) -> dict[str, object]:
        """The content of `froc.json`."""
        inside = ("curve", "matching", "band", "training_overlap", "beyond")
        names = [name for name in self.__dataclass_fields__ if name not in inside]
        document = {name: _plain(getattr(self, name)) for name in names}
        if self.cpm_interval is not None:
            for name in ("sensitivity_mean", "sensitivity_lower", "sensitivity_upper"):
                document[name] = _plain(getattr(self, name))
            document |= dict(zip(("cpm_mean", "cpm_lower", "cpm_upper"), self.cpm_interval, strict=True))
        if self.training_overlap is not None:
            overlap = asdict(self.training_overlap)
            document["training_overlap"] = {name: _plain(value) for name, value in overlap.items()}
        if self.beyond is not None:
            document |= self.beyond.to_dict()
        return document

    def _at(self, values: np.typing.NDArray[np.float64]) -> tuple[float, ...]:
        grid = self.band.fp_per_scan if self.band is not None else ()
        return tuple(np.interp(self.fp_per_scan, grid, values).tolist())


def froc(
    candidates: Mapping[str, Iterable[Candidate]],
    annotations: Iterable[Annotation],
    series_uids: Sequence[str],
    *,
    excluded: Iterable[Annotation] = (),
    bootstrap: int = 0,
    seed: int = 0,
) -> FrocResult:
    """Evaluate candidates by the LUNA16 rules.

    Args:
        candidates: Series Instance UID → candidates; a Series without any may be absent.
        annotations: the nodules to find. Those of other Series are left out, as are such candidates.
        series_uids: the Series that count, with or without nodules.
        excluded: findings that count neither way.
        bootstrap: cohorts to draw for the intervals; 0: no intervals.
        seed: of the drawing.

    Raises:
        DataError: no Series, or none of them has a nodule, so that sensitivity is not defined; a candidate
            without a finite probability.
    """
    index = {uid: number for number, uid in enumerate(series_uids)}
    rows = [
        (index[uid], *candidate.center_lps_mm, candidate.probability)
        for uid, found in candidates.items()
        if uid in index
        for candidate in found
    ]
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    marks = Marks(table[:, 0].astype(np.int64), table[:, 1:4], table[:, 4])
    return froc_of_arrays(
        marks,
        _lesions(annotations, index),
        _lesions(excluded, index),
        len(index),
        bootstrap=bootstrap,
        seed=seed,
    )


def froc_of_arrays(
    marks: Marks,
    nodules: Lesions,
    excluded: Lesions,
    n_scans: int,
    *,
    bootstrap: int = 0,
    seed: int = 0,
    points: Sequence[float] = (),
    max_marks: int = MAX_MARKS_PER_SCAN,
) -> FrocResult:
    """Evaluate marks by the LUNA16 rules; as `froc`, for arrays.

    Args:
        marks: candidates.
        nodules: the lesions to find.
        excluded: findings that count neither way.
        n_scans: scans.
        bootstrap: cohorts to draw for the intervals; 0: no intervals.
        seed: of the drawing.
        points: further false positives a scan at which every drawn curve is read.
        max_marks: marks a scan that are looked at.

    Raises:
        DataError: no scan, or no nodule, so that sensitivity is not defined; a mark without a finite score.
    """
    if not np.isfinite(marks.probability).all():
        raise DataError(f"{(~np.isfinite(marks.probability)).sum()} marks have no finite probability")
    if n_scans == 0 or len(nodules.scan) == 0:
        raise DataError(f"sensitivity is not defined: {n_scans} scans with {len(nodules.scan)} nodules")
    matching = match(marks, nodules, excluded, n_scans, max_marks)
    events = Events.of(matching, n_scans)
    band = bootstrap_curves(events, bootstrap, seed, points) if bootstrap else None
    return _result(matching, events.curve(), n_scans, band)


def _result(matching: Matching, curve: FrocCurve, n_scans: int, band: FrocBand | None) -> FrocResult:
    sensitivity = curve.at(FP_PER_SCAN)
    n_nodules, found = len(matching.nodule_scan), int(matching.found.sum())
    return FrocResult(
        fp_per_scan=FP_PER_SCAN,
        sensitivity=tuple(sensitivity.tolist()),
        cpm=float(sensitivity.mean()),
        true_positives=found,
        false_positives=len(matching.false_scan),
        false_negatives=n_nodules - found,
        n_nodules=n_nodules,
        n_scans=n_scans,
        n_candidates=matching.n_candidates,
        ignored_excluded=matching.ignored_excluded,
        ignored_double=matching.ignored_double,
        curve=curve,
        matching=matching,
        band=band,
    )


def _lesions(annotations: Iterable[Annotation], index: Mapping[str, int]) -> Lesions:
    rows = [
        (index[item.series_instance_uid], *item.center_lps_mm, item.diameter_mm)
        for item in annotations
        if item.series_instance_uid in index
    ]
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    return Lesions(table[:, 0].astype(np.int64), table[:, 1:4], table[:, 4])


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
