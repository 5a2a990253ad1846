"""Does a round on 30 unlabelled patients help a detector that has 10 labelled ones? On 24 unseen patients.

All are simulated. Beside both: as many more steps on the labelled patients alone, so that the round is not
credited with mere training. Intervals: bootstrap over patients. `--quick` takes a fifth of the steps.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from medvision.cli.console import set_verbosity
from medvision.config.base import load_config
from medvision.config.detection import DetectionConfig
from medvision.config.tracking import TrackingConfig
from medvision.datasets.cohort import open_cohort
from medvision.simulation.cohort import simulate_cohort
from medvision.tracking import start_run
from medvision.training.candidates import find_candidates, hit
from medvision.training.proposals import train_proposals
from medvision.training.pseudo_labels import mark
from medvision.training.self_training import settings_of_round, train_rounds
from medvision.training.two_stages import TrainedStages, add_second_look
from medvision.training.validation import measure_two_stage
from medvision.training.volumes import TrainingVolume, prepare, relabelled

ROOT = Path(__file__).resolve().parent.parent
PATIENTS = {"labelled": 10, "unlabelled": 30, "unseen": 24}
VALIDATION = 3
STEPS, MORE_STEPS = 800, 400
QUICK = 5

Volumes = Sequence[TrainingVolume]


def main() -> None:
    """Print the marks' quality and one row a way to train."""
    set_verbosity(-1)
    with tempfile.TemporaryDirectory(prefix="medvision-self-training-") as folder:
        _compare(Path(folder))


def _compare(folder: Path) -> None:
    labelled, hidden, unseen = _patients(folder)
    validation, training = labelled[:VALIDATION], labelled[VALIDATION:]
    unlabelled = [relabelled(volume, (), ()) for volume in hidden]
    config = _config(folder)
    proposals = train_proposals(training, validation, config, folder / "alone")
    alone = add_second_look(proposals, training, validation, config)
    _tell_marks(alone, hidden, config)
    print("\n| learnt from | CPM, unseen patients (95 %) | validation patients |\n| --- | --- | --- |")
    _tell("labelled", alone, unseen, config)
    longer = settings_of_round(config, 1)
    again = train_proposals(training, validation, longer, folder / "longer", start=proposals)
    _tell("labelled, longer", add_second_look(again, training, validation, config), unseen, config)
    with start_run(TrackingConfig(enabled=False), name="", params={}) as run:
        after = train_rounds(alone, (training, validation, unlabelled), config, folder / "round", run)
    what = "undone" if after is alone else "kept"
    _tell(f"and unlabelled (the round is {what})", after, unseen, config)


def _patients(folder: Path) -> list[list[TrainingVolume]]:
    """Simulated patients of each kind, read."""
    found = []
    for seed, (name, patients) in enumerate(PATIENTS.items(), 201):
        simulate_cohort(folder / name, patients=patients, seed=seed, size="small", workers=2)
        found.append(prepare(open_cohort(folder / name), 1.25, 2, folder / "voxels" / name))
    return found


def _config(folder: Path) -> DetectionConfig:
    config = load_config(ROOT / "configs" / "detect_lite.yaml", DetectionConfig, [f"output={folder}"])
    share = QUICK if "--quick" in sys.argv else 1
    stage = config.proposals.model_copy(
        update={"steps": STEPS // share, "validate_every": STEPS // share // 4}
    )
    rounds = config.semi_supervised.model_copy(update={"steps": MORE_STEPS // share})
    return config.model_copy(update={"proposals": stage, "semi_supervised": rounds})


def _tell_marks(stages: TrainedStages, hidden: Volumes, config: DetectionConfig) -> None:
    """How right the marks are that a round would learn from; only here is the truth looked at."""
    marks = mark(stages, hidden, config)
    nodules = sum(len(volume.radii_mm) for volume in hidden)
    print("| marks of a probability from | are nodules |\n| ---: | --- |")
    for bar in (config.semi_supervised.keep_above, 0.5, config.semi_supervised.ignore_above):
        pairs = [
            (one, volume)
            for some, volume in zip(marks, hidden, strict=True)
            for one in some
            if one.probability >= bar
        ]
        right = sum(hit(one.center_lps_mm, volume.series.annotations) is not None for one, volume in pairs)
        print(f"| {bar:g} | {right} of {len(pairs)}; there are {nodules} |", flush=True)


def _tell(what: str, stages: TrainedStages, unseen: Volumes, config: DetectionConfig) -> None:
    found = find_candidates(stages.proposals, unseen, config, learning=False)
    result = measure_two_stage(stages.second_look, stages.validation.fusion, found, config.seed)
    _, lower, upper = result.cpm_interval or (result.cpm,) * 3
    print(f"| {what} | {result.cpm:.3f} ({lower:.3f} to {upper:.3f}) | {stages.cpm:.3f} |", flush=True)
