"""De-identification by DICOM PS3.15 Annex E, under a secret key that gives the same pseudonyms each time.

`deidentify` treats one Data Set, `ingest_deidentified` whatever ingest takes; `load_key` finds the key.
Each name is imported when it is first used: a plain ingest looks into this package, too, and must stay quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medvision.dicom.deidentify.audit import Audit
    from medvision.dicom.deidentify.dataset import BurnedInError, deidentify
    from medvision.dicom.deidentify.ingest import ingest_deidentified
    from medvision.dicom.deidentify.key import DeidentificationKey, load_key

__all__ = [
    "Audit",
    "BurnedInError",
    "DeidentificationKey",
    "deidentify",
    "ingest_deidentified",
    "load_key",
]

_HOME = {
    "Audit": "audit",
    "BurnedInError": "dataset",
    "DeidentificationKey": "key",
    "deidentify": "dataset",
    "ingest_deidentified": "ingest",
    "load_key": "key",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  PEP 562
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
