"""What a detector takes for nodules in scans that nobody has marked, as labels to learn from.

Only confident marks become nodules (Lee, "Pseudo-Label", ICML 2013 workshop; for detectors STAC, Sohn et al.,
arXiv:2005.04757). Doubtful ones count neither way, since a nodule that is called background is unlearnt (Soft
Teacher, Xu et al., arXiv:2106.09018, weighs them by the teacher's doubt; here they have no weight).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from medvision.config.detection import DetectionConfig
from medvision.config.self_training import SelfTrainingConfig
from medvision.files import make_folder, write_whole
from medvision.findings import Annotation, Candidate
from medvision.inference.predictor import judge
from medvision.training.candidates import find_candidates
from medvision.training.two_stages import TrainedStages
from medvision.training.validation import second_look_logits
from medvision.training.volumes import TrainingVolume, relabelled

Marks = Sequence[Sequence[Candidate]]
"""What was found in each scan."""

DOUBT_MM = 10.0
"""Least diameter that counts neither way around a doubtful mark; its own size is a rough estimate."""


def mark(
    stages: TrainedStages, volumes: Sequence[TrainingVolume], config: DetectionConfig
) -> list[list[Candidate]]:
    """Let both stages look at scans: what is at least doubtful in each, the most probable first."""
    found = find_candidates(stages.proposals, volumes, config, learning=False)
    judged = (
        judge(one.candidates, second_look_logits(stages.second_look, one), stages.validation.fusion)
        for one in found
    )
    floor = config.semi_supervised.ignore_above
    return [
        sorted((c for c in some if c.probability >= floor), key=lambda c: -c.probability) for some in judged
    ]


def label(
    volumes: Sequence[TrainingVolume], marks: Marks, settings: SelfTrainingConfig
) -> list[TrainingVolume]:
    """The scans, with confident marks as their nodules and doubtful ones as excluded findings."""
    return [
        replace(_labelled(volume, some, settings), weight=settings.weight)
        for volume, some in zip(volumes, marks, strict=True)
    ]


def _labelled(
    volume: TrainingVolume, marks: Sequence[Candidate], settings: SelfTrainingConfig
) -> TrainingVolume:
    uid = volume.series.series_instance_uid
    sure = [one for one in marks if one.probability >= settings.keep_above]
    unsure = [one for one in marks if settings.ignore_above <= one.probability < settings.keep_above]
    return relabelled(
        volume,
        [Annotation(uid, one.center_lps_mm, one.diameter_mm) for one in sure],
        [Annotation(uid, one.center_lps_mm, max(one.diameter_mm, DOUBT_MM)) for one in unsure],
    )


def write_marks(path: Path, marks: Marks) -> None:
    """Remember marks.

    Raises:
        OutputError: they cannot be written.
    """
    rows = [
        (scan, *one.center_lps_mm, one.probability, one.proposal_probability, one.diameter_mm)
        for scan, some in enumerate(marks)
        for one in some
    ]
    make_folder(path.parent)
    with write_whole(path) as aside, aside.open("wb") as file:
        np.save(file, np.array(rows, dtype=np.float64).reshape(-1, 7))


def read_marks(path: Path, scans: int) -> list[list[Candidate]]:
    """What `write_marks` has written of so many scans."""
    marks: list[list[Candidate]] = [[] for _ in range(scans)]
    for scan, x, y, z, probability, proposal, diameter_mm in np.load(path).tolist():
        marks[int(scan)].append(Candidate((x, y, z), probability, proposal, diameter_mm))
    return marks
