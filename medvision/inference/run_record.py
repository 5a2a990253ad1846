"""`run.json`: how a run went."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Self

from medvision.inference.case import CaseSettings
from medvision.log_context import current_log_fields
from medvision.models.card import DetectorCard
from medvision.reporting.languages import LanguageCode
from medvision.reporting.report import OperatingPoint
from medvision.reporting.run import RunDocument, SeenInTraining, write_run

PACKAGES = (
    "medvision",
    "torch",
    "monai",
    "numpy",
    "scipy",
    "scikit-image",
    "pydicom",
    "highdicom",
    "SimpleITK",
)
"""Whose version can change a result."""


def installed_versions() -> dict[str, str]:
    """Package to version, Python's too."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def settings_sha256(
    card: DetectorCard,
    point: OperatingPoint,
    formats: Collection[str],
    versions: Mapping[str, str],
    *,
    can_tell_overlap: bool = True,
    language: LanguageCode = "en",
    uncertainty: bool = False,
) -> str:
    """Hash of everything beside the scan that a case's files depend on."""
    parts = [card.model_dump(mode="json"), point.model_dump(mode="json"), sorted(formats), dict(versions)]
    if not can_tell_overlap:
        parts.append("overlap with the training is not told")
    if language != "en":
        parts.append(f"pages in {language}")
    if uncertainty:
        parts.append("uncertainty of each finding")
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run that has begun."""

    out: Path
    started: datetime
    begun: float

    @classmethod
    def start(cls, out: Path) -> Self:
        """Note the time."""
        return cls(out, datetime.now(UTC), time.monotonic())

    def finish(
        self,
        device: str,
        settings: CaseSettings,
        counts: Mapping[str, int],
        seconds: Mapping[str, float],
        exit_code: int,
        *,
        seen: Mapping[str, Sequence[str]],
    ) -> None:
        """Write `run.json`; `seen` names the Series that the model knows, a part of its training."""
        lasted = time.monotonic() - self.begun  # the clock may be set meanwhile
        ended = self.started + timedelta(seconds=lasted)
        stages = {stage: round(value, 3) for stage, value in seconds.items()}
        document = RunDocument(
            versions=settings.versions,
            model=settings.model,
            operating_point=settings.operating_point,
            config_sha256=settings.config_sha256,
            device=device,
            counts=dict(counts),
            seconds=stages | {"total": round(lasted, 3)},
            started=self.started.replace(microsecond=0),
            ended=ended.replace(microsecond=0),
            exit_code=exit_code,
            run_id=current_log_fields().get("run"),
            training_overlap=SeenInTraining(
                checked=settings.guard.can_tell,
                training=tuple(seen["training"]),
                validation=tuple(seen["validation"]),
            ),
        )
        write_run(self.out / "run.json", document)
