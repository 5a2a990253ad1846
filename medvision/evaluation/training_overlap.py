"""Whether the scans of an evaluation were seen in the training of the model that it judges."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medvision.contracts import check_document
from medvision.errors import DataError
from medvision.files import read_json

logger = logging.getLogger(__name__)

RUN = "run.json"


@dataclass(frozen=True, slots=True)
class TrainingOverlap:
    """What `froc.json` says of it.

    Attributes:
        model: name of the model.
        version: of the model.
        checked: False where the key of its hashed identifiers was not given.
        training: listed Series that it has learnt from.
        validation: listed Series that chose its operating points.
    """

    model: str
    version: str
    checked: bool
    training: tuple[str, ...]
    validation: tuple[str, ...]


def overlap_with_training(
    series_uids: Sequence[str], predictions: Path, model: Path | None = None
) -> TrainingOverlap | None:
    """Which listed Series a model has seen.

    Args:
        series_uids: the scans that count.
        predictions: the table; a `run.json` of `medvision infer` beside it also knows of patients and
            near-duplicates.
        model: model directory; only Series are compared with it.

    Returns:
        None where neither a model nor a `run.json` is there.

    Raises:
        ModelError: the model's card cannot be read.
    """
    found = _by_card(series_uids, model) if model is not None else _by_run(series_uids, predictions)
    if found is not None and (found.training or found.validation):
        logger.warning(
            "no independent test: model %s %s has learnt from %d of these %d scans; %d chose its thresholds",
            found.model,
            found.version,
            len(found.training),
            len(series_uids),
            len(found.validation),
        )
    if found is not None and not found.checked:
        logger.warning("whether model %s has seen these scans cannot be told without its key", found.model)
    return found


def refuse_others(predictions: Path, model: Path, version: str) -> None:
    """Refuse predictions whose `run.json` says that another model made them.

    Args:
        predictions: the table.
        model: directory of the model that they are said to be of.
        version: of that model.

    Raises:
        DataError: naming both versions.
    """
    made_by = _read_run(predictions.with_name(RUN)).get("model")
    if made_by and made_by["version"] != version:
        raise DataError(
            f"{predictions} was made by model {made_by['name']} {made_by['version']}, and {model} is version "
            f"{version}; run infer with it, or give the other model"
        )


def _by_card(series_uids: Sequence[str], model: Path) -> TrainingOverlap:
    from medvision.models.detector_card import load_detector_card
    from medvision.models.leakage import LeakageGuard

    card = load_detector_card(model)
    guard = LeakageGuard(card.training)
    parts = {uid: {way.part for way in guard.seen(uid)} for uid in series_uids}
    return TrainingOverlap(
        card.name,
        card.version,
        guard.can_tell,
        tuple(uid for uid, seen in parts.items() if "training" in seen),
        tuple(uid for uid, seen in parts.items() if "validation" in seen),
    )


def _by_run(series_uids: Sequence[str], predictions: Path) -> TrainingOverlap | None:
    run = _read_run(predictions.with_name(RUN))
    overlap = run.get("training_overlap")
    if not overlap:
        return None
    listed = set(series_uids)
    return TrainingOverlap(
        run["model"]["name"],
        run["model"]["version"],
        overlap["checked"],
        tuple(uid for uid in overlap["training"] if uid in listed),
        tuple(uid for uid in overlap["validation"] if uid in listed),
    )


def _read_run(path: Path) -> dict[str, Any]:
    """A `run.json` beside the predictions, if it is one."""
    try:
        document = read_json(path)
        check_document(document, "run", str(path))
    except (OSError, ValueError):
        return {}
    return dict(document)
