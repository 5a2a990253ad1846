"""Parts of a cohort that share no patient.

Who goes where follows from a hash of seed and patient alone, never from the order of files. When patients are
added, the order of the others stays, so that only patients at the border of two parts can change sides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from medvision.errors import DataError


class OfPatient(Protocol):
    """Anything that belongs to one patient, such as a `LabelledSeries`."""

    @property
    def patient_id(self) -> str:
        """Patient ID (0010,0020)."""


T = TypeVar("T", bound=OfPatient)


def split_by_patient(items: Sequence[T], fraction: float, seed: int = 0) -> tuple[list[T], list[T]]:
    """Part a cohort in two, with at least one patient on either side.

    Args:
        items: in any order; both parts keep it.
        fraction: share of the patients in the second part, above 0 and below 1.
        seed: another seed gives another split.

    Returns:
        The larger share (to learn from) and the fraction (to validate on).

    Raises:
        DataError: fewer than two patients, or a fraction out of bounds.
    """
    if not 0 < fraction < 1:
        raise DataError(f"fraction {fraction} must lie between 0 and 1")
    patients = _in_hash_order(items, seed)
    if len(patients) < 2:
        raise DataError(
            f"{len(patients)} patient in {len(items)} series: a split by patient needs at least 2"
        )
    count = min(max(round(fraction * len(patients)), 1), len(patients) - 1)
    held_out = set(patients[:count])
    parts = (
        [item for item in items if item.patient_id not in held_out],
        [item for item in items if item.patient_id in held_out],
    )
    check_no_leakage(*parts)
    return parts


def folds_by_patient(items: Sequence[T], folds: int, seed: int = 0) -> list[list[T]]:
    """Deal a cohort into folds whose numbers of patients differ by one at most.

    Args:
        items: in any order; each fold keeps it.
        folds: how many, at least 2.
        seed: another seed deals otherwise.

    Raises:
        DataError: fewer patients than folds, or fewer than two folds.
    """
    patients = _in_hash_order(items, seed)
    if not 2 <= folds <= len(patients):
        raise DataError(f"{folds} folds of {len(patients)} patients: need at least 2, and a patient a fold")
    fold_of = {patient: position % folds for position, patient in enumerate(patients)}
    parts = [[item for item in items if fold_of[item.patient_id] == fold] for fold in range(folds)]
    check_no_leakage(*parts)
    return parts


def check_no_leakage(*parts: Iterable[OfPatient]) -> None:
    """Refuse parts that share a patient.

    Raises:
        DataError: naming the two parts and how many patients they share, but no patient.
    """
    patients = [{item.patient_id for item in part} for part in parts]
    for first, one in enumerate(patients):
        for second, other in enumerate(patients[:first]):
            if shared := one & other:
                raise DataError(
                    f"parts {second + 1} and {first + 1} share {len(shared)} patients: "
                    "what is learnt from one would be tested on the other; split by patient"
                )


def _in_hash_order(items: Iterable[OfPatient], seed: int) -> list[str]:
    return sorted({item.patient_id for item in items}, key=lambda patient: _hash(patient, seed))


def _hash(patient: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{patient}".encode()).digest()
