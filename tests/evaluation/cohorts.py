"""Small random cohorts in which marks often fall into nodules, often tie, and often lie on the border."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from medvision.evaluation.froc import FrocResult, froc
from medvision.findings import Annotation, Candidate

# A coarse lattice makes hits, double hits and distances of exactly one radius common.
coordinates = st.tuples(*[st.integers(-3, 3).map(lambda step: 2.5 * step)] * 3)
scores = st.integers(0, 8).map(lambda step: step / 8)
diameters = st.sampled_from([-1.0, 4.0, 5.0, 10.0, 12.5])


@dataclass(frozen=True)
class Cohort:
    scans: tuple[str, ...]
    marks: tuple[tuple, ...]
    nodules: tuple[tuple, ...]
    excluded: tuple[tuple, ...]

    def evaluate(self, **options) -> FrocResult:
        candidates: dict[str, list[Candidate]] = {}
        for scan, x, y, z, score in self.marks:
            candidates.setdefault(scan, []).append(Candidate((x, y, z), score, score, 5.0))
        return froc(
            candidates,
            _annotations(self.nodules),
            self.scans,
            excluded=_annotations(self.excluded),
            **options,
        )

    def but(self, **changes) -> Cohort:
        return replace(self, **changes)


def _annotations(rows):
    return [Annotation(scan, (x, y, z), diameter) for scan, x, y, z, diameter in rows]


@st.composite
def cohorts(draw) -> Cohort:
    scans = tuple(f"1.2.{number}" for number in range(draw(st.integers(1, 5))))
    scan = st.sampled_from(scans)
    marks = st.lists(st.builds(lambda s, c, p: (s, *c, p), scan, coordinates, scores), max_size=25)
    lesion = st.builds(lambda s, c, d: (s, *c, d), scan, coordinates, diameters)
    return Cohort(
        scans,
        tuple(draw(marks)),
        tuple(draw(st.lists(lesion, min_size=1, max_size=6))),
        tuple(draw(st.lists(lesion, max_size=4))),
    )
