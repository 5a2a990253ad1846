"""What the model card says about the training patients, without saying who they are."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence

import numpy as np

from medvision.config.base import config_sha256
from medvision.config.detection import DetectionConfig
from medvision.models.directory import TrainingRecord
from medvision.training.volumes import TrainingVolume


def keyed_hash(salt: str, identifier: str) -> str:
    """HMAC-SHA-256 of an identifier: the same patient is recognised, an unknown one is not revealed."""
    return hmac.new(bytes.fromhex(salt), identifier.encode(), hashlib.sha256).hexdigest()[:32]


def describe_training(
    volumes: Sequence[TrainingVolume], config: DetectionConfig, run_id: str | None
) -> TrainingRecord:
    """Counts, ranges and hashes of the patients that were learnt from."""
    salt = secrets.token_hex(16)
    spacing = np.array([volume.spacing_mm for volume in volumes])
    low, high = spacing.min(axis=0), spacing.max(axis=0)
    return TrainingRecord(
        patients=len({volume.series.patient_id for volume in volumes}),
        nodules=sum(len(volume.radii_mm) for volume in volumes),
        salt=salt,
        patient_hashes=_hashes(salt, (volume.series.patient_id for volume in volumes)),
        series_hashes=_hashes(salt, (volume.series.series_instance_uid for volume in volumes)),
        spacing_mm=tuple((float(a), float(b)) for a, b in zip(low, high, strict=True)),
        manufacturers=_values(volumes, "Manufacturer"),
        kernels=_values(volumes, "ConvolutionKernel"),
        config_sha256=config_sha256(config),
        run_id=run_id,
    )


def _hashes(salt: str, identifiers: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({keyed_hash(salt, identifier) for identifier in identifiers}))


def _values(volumes: Sequence[TrainingVolume], keyword: str) -> tuple[str, ...]:
    return tuple(sorted({volume.attributes.get(keyword, "") for volume in volumes} - {""}))
