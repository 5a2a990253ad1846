"""Hard negatives: what the network itself takes for nodules and what are none, found again and again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medvision.config.detection import CandidateConfig, MiningConfig
from medvision.files import make_folder, write_whole
from medvision.findings import Candidate
from medvision.geometry import lps_to_voxel
from medvision.inference.proposals import propose
from medvision.models.heatmap import HeatMapNet
from medvision.progress import track
from medvision.training import ranks
from medvision.training.candidates import hit
from medvision.training.patch_places import FalseMark, PatchPlaces
from medvision.training.volumes import TrainingVolume

logger = logging.getLogger(__name__)

Find = Callable[[TrainingVolume], Sequence[Candidate]]
"""What a network finds in a patient, the most probable first."""

TakeNetwork = Callable[[], Find]
"""Takes a network under training as it is now, for a look at several patients."""


class HardNegativeMiner:
    """Looks for a network's false marks in rounds of steps, and gives them to where patches are drawn.

    Args:
        take: the network as it is now.
        places: draws patches.
        config: how often, in how many patients, how many marks.
        folder: remembers the marks of each round, for a training that goes on in the middle of one.
        reuse: the first round may have been looked for before an interruption.
    """

    def __init__(
        self, take: TakeNetwork, places: PatchPlaces, config: MiningConfig, folder: Path, *, reuse: bool
    ) -> None:
        self.take, self.places, self.config = take, places, config
        self.folder, self.reuse = folder, reuse
        self.every = config.every

    def begin(self, step: int) -> None:
        """Look for the false marks of a round.

        Args:
            step: of the optimiser, with which the round begins; before the first one nothing is learnt yet.

        Raises:
            OutputError: they cannot be remembered.
        """
        if step == 0:
            return
        # The others of several processes wait for the first one: all draw from the same marks.
        marks = self._marks(step) if ranks.number() == 0 else []
        self.places.learn_false_marks(ranks.from_first(marks))
        self.reuse = False

    def _marks(self, step: int) -> list[FalseMark]:
        path = self.folder / f"false-marks-{step}.npz"
        if self.reuse and path.is_file():
            return _read(path)
        marks = self._look(step // self.every)
        _write(path, marks)
        return marks

    def _look(self, round_number: int) -> list[FalseMark]:
        """(patient, centre in its voxels) of each false mark."""
        patients, find = self._patients(round_number), self.take()
        marks = [
            (number, center)
            for number in track(patients, "hard negatives", len(patients))
            for center in false_marks(find, self.places.volumes[number], self.config.per_scan)
        ]
        logger.info("hard negatives: %d in %d patients", len(marks), len(patients))
        return marks

    def _patients(self, round_number: int) -> list[int]:
        """Whom to look at: all, or as many as are asked for, in turn."""
        count = len(self.places.volumes)
        scans = min(self.config.scans or count, count)
        return [(round_number * scans + offset) % count for offset in range(scans)]


def false_marks(find: Find, volume: TrainingVolume, most: int) -> NDArray[np.float64]:
    """The most probable marks that hit neither a nodule nor an excluded finding, by the LUNA16 rule.

    Returns:
        (N, 3) in the voxels of the volume's grid; N is at most `most`.
    """
    known = (*volume.series.annotations, *volume.series.excluded)
    centers = [mark.center_lps_mm for mark in find(volume) if hit(mark.center_lps_mm, known) is None]
    return lps_to_voxel(volume.box.grid.affine, np.array(centers[:most], dtype=np.float64).reshape(-1, 3))


def ask(network: HeatMapNet, limits: CandidateConfig, volume: TrainingVolume) -> list[Candidate]:
    """What stage one proposes in a patient, in the middle of its training, which goes on as if not asked."""
    learns = network.training
    network.eval()
    try:
        return propose(network, volume.box, limits, str(next(network.parameters()).device))[0]
    finally:
        network.train(learns)


def _write(path: Path, marks: Sequence[FalseMark]) -> None:
    patients = np.array([number for number, _ in marks], dtype=np.int64)
    centers = np.array([center for _, center in marks], dtype=np.float64).reshape(-1, 3)
    make_folder(path.parent)
    with write_whole(path) as aside, aside.open("wb") as file:
        np.savez(file, patients=patients, centers=centers)


def _read(path: Path) -> list[FalseMark]:
    with np.load(path) as found:
        return list(zip(found["patients"].tolist(), found["centers"], strict=True))
