"""Whether there is something new to learn: what the labels were last time is kept in a Prefect variable."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from prefect.variables import Variable

from flows.caching import content_sha256

LABEL_FILES = ("*.csv", "*.json", "*.xml")
"""Readers' marks, and the tables that list the scans: a new scan without a nodule is news, too."""


def labels_sha256(cohorts: Sequence[Path]) -> str:
    """Hash of the tables and marks at the top of each cohort, or of the datalist that it is."""
    return content_sha256([file for cohort in cohorts for file in _label_files(cohort)])


def labels_are_new(name: str, labels: str) -> bool:
    """Whether a registered model was trained on other labels last time, or never."""
    return bool(Variable.get(_variable(name), default="") != labels)


def remember_labels(name: str, labels: str) -> None:
    """Keep what a registered model was trained on."""
    Variable.set(_variable(name), labels, overwrite=True)


def _label_files(cohort: Path) -> Iterable[Path]:
    if cohort.is_file():
        return [cohort]
    return sorted({file for pattern in LABEL_FILES for file in cohort.glob(pattern)})


def _variable(name: str) -> str:
    """Prefect allows lower-case letters, digits and underscores."""
    return "medvision_labels_" + re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
