"""Several models on the same scans, each scan read once and seen by all in turn."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from medvision.datasets.labelled import LabelledSeries
from medvision.findings import Candidate
from medvision.inference.detectors import Detector
from medvision.progress import track
from medvision.volumes import Scan


@dataclass(slots=True)
class Trial:
    """What one model says of a cohort.

    Attributes:
        detector: the model.
        candidates: Series Instance UID → what it proposes.
        seconds: of each scan, reading and measuring not included; of the processor on a CPU, because what
            else the machine does is not the model's fault.
    """

    detector: Detector
    candidates: dict[str, tuple[Candidate, ...]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    def look_at(self, series_instance_uid: str, scan: Scan) -> None:
        """Let the model see a scan."""
        clock = time.process_time if self.detector.device == "cpu" else time.perf_counter
        start = clock()
        self.candidates[series_instance_uid] = self.detector.predict(scan).candidates
        self.seconds.append(clock() - start)


def try_side_by_side(detectors: Sequence[Detector], cohort: Sequence[LabelledSeries]) -> tuple[Trial, ...]:
    """Let every model see every scan, taking turns in who is first, so that their times can be compared.

    Raises:
        DataError: a scan cannot be read: the cohort is not what it was.
    """
    trials = tuple(Trial(detector) for detector in detectors)
    for number, item in enumerate(track(cohort, "compare", len(cohort))):
        scan = item.load()
        if not number:
            for trial in trials:
                trial.detector.predict(scan)  # the first time takes longer
        turns = trials if number % 2 == 0 else trials[::-1]
        for trial in turns:
            trial.look_at(item.series_instance_uid, scan)
    return trials
