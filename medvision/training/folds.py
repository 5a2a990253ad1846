"""Cross-validation of a detector: a model a fold, and the FROC of what each says of patients it never saw."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from medvision.config.base import config_sha256
from medvision.config.detection import DetectionConfig
from medvision.config.retinanet_training import RetinaNetJob
from medvision.datasets.labelled import LabelledSeries
from medvision.errors import NothingToDoError
from medvision.evaluation.froc import FrocResult
from medvision.files import make_folder, write_text
from medvision.findings import Candidate
from medvision.inference.case import candidates_csv
from medvision.inference.detectors import Detector, open_detector
from medvision.models.card import CARD
from medvision.models.detector_card import load_detector_card
from medvision.progress import track
from medvision.training.cohort_split import fold_numbers, split_cohorts
from medvision.training.result import TrainResult
from medvision.training.tracked_run import remove_work, tracked, work_folder
from medvision.training.validation import EVALUATION, froc_metrics, measure, write_froc
from medvision.training.volume_shelf import VolumeShelf, open_shelf

logger = logging.getLogger(__name__)

Config = DetectionConfig | RetinaNetJob
Found = Mapping[str, Sequence[Candidate]]
"""Series Instance UID → candidates."""

PREDICTIONS = "predictions.csv"


class Train(Protocol):
    """The training of one fold."""

    def __call__(
        self, config: Config, *, resume: bool, parent: str | None, shelf: VolumeShelf
    ) -> TrainResult:
        """Write a model directory, in a run below the parent's."""


def train_folds(config: Config, train: Train, *, resume: bool = False) -> TrainResult:
    """Train once a fold, on all others, and judge each fold by the model that has not seen it.

    The validation patients, which choose checkpoints and operating points, are part of the other folds.

    Args:
        config: with `data.folds`.
        train: trains one fold.
        resume: go on after an interruption: folds that are complete are not trained again.

    Returns:
        The folder with `fold_<n>`, a model directory each, and `evaluation`: FROC over all folds, and their
        predictions as one LUNA16 submission.

    Raises:
        DataError, NothingToDoError: as one training.
    """
    work = work_folder(config)
    numbers, shelf = fold_numbers(config), open_shelf(config, work)
    found: dict[str, Sequence[Candidate]] = {}
    tested: list[LabelledSeries] = []
    with tracked(config, work, resume=resume) as run:
        for number in numbers:
            logger.info("fold %d, the test of %d", number, len(numbers))
            one = _of_fold(config, number)
            if not (resume and _is_trained(one)):
                train(one, resume=resume, parent=run.run_id, shelf=shelf)
            series = split_cohorts(one).test
            found |= _predict(open_detector(one.output), series)
            tested += series
        measured = _judge(found, tested, config)
        metrics = _metrics(measured, len(numbers))
        run.log_metrics(metrics)
        run.log_folder(config.output / EVALUATION, EVALUATION)
    remove_work(config)
    return TrainResult(config.output, run.run_id, None, metrics)


def _of_fold(config: Config, number: int) -> Config:
    """The training of one fold; none of them is registered, because they are there to be compared."""
    return config.model_copy(
        update={
            "output": config.output / f"fold_{number}",
            "data": config.data.model_copy(update={"fold": number}),
            "tracking": config.tracking.model_copy(update={"register_as": None}),
        }
    )


def _is_trained(config: Config) -> bool:
    there = (config.output / CARD).is_file()
    return there and load_detector_card(config.output).version == config_sha256(config)[:12]


def _predict(detector: Detector, series: Sequence[LabelledSeries]) -> Found:
    found: dict[str, Sequence[Candidate]] = {}
    for item in track(series, "test", len(series)):
        try:
            found[item.series_instance_uid] = detector.predict(item.load()).candidates
        except (OSError, ValueError) as error:
            logger.warning("nothing is found in series %s: %s", item.series_instance_uid, error)
    return found


def _judge(found: Found, tested: Sequence[LabelledSeries], config: Config) -> FrocResult:
    if not any(item.annotations for item in tested):
        raise NothingToDoError(f"no nodule to test on among {len(tested)} series; add patients")
    measured = measure(found, tested, config.seed)
    folder = make_folder(config.output / EVALUATION)
    write_froc(measured, folder)
    write_text(folder / PREDICTIONS, candidates_csv(found), private=True)
    return measured


def _metrics(measured: FrocResult, folds: int) -> dict[str, float]:
    return froc_metrics(measured, "out_of_fold") | {"out_of_fold/folds": float(folds)}
