"""What is validated on must not be known from the training, nor to the weights that it starts from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from medvision.errors import DataError
from medvision.models.card import CARD, ModelCard, load_card
from medvision.models.leakage import LeakageGuard, without_near_duplicates
from medvision.training.volumes import TrainingVolume

logger = logging.getLogger(__name__)


def drop_near_duplicates(
    training: Sequence[TrainingVolume], validation: Sequence[TrainingVolume]
) -> list[TrainingVolume]:
    """The scans to validate on, without those whose pixels are learnt from under other identifiers.

    Raises:
        DataError: none is left.
    """
    kept, dropped = without_near_duplicates(validation, training)
    for volume in dropped:
        logger.warning(
            "series %s is not validated on: the same pixels are learnt from under other identifiers",
            volume.series.series_instance_uid,
        )
    if dropped and not kept:
        raise DataError(
            f"all {len(dropped)} scans to validate on are learnt from under other identifiers; "
            "give each patient one Patient ID, or remove the copies"
        )
    return kept


def refuse_known_weights(weights: str, validation: Sequence[TrainingVolume]) -> None:
    """Refuse to start from a model that has learnt from scans to validate on.

    Args:
        weights: as configured: a name, or a path that may lie in a model directory.
        validation: the scans.

    Raises:
        DataError: it has; naming the model and how many scans, but no patient.
        ModelError: its card cannot be read.
    """
    folder = Path(weights) if Path(weights).is_dir() else Path(weights).parent
    if weights in ("imagenet", "random") or not (folder / CARD).is_file():
        return
    card = load_card(folder, ModelCard)
    guard = LeakageGuard(card.training)
    if not guard.can_tell:
        logger.warning("whether %s has seen the scans to validate on cannot be told without its key", folder)
    known = [volume for volume in validation if _is_learnt_from(guard, volume)]
    if known:
        raise DataError(
            f"{folder} has learnt from {len(known)} of the {len(validation)} scans to validate on, such as "
            f"series {known[0].series.series_instance_uid}; start from other weights, or keep its split"
        )


def _is_learnt_from(guard: LeakageGuard, volume: TrainingVolume) -> bool:
    series = volume.series
    seen = guard.seen(series.series_instance_uid, series.patient_id, volume.fingerprint)
    return any(way.part == "training" for way in seen)
