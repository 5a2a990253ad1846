"""The gate: a challenger takes the champion's place where it is shown to be no worse."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from medvision.config.tracking import default_tracking_uri
from medvision.datasets.cohort import open_cohort
from medvision.datasets.labelled import LabelledSeries
from medvision.errors import ModelError
from medvision.evaluation.froc import froc
from medvision.evaluation.promotion import Check, Margins, Outcomes, compare_outcomes
from medvision.inference.detectors import Detector, open_detector
from medvision.inference.operating_point import choose_operating_point
from medvision.inference.side_by_side import Trial, try_side_by_side
from medvision.models.leakage import LeakageGuard
from medvision.tracking.provenance import data_digest
from medvision.tracking.references import resolve_model
from medvision.tracking.registry import CHALLENGER, CHAMPION, Registry

logger = logging.getLogger(__name__)

FEW_PATIENTS = 20
"""With fewer the interval is narrower than it should be."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """What the gate found.

    Attributes:
        model: registered name.
        challenger: version that wants to be in use.
        champion: version that was in use; None where none was, so that nothing is compared.
        promoted: whether the challenger is the champion now.
        checks: what was compared.
        scans: of the cohort.
        patients: of the cohort.
        nodules: of the cohort.
        seen: scans of the cohort that the challenger knows from its training; with any it is refused unseen.
        cohort: digest of the cohort, the same for the same scans and annotations.
    """

    model: str
    challenger: str
    champion: str | None
    promoted: bool
    checks: tuple[Check, ...]
    scans: int
    patients: int
    nodules: int
    seen: int
    cohort: str

    @property
    def exit_code(self) -> int:
        """0 promoted, 3 refused."""
        return 0 if self.promoted else 3


def promote(  # noqa: PLR0913  one argument an option of the command
    name: str,
    cohort: Path,
    *,
    annotations: Path | None = None,
    challenger: str = CHALLENGER,
    margins: Margins | None = None,
    uri: str | None = None,
    device: str = "auto",
    bootstrap: int = 2000,
    seed: int = 0,
) -> Promotion:
    """Compare a registered model's challenger with its champion, and move the alias where it is no worse.

    Args:
        name: of the registered model.
        cohort: labelled scans that neither has learnt from, as `open_cohort` takes them.
        annotations: the true nodules; None: the cohort's own table.
        challenger: alias of the version that wants to be in use.
        margins: how much worse it may be; None: the defaults.
        uri: registry; default MLFLOW_TRACKING_URI or `mlflow.db` in the working directory.
        device: where both run.
        bootstrap: cohorts to draw.
        seed: of the drawing.

    Raises:
        ModelError: no such model or alias, the challenger is the champion, or one is no detector.
        DataError: the cohort cannot be used, or has no nodule.
    """
    registry = Registry.open(name, uri or default_tracking_uri())
    new, old = _contenders(registry, challenger)
    series = open_cohort(cohort, annotations)
    detector = _open(registry, new, device)
    seen = _seen(detector, series)
    checks: tuple[Check, ...] = ()
    if old is not None and not seen:
        checks = _compare(
            _open(registry, old, device), detector, series, margins or Margins(), bootstrap, seed
        )
    result = Promotion(
        model=name,
        challenger=new,
        champion=old,
        promoted=not seen and all(check.verdict == "passed" for check in checks),
        checks=checks,
        scans=len(series),
        patients=len(_patients(series)),
        nodules=sum(len(item.annotations) for item in series),
        seen=seen,
        cohort=_digest(series),
    )
    _record(registry, result, challenger)
    return result


def _contenders(registry: Registry, challenger: str) -> tuple[str, str | None]:
    new, old = registry.version_of(challenger), registry.version_of(CHAMPION)
    if new is None:
        raise ModelError(
            f"registered model {registry.name} at {registry.uri} has no alias {challenger}; "
            f"train with tracking.register_as={registry.name}, or give --challenger ALIAS"
        )
    if new == old:
        raise ModelError(f"{registry.name} version {new} is the champion already; train a challenger")
    return new, old


def _open(registry: Registry, version: str, device: str) -> Detector:
    return open_detector(resolve_model(f"models:/{registry.name}/{version}", registry.uri), device)


def _seen(detector: Detector, series: Sequence[LabelledSeries]) -> int:
    """Scans that the model has learnt from or was adjusted on."""
    guard = LeakageGuard(detector.card.training)
    if not guard.can_tell:
        logger.warning("whether the challenger has seen these scans cannot be told without its key")
    return sum(bool(guard.seen(item.series_instance_uid, item.patient_id)) for item in series)


def _compare(
    champion: Detector,
    challenger: Detector,
    series: Sequence[LabelledSeries],
    margins: Margins,
    bootstrap: int,
    seed: int,
) -> tuple[Check, ...]:
    if len(patients := _patients(series)) < FEW_PATIENTS:
        logger.warning(
            "only %d patients: the gate's intervals are narrower than they should be", len(patients)
        )
    old, new = (_outcomes(trial, series) for trial in try_side_by_side((champion, challenger), series))
    patient = np.array([patients[_patient(item)] for item in series])
    return compare_outcomes(old, new, patient, margins, bootstrap=bootstrap, seed=seed)


def _outcomes(trial: Trial, series: Sequence[LabelledSeries]) -> Outcomes:
    result = froc(
        trial.candidates,
        [nodule for item in series for nodule in item.annotations],
        [item.series_instance_uid for item in series],
        excluded=[finding for item in series for finding in item.excluded],
    )
    threshold = choose_operating_point(trial.detector.card).threshold
    return Outcomes.of(result.matching, threshold, trial.seconds)


def _patient(item: LabelledSeries) -> str:
    return item.patient_id or item.series_instance_uid


def _patients(series: Sequence[LabelledSeries]) -> dict[str, int]:
    return {patient: number for number, patient in enumerate(sorted({_patient(item) for item in series}))}


def _digest(series: Sequence[LabelledSeries]) -> str:
    return data_digest(
        (
            item.series_instance_uid,
            sorted((*mark.center_lps_mm, mark.diameter_mm) for mark in item.annotations),
        )
        for item in series
    )


def _record(registry: Registry, result: Promotion, challenger: str) -> None:
    """Move the alias where the gate is passed, and note on the version what it said."""
    if result.promoted:
        registry.crown(result.challenger, challenger_alias=challenger)
    verdict = "passed" if result.promoted else "refused"
    figures = {f"gate.{check.name}": _in_words(check) for check in result.checks}
    told = {
        "gate.verdict": verdict,
        "gate.against": result.champion or "none",
        "gate.cohort": result.cohort,
        "gate.patients": str(result.patients),
        "gate.date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    registry.tag(result.challenger, told | figures)


def _in_words(check: Check) -> str:
    return (
        f"{check.champion:.4g} -> {check.challenger:.4g}: worse by {check.worse_by:.3g} "
        f"({check.lower:.3g} to {check.upper:.3g}), allowed {check.margin:g}: {check.verdict}"
    )
