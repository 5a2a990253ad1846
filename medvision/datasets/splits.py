"""Parts of a cohort that share no patient.

Who goes where follows from a hash of seed and patient, and from labels where asked; never from the order of
files. Three ways, and what each gives up:

- by count (the default): the parts have the sizes asked for. When patients are added, only those at the
  border of two parts can change sides.
- stratified (`stratify=`): labels, sites and manufacturers are shared out evenly, too. Any patient may
  change sides when others are added.
- stable (`stable=True`, `parts_by_hash`): a patient's side depends on nothing but the patient and the seed,
  so that nobody ever changes sides. The sizes only come near what was asked for, nothing is stratified.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from medvision.datasets.stratify import count_values, deal
from medvision.errors import DataError


class OfPatient(Protocol):
    """Anything that belongs to one patient, such as a `LabelledSeries` or a `PatchRecord`."""

    @property
    def patient_id(self) -> str:
        """Patient ID (0010,0020)."""


T = TypeVar("T", bound=OfPatient)

Key = Callable[[Any], Hashable] | Sequence[Hashable]
"""What to stratify by: a function of an item, or one value an item."""


def split_by_patient(
    items: Sequence[T],
    fraction: float,
    seed: int = 0,
    *,
    stratify: Key | Mapping[str, Key] | None = None,
    stable: bool = False,
) -> tuple[list[T], list[T]]:
    """Part a cohort in two, with at least one patient on either side.

    Args:
        items: in any order; both parts keep it.
        fraction: share of the patients in the second part, above 0 and below 1.
        seed: another seed gives another split.
        stratify: what both parts shall have in equal shares: a function of an item or a value an item, such
            as its label; several as a mapping, such as `{"label": …, "manufacturer": …}`.
        stable: decide each patient by a threshold on its hash alone.

    Returns:
        The larger share (to learn from) and the fraction (to validate on).

    Raises:
        DataError: fewer than two patients, a fraction out of bounds, a side without patients, or both
            `stratify` and `stable`.
    """
    if not 0 < fraction < 1:
        raise DataError(f"fraction {fraction} must lie between 0 and 1")
    if stable:
        if stratify is not None:
            raise DataError("a stable split looks at one patient at a time: it cannot be stratified")
        rest, held_out = parts_by_hash(items, {"rest": 1 - fraction, "held out": fraction}, seed).values()
        return rest, held_out
    patients = _in_hash_order(items, seed)
    if len(patients) < 2:
        raise DataError(
            f"{len(patients)} patient in {len(items)} series: a split by patient needs at least 2"
        )
    count = min(max(round(fraction * len(patients)), 1), len(patients) - 1)
    if stratify is None:
        part_of = {patient: int(position < count) for position, patient in enumerate(patients)}
    else:
        part_of = _deal(items, patients, [len(patients) - count, count], stratify)
    rest, held_out = _parts(items, part_of, 2)
    return rest, held_out


def folds_by_patient(
    items: Sequence[T], folds: int, seed: int = 0, *, stratify: Key | Mapping[str, Key] | None = None
) -> list[list[T]]:
    """Deal a cohort into folds whose numbers of patients differ by one at most.

    Args:
        items: in any order; each fold keeps it.
        folds: how many, at least 2.
        seed: another seed deals otherwise.
        stratify: as for `split_by_patient`.

    Raises:
        DataError: fewer patients than folds, or fewer than two folds.
    """
    patients = _in_hash_order(items, seed)
    if not 2 <= folds <= len(patients):
        raise DataError(f"{folds} folds of {len(patients)} patients: need at least 2, and a patient a fold")
    if stratify is None:
        part_of = {patient: position % folds for position, patient in enumerate(patients)}
    else:
        sizes = [len(patients[fold::folds]) for fold in range(folds)]
        part_of = _deal(items, patients, sizes, stratify)
    return _parts(items, part_of, folds)


def parts_by_hash(items: Sequence[T], shares: Mapping[str, float], seed: int = 0) -> dict[str, list[T]]:
    """Part a cohort by thresholds on each patient's hash: whoever is added, no one else changes sides.

    Args:
        items: in any order; each part keeps it.
        shares: name of each part → its share, such as `{"train": 0.7, "validation": 0.1, "test": 0.2}`.
        seed: another seed gives another split.

    Raises:
        DataError: shares that are not positive or do not sum to 1, or a part that no patient falls into.
    """
    if min(shares.values(), default=0) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise DataError(f"shares {dict(shares)} must be positive and sum to 1")
    parts: dict[str, list[T]] = {name: [] for name in shares}
    for item in items:
        parts[_part_of(_unit(item.patient_id, seed), shares)].append(item)
    empty = [name for name, part in parts.items() if not part]
    if empty:
        raise DataError(
            f"no patient of {len({item.patient_id for item in items})} falls into part {empty[0]!r}: "
            "too few for a stable split; take another seed, more patients, or a split by count"
        )
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


def _parts(items: Sequence[T], part_of: Mapping[str, int], count: int) -> list[list[T]]:
    parts: list[list[T]] = [[] for _ in range(count)]
    for item in items:
        parts[part_of[item.patient_id]].append(item)
    check_no_leakage(*parts)
    return parts


def _deal(
    items: Sequence[T], patients: Sequence[str], sizes: Sequence[int], stratify: Key | Mapping[str, Key]
) -> dict[str, int]:
    keys = list(stratify.values()) if isinstance(stratify, Mapping) else [stratify]
    values = [_values(items, key) for key in keys]
    counts = count_values([item.patient_id for item in items], values, patients)
    return dict(zip(patients, deal(counts, sizes), strict=True))


def _values(items: Sequence[T], key: Key) -> list[Hashable]:
    values = [key(item) for item in items] if callable(key) else list(key)
    if len(values) != len(items):
        raise DataError(f"{len(values)} values to stratify {len(items)} items by: give one an item")
    return values


def _in_hash_order(items: Iterable[OfPatient], seed: int) -> list[str]:
    return sorted({item.patient_id for item in items}, key=lambda patient: _hash(patient, seed))


def _hash(patient: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{patient}".encode()).digest()


def _unit(patient: str, seed: int) -> float:
    """A number in [0, 1) that is the patient's for ever."""
    return int.from_bytes(_hash(patient, seed)[:6], "big") / 2**48


def _part_of(unit: float, shares: Mapping[str, float]) -> str:
    """The last part begins at 0, so that a patient of the smaller, later parts stays when they grow."""
    border, names = 0.0, list(shares)[::-1]
    for name in names[:-1]:
        border += shares[name]
        if unit < border:
            return name
    return names[-1]
