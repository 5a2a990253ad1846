"""Rounds in which a detector goes on learning from scans that only it has marked."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from medvision.config.detection import DetectionConfig
from medvision.models.heatmap import HeatMapNet
from medvision.tracking import Run
from medvision.training import ranks
from medvision.training.proposals import train_proposals
from medvision.training.pseudo_labels import Marks, label, mark, read_marks, write_marks
from medvision.training.two_stages import TrainedStages, add_second_look
from medvision.training.volumes import TrainingVolume

logger = logging.getLogger(__name__)

Volumes = Sequence[TrainingVolume]


def train_rounds(
    stages: TrainedStages,
    parts: tuple[Volumes, Volumes, Volumes],
    config: DetectionConfig,
    folder: Path,
    run: Run,
    *,
    resume: bool = False,
) -> TrainedStages:
    """Mark the unlabelled scans, learn from them too, and so on, while the validation patients gain by it.

    Args:
        stages: trained on labelled scans alone.
        parts: volumes to learn from, to validate on, and without labels.
        config: how many rounds, which marks count.
        folder: for checkpoints and marks.
        run: is told what each round added, by its number.
        resume: go on after an interruption.

    Returns:
        Both stages after the last round that has not made the CPM lower.

    Raises:
        OutputError: the marks cannot be remembered.
    """
    training, validation, unlabelled = parts
    _record(run, 0, stages, ())
    for number in range(1, config.semi_supervised.rounds + 1):
        marks = _marks(stages, unlabelled, config, folder / f"marks-{number}.npy", resume=resume)
        ranks.from_first(marks)
        marked = label(unlabelled, marks, config.semi_supervised)
        logger.info(
            "round %d: %d marks are taken for nodules, %d are doubtful, in %d unlabelled scans",
            number,
            *_counts(marked),
            len(marked),
        )
        everyone = [*training, *marked]
        both = everyone, validation
        proposals = _train_round(number, stages.proposals, both, config, folder, run, resume=resume)
        after = add_second_look(proposals, *both, config, run.lightning_logger(f"round_{number}/"))
        _record(run, number, after, marked)
        if after.cpm < stages.cpm:
            logger.info("round %d is undone: the validation patients lose by it", number)
            break
        stages = after
    ranks.from_first(None)
    ranks.part()
    return stages


def help_with_rounds(
    proposals: HeatMapNet,
    parts: tuple[Volumes, Volumes, Volumes],
    config: DetectionConfig,
    folder: Path,
    *,
    resume: bool = False,
) -> None:
    """Do one process's part of stage one in all rounds, beside the first, which calls `train_rounds`."""
    training, validation, unlabelled = parts
    number = 0
    while (marks := ranks.from_first(None)) is not None:
        number += 1
        everyone = [*training, *label(unlabelled, marks, config.semi_supervised)]
        both = everyone, validation
        proposals = _train_round(number, proposals, both, config, folder, None, resume=resume)


def _train_round(
    number: int,
    start: HeatMapNet,
    parts: tuple[Volumes, Volumes],
    config: DetectionConfig,
    folder: Path,
    run: Run | None,
    *,
    resume: bool,
) -> HeatMapNet:
    """Stage one of a round, from where the one before it ended."""
    return train_proposals(
        *parts,
        settings_of_round(config, number),
        folder / f"round-{number}",
        logger=run.lightning_logger(f"round_{number}/") if run else None,
        resume=resume,
        start=start,
        what=f"proposals, round {number}",
    )


def settings_of_round(config: DetectionConfig, number: int) -> DetectionConfig:
    """What stage one learns by in a round: its own steps and rate, and other patches than before."""
    rounds = config.semi_supervised
    stage = config.proposals.model_copy(update={"steps": rounds.steps, "learning_rate": rounds.learning_rate})
    return config.model_copy(update={"proposals": stage, "seed": config.seed + number})


def _marks(
    stages: TrainedStages, unlabelled: Volumes, config: DetectionConfig, path: Path, *, resume: bool
) -> Marks:
    """As before an interruption, where one was: what has been learnt since is theirs."""
    if resume and path.is_file():
        return read_marks(path, len(unlabelled))
    marks = mark(stages, unlabelled, config)
    write_marks(path, marks)
    return marks


def _record(run: Run, number: int, stages: TrainedStages, marked: Volumes) -> None:
    """What a round has added, and what came of it; round 0 is the training on labelled scans."""
    nodules, doubtful = _counts(marked)
    figures = {"validation_cpm": stages.cpm, "nodules": float(nodules), "doubtful_marks": float(doubtful)}
    run.log_metrics({f"semi_supervised/{name}": value for name, value in figures.items()}, step=number)


def _counts(marked: Volumes) -> tuple[int, int]:
    """Marks that are taken for nodules, and doubtful ones."""
    nodules = sum(len(volume.radii_mm) for volume in marked)
    return nodules, sum(len(volume.ignored_mm) for volume in marked)
