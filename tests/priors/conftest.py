"""One simulated patient, examined twice, with marks that a detector might make."""

from __future__ import annotations

from dataclasses import dataclass

import highdicom as hd
import numpy as np
import pytest

from medvision.findings import Candidate, Measurement
from medvision.preprocessing.lungs import find_lungs
from medvision.priors.compare import Exam
from medvision.simulation.follow_up import FollowUp, follow_up
from medvision.simulation.phantom import Phantom, sample_patient
from medvision.simulation.scanning import scan_patient
from medvision.volumes import Scan

DOUBLED, GONE, ADDED = 2, 1, 1
"""Index of the nodule that doubles and of the one that vanishes; how many are new."""


def exam(phantom: Phantom) -> Exam:
    """A scan with exact marks, all above the operating point."""
    volume = hd.Volume(scan_patient(phantom), phantom.grid.affine, coordinate_system="PATIENT")
    marks = tuple(Candidate(placed.center_lps_mm, 0.9, 0.9, placed.diameter_mm) for placed in phantom.nodules)
    return Exam(Scan("1", "1", "2", "P", volume, ()), find_lungs(volume), marks, 0.5)


@dataclass(frozen=True)
class Twice:
    """Both examinations."""

    first: Phantom
    later: FollowUp
    then: Exam
    now: Exam

    @property
    def findings(self) -> list[tuple[Candidate, Measurement]]:
        return [(mark, self.now.measure(mark)) for mark in self.now.candidates]


@pytest.fixture(scope="session")
def twice() -> Twice:
    """Five nodules: one doubles, one vanishes, three stay; one is new."""
    first = sample_patient(78, 5, "small")
    growth = np.zeros(len(first.nodules))
    growth[DOUBLED] = 1.0
    later = follow_up(first, breath_change=-0.25, growth=growth.tolist(), vanished=[GONE], new=ADDED)
    return Twice(first, later, exam(first), exam(later.phantom))
