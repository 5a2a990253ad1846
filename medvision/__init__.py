"""Chest-CT lung-nodule pipeline: DICOM in, ImageNet-initialised CNNs, reports out.

Each name is imported when it is first used, so that `import medvision` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medvision.datasets.cohort import open_cohort
    from medvision.dicom.store import ingest
    from medvision.evaluation.luna16 import evaluate
    from medvision.inference.cohort import infer
    from medvision.inference.predictor import Predictor
    from medvision.simulation.cohort import simulate_cohort
    from medvision.training.detection import train

__all__ = [
    "Predictor",
    "__version__",
    "evaluate",
    "infer",
    "ingest",
    "open_cohort",
    "simulate_cohort",
    "train",
]

_HOME = {
    "Predictor": "medvision.inference.predictor",
    "evaluate": "medvision.evaluation.luna16",
    "infer": "medvision.inference.cohort",
    "ingest": "medvision.dicom.store",
    "open_cohort": "medvision.datasets.cohort",
    "simulate_cohort": "medvision.simulation.cohort",
    "train": "medvision.training.detection",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  PEP 562
    if name == "__version__":
        from importlib.metadata import version

        return version("medvision")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'medvision' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
