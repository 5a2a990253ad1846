"""What the model card says about the training patients, without saying who they are."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import numpy as np

from medvision.config.base import config_sha256
from medvision.config.detection import DetectionConfig
from medvision.config.retinanet_training import RetinaNetJob
from medvision.models.directory import TrainingRecord
from medvision.models.leakage import hash_all, key_id, seal, training_key
from medvision.training.volumes import TrainingVolume


def describe_training(
    volumes: Sequence[TrainingVolume],
    config: DetectionConfig | RetinaNetJob,
    run_id: str | None,
    validation: Sequence[TrainingVolume] = (),
) -> TrainingRecord:
    """Counts and ranges of the patients that were learnt from; hashes and fingerprints of all.

    Args:
        volumes: learnt from.
        config: of the training.
        run_id: MLflow run; None where nothing was recorded.
        validation: those that chose checkpoints and operating points.

    Raises:
        ConfigError: the file of the leakage key cannot be read.
        OutputError: there is no key, and none can be made.
    """
    salt, key = secrets.token_hex(16), training_key()
    spacing = np.array([volume.spacing_mm for volume in volumes])
    low, high = spacing.min(axis=0), spacing.max(axis=0)
    return TrainingRecord(
        patients=len({volume.series.patient_id for volume in volumes}),
        nodules=sum(len(volume.radii_mm) for volume in volumes),
        salt=salt,
        key_id=key_id(key),
        patient_hashes=_patients(volumes, salt, key),
        series_hashes=_series(volumes, salt, key),
        sealed_fingerprints=seal(salt, _fingerprints(volumes), key),
        validation_patient_hashes=_patients(validation, salt, key),
        validation_series_hashes=_series(validation, salt, key),
        validation_sealed_fingerprints=seal(salt, _fingerprints(validation), key),
        spacing_mm=tuple((float(a), float(b)) for a, b in zip(low, high, strict=True)),
        manufacturers=_values(volumes, "Manufacturer"),
        kernels=_values(volumes, "ConvolutionKernel"),
        config_sha256=config_sha256(config),
        run_id=run_id,
    )


def _patients(volumes: Sequence[TrainingVolume], salt: str, key: bytes) -> tuple[str, ...]:
    return hash_all(salt, (volume.series.patient_id for volume in volumes), key)


def _series(volumes: Sequence[TrainingVolume], salt: str, key: bytes) -> tuple[str, ...]:
    return hash_all(salt, (volume.series.series_instance_uid for volume in volumes), key)


def _fingerprints(volumes: Sequence[TrainingVolume]) -> tuple[str, ...]:
    return tuple(sorted({volume.fingerprint for volume in volumes} - {""}))


def _values(volumes: Sequence[TrainingVolume], keyword: str) -> tuple[str, ...]:
    return tuple(sorted({volume.attributes.get(keyword, "") for volume in volumes} - {""}))
