"""`model.yaml`: what a model is, what it was measured to do, and what it has seen. Read without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from medvision.config.base import describe_problems
from medvision.config.detection import CandidateConfig, ProposalConfig
from medvision.config.plain_yaml import parse_plain_yaml
from medvision.config.second_look import SecondLookConfig
from medvision.contracts.versions import of_later_version
from medvision.errors import ModelError
from medvision.models.card_calibration import CardCalibration

CARD = "model.yaml"
SCHEMA_VERSION = "1.0"
NAMES_PATIENTS = ("oof.csv", "predictions.csv")
"""Tables beside a model that name whom they judge: their owner's alone, and never passed on with it."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OperatingPoint(_Section):
    """A threshold, and what it did on the validation patients."""

    fp_per_scan: float
    threshold: float
    sensitivity: float


class Fusion(_Section):
    """logit(probability) = intercept + proposal · logit(stage one) + second_look · logit(stage two)."""

    intercept: float = 0.0
    proposal: float = 1.0
    second_look: float = 0.0


class SeenRecord(_Section):
    """Whom a model has seen: identifiers only as keyed hashes, scans only as fingerprints.

    Attributes:
        salt: in hexadecimal; what identifiers are hashed with, alone or beside a secret key.
        key_id: tells which secret key that was; empty where there was none.
        patient_hashes: patients that were learnt from.
        series_hashes: Series that were learnt from.
        fingerprints: of their scans (`preprocessing.fingerprint`), in hexadecimal.
        sealed_fingerprints: the same, encrypted with the secret key; empty where there was none.
        validation_patient_hashes: patients that chose checkpoints, operating points and calibration.
        validation_series_hashes: their Series.
        validation_fingerprints: of their scans.
        validation_sealed_fingerprints: likewise.
    """

    salt: str
    key_id: str = ""
    patient_hashes: tuple[str, ...]
    series_hashes: tuple[str, ...]
    fingerprints: tuple[str, ...] = ()
    sealed_fingerprints: str = ""
    validation_patient_hashes: tuple[str, ...] = ()
    validation_series_hashes: tuple[str, ...] = ()
    validation_fingerprints: tuple[str, ...] = ()
    validation_sealed_fingerprints: str = ""


class TrainingRecord(SeenRecord):
    """What a detector has learnt from."""

    patients: int
    nodules: int
    spacing_mm: tuple[tuple[float, float], ...]
    manufacturers: tuple[str, ...]
    kernels: tuple[str, ...]
    config_sha256: str
    run_id: str | None = None


class Card(_Section):
    """What `model.yaml` says of any model."""

    schema_version: str = SCHEMA_VERSION
    name: str
    version: str
    task: str
    metrics: Mapping[str, float]
    licence: str
    weights_sha256: str = ""


class Measured(_Section):
    """A figure and its 95 % interval, patients drawn with replacement."""

    value: float
    lower: float
    upper: float


class LocalCalibration(_Section):
    """How honest probabilities were on the scans of a place, as they came and recalibrated.

    Attributes:
        method: of the last recalibration; None where none was better than leaving them as they came.
        scans: labelled scans.
        patients: whose they are.
        nodules: in them.
        candidates: that were compared with the nodules.
        before: `ece`, `brier` and `log_loss` of the probabilities as they came.
        after: the same, each patient recalibrated by what the others taught.
        predictions_sha256: of the table of predictions.
        annotations_sha256: of the table of nodules.
    """

    method: str | None
    scans: int
    patients: int
    nodules: int
    candidates: int
    before: Mapping[str, Measured]
    after: Mapping[str, Measured]
    predictions_sha256: str
    annotations_sha256: str


class DetectorCard(Card):
    """What `model.yaml` says of any detector.

    Attributes:
        operating_points: thresholds on recalibrated probabilities.
        training: what it has learnt from.
        default_threshold: where there are no operating points.
        calibrations: maps of the probability, one after another.
        local_calibration: where and how well they were fitted, the last time.
        chosen: the operating point where none is asked for.
    """

    operating_points: tuple[OperatingPoint, ...]
    training: TrainingRecord
    default_threshold: float | None = None
    calibrations: tuple[CardCalibration, ...] = ()
    local_calibration: LocalCalibration | None = None
    chosen: OperatingPoint | None = None


class ModelCard(DetectorCard):
    """`model.yaml` of the lite detector."""

    task: Literal["detect_lite"]
    proposals: ProposalConfig
    candidates: CandidateConfig
    second_look: SecondLookConfig
    fusion: Fusion


CardT = TypeVar("CardT", bound=Card)


def _version(values: object) -> object:
    return values.get("schema_version") if isinstance(values, dict) else None


def load_card(folder: Path, kind: type[CardT]) -> CardT:
    """Read and check `model.yaml`.

    Args:
        folder: model directory.
        kind: of model that is wanted.

    Raises:
        ModelError: no such directory or card, one of another task, or one that cannot be understood.
    """
    path = folder / CARD
    if not path.is_file():
        raise ModelError(f"no model at {folder}: no {CARD}; give a folder that `medvision train` wrote")
    try:
        values: Any = parse_plain_yaml(path.read_text(encoding="utf-8"))
        if words := of_later_version(_version(values), SCHEMA_VERSION):
            raise ModelError(f"{path} {words}")
        return kind.model_validate(values)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not valid YAML; copy the model again") from error
    except ValidationError as error:
        raise ModelError(describe_problems(error, kind, str(path))) from error
