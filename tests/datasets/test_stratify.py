from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from medvision.datasets.splits import folds_by_patient, split_by_patient
from medvision.errors import DataError


@dataclass(frozen=True)
class Mark:
    patient_id: str
    label: int
    site: str
    number: int = 0


def cohort(seed, patients=60):
    """Some 150 items; label and site go with the patient, with exceptions."""
    random = np.random.default_rng(seed)
    items = []
    for patient in range(patients):
        label, site = random.random() < 0.3, str(random.choice(["A", "B", "C"], p=[0.6, 0.3, 0.1]))
        for number in range(random.integers(1, 5)):
            own = label if random.random() < 0.9 else not label
            items.append(Mark(f"P{patient}", int(own), site, number))
    return items


def worst(parts, value_of, shares=None):
    """Largest difference between a part's share of a value and the share of the whole it should have."""
    everyone = [item for part in parts for item in part]
    shares = shares or [1 / len(parts)] * len(parts)
    return max(
        abs(sum(value_of(i) == v for i in part) / sum(value_of(i) == v for i in everyone) - share)
        for v in {value_of(item) for item in everyone}
        for part, share in zip(parts, shares, strict=True)
    )


def label_of(item):
    return item.label


def site_of(item):
    return item.site


def sklearn_folds(items, seed):
    labels, groups = [item.label for item in items], [item.patient_id for item in items]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        splitter = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        return [[items[i] for i in test] for _, test in splitter.split(items, labels, groups)]


def test_labels_are_shared_out_as_evenly_as_scikit_learn_does():
    ours, theirs = [], []
    for seed in range(8):
        items = cohort(seed)
        ours.append(worst(folds_by_patient(items, 5, seed, stratify=label_of), label_of))
        theirs.append(worst(sklearn_folds(items, seed), label_of))
    assert np.mean(ours) <= 1.2 * np.mean(theirs)
    assert max(ours) < 0.06


def test_several_keys_are_balanced_at_once_and_better_than_by_chance():
    keys = {"label": label_of, "site": site_of}
    for value_of in keys.values():
        even = [worst(folds_by_patient(cohort(s), 4, s, stratify=keys), value_of) for s in range(8)]
        chance = [worst(folds_by_patient(cohort(s), 4, s), value_of) for s in range(8)]
        assert np.mean(even) < 0.7 * np.mean(chance)


def test_a_stratified_split_in_two_keeps_the_shares():
    for seed in range(8):
        parts = split_by_patient(cohort(seed), 0.25, seed, stratify=label_of)
        assert worst(parts, label_of, [0.75, 0.25]) < 0.08


patients_with_labels = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), min_size=2, max_size=30)


@settings(deadline=None)
@given(patients_with_labels, st.integers(0, 100), st.data())
def test_stratified_folds_keep_everyone_once_patients_together_and_sizes_even(labels, seed, data):
    items = [Mark(f"P{p}", label, "A", n) for p, own in enumerate(labels) for n, label in enumerate(own)]
    folds = folds_by_patient(
        items, data.draw(st.integers(2, len(labels))), seed, stratify=[i.label for i in items]
    )
    assert sorted((i for fold in folds for i in fold), key=items.index) == items
    sizes = [len({i.patient_id for i in fold}) for fold in folds]
    assert sum(sizes) == len(labels)
    assert max(sizes) - min(sizes) <= 1


@settings(deadline=None)
@given(patients_with_labels, st.floats(0.05, 0.95), st.randoms())
def test_the_order_of_items_does_not_matter(labels, fraction, random):
    items = [Mark(f"P{p}", label, "A", n) for p, own in enumerate(labels) for n, label in enumerate(own)]
    shuffled = random.sample(items, len(items))
    first, second = (
        {i.patient_id for i in split_by_patient(some, fraction, stratify=label_of)[1]}
        for some in (items, shuffled)
    )
    assert first == second


def test_another_seed_deals_otherwise():
    items = cohort(0)
    dealt = {
        tuple(i.patient_id for i in split_by_patient(items, 0.5, seed, stratify=label_of)[1])
        for seed in range(5)
    }
    assert len(dealt) == 5


def test_one_value_an_item():
    with pytest.raises(DataError, match="2 values to stratify 3 items"):
        split_by_patient([Mark("a", 0, "A"), Mark("b", 0, "A"), Mark("c", 1, "B")], 0.5, stratify=[0, 1])
