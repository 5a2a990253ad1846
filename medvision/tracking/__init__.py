"""MLflow runs and registered models: the only package that imports mlflow, and it works without it too.

`start_run` records a training, `resolve_model` finds what was recorded, `promote` changes the model in use.
"""

from medvision.tracking.provenance import DataIdentity, data_digest
from medvision.tracking.references import BUNDLE, resolve_model
from medvision.tracking.registry import CHALLENGER, CHAMPION
from medvision.tracking.runs import Run, flatten, start_run

__all__ = [
    "BUNDLE",
    "CHALLENGER",
    "CHAMPION",
    "DataIdentity",
    "Run",
    "data_digest",
    "flatten",
    "resolve_model",
    "start_run",
]
