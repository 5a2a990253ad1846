"""Make a model's probabilities honest where it is used, on labelled scans of that place."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml
from numpy.typing import NDArray

from medvision.errors import DataError, UsageError
from medvision.evaluation.attributes import read_attributes
from medvision.evaluation.calibration import Method
from medvision.evaluation.froc import FrocResult, froc_of_arrays
from medvision.evaluation.matching import Lesions, Marks
from medvision.evaluation.recalibration import Labelled, Recalibration, recalibrate
from medvision.evaluation.reliability import plot_reliability
from medvision.evaluation.series_list import read_series_uids
from medvision.evaluation.submission import no_lesions, read_lesions, read_submission, series_of
from medvision.evaluation.thresholds import checked_rates, thresholds
from medvision.evaluation.training_overlap import refuse_others
from medvision.files import file_sha256, make_folder, write_text
from medvision.models.card import (
    CARD,
    DetectorCard,
    LocalCalibration,
    Measured,
    OperatingPoint,
    TrainingRecord,
)
from medvision.models.card_calibration import CardCalibration
from medvision.models.detector_card import load_detector_card
from medvision.models.leakage import UNKNOWN_KEY, LeakageGuard, hash_all, key_id, read_key

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)

PICTURE = "reliability.png"


@dataclass(frozen=True, slots=True)
class LocalScans:
    """Labelled scans of a place, and what the model said of them.

    Attributes:
        predictions: CSV that `medvision infer` wrote with this model.
        annotations: CSV with the nodules.
        seriesuids: the labelled scans, one Series Instance UID a line; None: all that either table names.
        patients: table or `truth.json` with `patient_id`; None: each scan is a patient.
        excluded: CSV of findings that count neither way.
    """

    predictions: Path
    annotations: Path
    seriesuids: Path | None = None
    patients: Path | None = None
    excluded: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Cohort:
    uids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    marks: Marks
    nodules: Lesions
    excluded: Lesions

    @property
    def patient(self) -> NDArray[np.int64]:
        return np.unique(np.array(self.patient_ids), return_inverse=True)[1]

    def froc(self, probability: NDArray[np.float64] | None = None) -> FrocResult:
        marks = self.marks
        if probability is not None:
            marks = Marks(marks.scan, marks.center_mm, probability)
        return froc_of_arrays(marks, self.nodules, self.excluded, len(self.uids))


def calibrate(
    model: Path,
    scans: LocalScans,
    out: Path,
    *,
    method: Method | None = None,
    fp_per_scan: float | None = None,
    threshold: float | None = None,
    seed: int = 0,
) -> DetectorCard:
    """Recalibrate a detector and write it as a new model directory.

    Its weights are copied; its card gets one more map of the probability, operating points measured on these
    scans, and their hashed identifiers as scans that chose thresholds. Scans that the model has learnt from
    are left out: it is too sure of them. A bundle becomes a model directory, too.

    Args:
        model: model directory, a MONAI bundle's folder, or a bundle's `model.pt`.
        scans: labelled scans.
        out: new folder.
        method: of the map; None: what does best on patients held out.
        fp_per_scan: to use where `infer` is asked for nothing else.
        threshold: the same, as a recalibrated probability.
        seed: of folds and intervals.

    Returns:
        The card as written.

    Raises:
        ModelError: the model cannot be read.
        ContractError: a table breaks its contract, naming file, line, column and value.
        DataError: too few nodules, false marks or patients, or predictions of another model.
        UsageError: both a rate and a threshold, or a folder in which there is something.
        OutputError: the folder cannot be written.
    """
    if fp_per_scan is not None and threshold is not None:
        raise UsageError("give --fp-per-scan or --threshold, not both")
    rates = checked_rates([fp_per_scan] if fp_per_scan is not None else [])
    card, bundled = _read_model(model)
    refuse_others(scans.predictions, model, card.version)
    guard = LeakageGuard(card.training)
    if not guard.can_tell:
        logger.warning("%s, and it will not know them as its own", _why_unknown(card, model))
    _refuse_full(out)
    cohort = _read(scans, guard)
    before = cohort.froc()
    labelled = Labelled.of(before.matching, cohort.patient)
    found = recalibrate(labelled, method, seed)
    if found.method is not None and found.after["log_loss"][0] >= found.before["log_loss"][0]:
        logger.warning("%s makes probabilities less honest on patients held out; try --method auto", method)
    after = (
        before
        if found.calibration is None
        else cohort.froc(found.calibration.apply(cohort.marks.probability))
    )
    new = _card(card, scans, cohort, labelled, found)
    new = new.model_copy(update=_operating_points(after, rates, threshold))
    new = new.model_copy(update={"version": _version(new)})
    _plot(out / PICTURE, labelled, found)
    return _copy(model, out, new) if bundled is None else _save(out, new, bundled)


def _why_unknown(card: DetectorCard, model: Path) -> str:
    is_bundle = card.training.key_id == UNKNOWN_KEY
    reason = (
        ": a bundle does not say whom it has learnt from"
        if is_bundle
        else " without its key (MEDVISION_LEAKAGE_KEY)"
    )
    return f"whether {model} has learnt from these scans cannot be told{reason}"


def _read_model(model: Path) -> tuple[DetectorCard, nn.Module | None]:
    """Its card and, where it lies in no model directory but in a bundle, its network."""
    if (model / CARD).is_file():
        return load_detector_card(model), None
    from medvision.models.retinanet.loading import load_retinanet

    network, card = load_retinanet(model)
    return card, network


def _refuse_full(out: Path) -> None:
    make_folder(out)
    if any(out.iterdir()):
        raise UsageError(f"{out} is not empty; give a new folder for the recalibrated model")


def _read(scans: LocalScans, guard: LeakageGuard) -> _Cohort:
    listed = _listed(scans)
    patient_ids = _patient_ids(scans, listed)
    learnt = {uid for uid in listed if _is_learnt_from(guard, uid, patient_ids[uid])}
    if learnt:
        logger.warning("left out %d of %d scans: the model has learnt from them", len(learnt), len(listed))
    uids = tuple(uid for uid in listed if uid not in learnt)
    if not uids:
        raise DataError(f"the model has learnt from all {len(listed)} scans; label others")
    index = {uid: number for number, uid in enumerate(uids)}
    return _Cohort(
        uids,
        tuple(patient_ids[uid] for uid in uids),
        read_submission(scans.predictions, index, limits=True).marks,
        read_lesions(scans.annotations, index),
        no_lesions() if scans.excluded is None else read_lesions(scans.excluded, index),
    )


def _listed(scans: LocalScans) -> tuple[str, ...]:
    if scans.seriesuids is not None:
        return read_series_uids(scans.seriesuids)
    named = (*series_of(scans.predictions, "predictions"), *series_of(scans.annotations, "annotations"))
    return tuple(dict.fromkeys(named))


def _patient_ids(scans: LocalScans, uids: Sequence[str]) -> dict[str, str]:
    """A patient who is not known is told apart by the Series, as training keeps one without an ID."""
    if scans.patients is None:
        return {uid: uid for uid in uids}
    index = {uid: number for number, uid in enumerate(uids)}
    known = read_attributes([scans.patients], index, no_lesions()).patients or ("",) * len(uids)
    return {uid: patient or uid for uid, patient in zip(uids, known, strict=True)}


def _is_learnt_from(guard: LeakageGuard, uid: str, patient_id: str) -> bool:
    return any(way.part == "training" for way in guard.seen(uid, patient_id))


def _card(
    card: DetectorCard, scans: LocalScans, cohort: _Cohort, labelled: Labelled, found: Recalibration
) -> DetectorCard:
    maps = card.calibrations
    if found.method is not None and found.calibration is not None:
        maps = (*maps, CardCalibration.of(found.method, found.calibration))
    local = LocalCalibration(
        method=found.method,
        scans=len(cohort.uids),
        patients=len(set(cohort.patient_ids)),
        nodules=len(cohort.nodules.scan),
        candidates=len(labelled.probability),
        before=_measured(found.before),
        after=_measured(found.after),
        predictions_sha256=file_sha256(scans.predictions),
        annotations_sha256=file_sha256(scans.annotations),
    )
    training = _with_hashes(card.training, cohort)
    return card.model_copy(update={"calibrations": maps, "local_calibration": local, "training": training})


def _measured(figures: Mapping[str, tuple[float, float, float]]) -> dict[str, Measured]:
    return {name: Measured(value=v, lower=low, upper=high) for name, (v, low, high) in figures.items()}


def _with_hashes(training: TrainingRecord, cohort: _Cohort) -> TrainingRecord:
    key = read_key() if training.key_id else b""
    if training.key_id != key_id(key):
        return training
    patients = hash_all(training.salt, cohort.patient_ids, key)
    series = hash_all(training.salt, cohort.uids, key)
    return training.model_copy(
        update={
            "validation_patient_hashes": tuple(sorted({*training.validation_patient_hashes, *patients})),
            "validation_series_hashes": tuple(sorted({*training.validation_series_hashes, *series})),
        }
    )


def _operating_points(
    result: FrocResult, rates: Sequence[float], threshold: float | None
) -> dict[str, object]:
    """LUNA16's seven, and the one that was chosen."""
    points = [_point(result, limit) for limit in _between(result, result.fp_per_scan)]
    named = tuple(
        point.model_copy(update={"fp_per_scan": rate})
        for rate, point in zip(result.fp_per_scan, points, strict=True)
    )
    chosen = None
    if threshold is not None:
        chosen = _point(result, threshold)
    elif rates:
        chosen = _point(result, _between(result, rates)[0]).model_copy(update={"fp_per_scan": rates[0]})
    return {"operating_points": named, "chosen": chosen}


def _between(result: FrocResult, rates: Sequence[float]) -> list[float]:
    """Thresholds midway to the next lower score: tables round probabilities to six digits."""
    matching = result.matching
    scores = np.unique(
        np.concatenate([matching.false_probability, matching.nodule_probability[matching.found]])
    )
    limits = thresholds(matching, result.n_scans, rates)
    lower = np.searchsorted(scores, limits) - 1
    below = np.where(lower >= 0, scores[np.maximum(lower, 0)], 0.0)
    return [float(min(1.0, value)) for value in (limits + below) / 2]


def _point(result: FrocResult, threshold: float) -> OperatingPoint:
    matching = result.matching
    false = int((matching.false_probability >= threshold).sum())
    return OperatingPoint(
        fp_per_scan=false / result.n_scans,
        threshold=threshold,
        sensitivity=float((matching.nodule_probability >= threshold).mean()),
    )


def _version(card: DetectorCard) -> str:
    said = card.model_dump(
        mode="json", include={"calibrations", "operating_points", "chosen", "local_calibration"}
    )
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    return f"{card.version.partition('+')[0]}+local.{digest[:8]}"


def _plot(path: Path, labelled: Labelled, found: Recalibration) -> None:
    curves = {"as it came": labelled.probability}
    if found.method is not None:
        curves[f"recalibrated ({found.method}), on held-out patients"] = found.held_out
    plot_reliability(labelled.is_nodule, curves, path)


def _copy(model: Path, out: Path, card: DetectorCard) -> DetectorCard:
    """The card comes last, so that a killed run leaves no model that looks complete."""
    for path in sorted(model.iterdir()):
        if path.is_file() and path.name not in (CARD, PICTURE):
            shutil.copyfile(path, out / path.name)
    text = yaml.safe_dump(card.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text(out / CARD, text)
    return card


def _save(out: Path, card: DetectorCard, network: nn.Module) -> DetectorCard:
    """A bundle's network as a model directory."""
    from medvision.models.directory import save_model

    return save_model(out, card, network)
