"""Who is scanned and what their tissues look like on CT."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TISSUE_HU_RANGES: dict[str, tuple[float, float]] = {
    "lung": (-950, -700),
    "fat": (-120, -60),
    "muscle": (20, 80),
    "liver": (40, 130),
    "blood": (25, 420),
    "marrow": (50, 350),
    "cortex": (400, 1300),
    "air": (-1024, -950),
}
"""What textbooks give for CT at 120 kV, unenhanced to arterial phase: Hofer, CT Teaching Manual; Bushberg,
The Essential Physics of Medical Imaging; Kalender, Computed Tomography."""


@dataclass(frozen=True)
class Tissues:
    """HU of each tissue in one patient.

    Attributes:
        lung: parenchyma in the middle of the lung.
        lung_gradient: increase a mm towards the back, where blood collects.
        mottle: standard deviation of the parenchyma's fine texture.
        fat: fat.
        muscle: muscle.
        liver: liver and spleen.
        arterial_blood: aorta, left heart, pulmonary veins.
        venous_blood: cava, right heart, pulmonary arteries.
        marrow: inside of bones.
        cortex: outside of bones.
    """

    lung: float
    lung_gradient: float
    mottle: float
    fat: float
    muscle: float
    liver: float
    arterial_blood: float
    venous_blood: float
    marrow: float
    cortex: float


@dataclass(frozen=True)
class Patient:
    """One patient.

    Attributes:
        patient_id: made-up identifier.
        female: sex.
        age: years.
        smoker: makes emphysema and scars likelier.
        breath: 1 for full inspiration, 0 for expiration.
        emphysema: share of the lung that is destroyed, in [0, 1].
        contrast: whether contrast medium was given.
        tissues: HU.
    """

    patient_id: str
    female: bool
    age: int
    smoker: bool
    breath: float
    emphysema: float
    contrast: bool
    tissues: Tissues


def sample_patient_record(rng: np.random.Generator, patient_id: str) -> Patient:
    """Draw a patient of the age at which lungs are screened."""
    smoker = bool(rng.random() < 0.6)
    emphysema = float(rng.beta(1.2, 9)) if rng.random() < (0.5 if smoker else 0.1) else 0.0
    breath = float(np.clip(rng.normal(0.85, 0.15), 0.3, 1.0))
    contrast = bool(rng.random() < 0.45)
    return Patient(
        patient_id=patient_id,
        female=bool(rng.random() < 0.48),
        age=int(np.clip(rng.normal(63, 9), 30, 89)),
        smoker=smoker,
        breath=breath,
        emphysema=emphysema,
        contrast=contrast,
        tissues=_sample_tissues(rng, breath=breath, emphysema=emphysema, contrast=contrast),
    )


def _sample_tissues(rng: np.random.Generator, *, breath: float, emphysema: float, contrast: bool) -> Tissues:
    venous = rng.uniform(120, 380) if contrast else rng.uniform(35, 50)
    arterial = rng.uniform(140, 360) if contrast else venous
    return Tissues(
        lung=float(-886 + 120 * (1 - breath) - 50 * emphysema + rng.normal(0, 16)),
        lung_gradient=float(rng.uniform(0.15, 0.5) * (1.6 - breath)),
        mottle=float(rng.uniform(8, 18)),
        fat=float(rng.uniform(-110, -95)),
        muscle=float(rng.uniform(45, 60)),
        liver=float(rng.uniform(70, 110) if contrast else rng.uniform(48, 65)),
        arterial_blood=float(arterial),
        venous_blood=float(venous),
        marrow=float(rng.uniform(110, 220)),
        cortex=float(rng.uniform(550, 900)),
    )
