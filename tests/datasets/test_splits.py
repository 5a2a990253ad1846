from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.datasets.splits import check_no_leakage, folds_by_patient, parts_by_hash, split_by_patient
from medvision.errors import DataError


@dataclass(frozen=True)
class Item:
    patient_id: str
    series: int


patients = st.lists(st.text(max_size=8), min_size=2, max_size=40, unique=True)
items_of_patients = st.builds(
    lambda names, counts: [
        Item(name, series) for name, count in zip(names, counts, strict=True) for series in range(count)
    ],
    st.shared(patients, key="names"),
    st.shared(patients, key="names").flatmap(
        lambda names: st.lists(st.integers(1, 3), min_size=len(names), max_size=len(names))
    ),
)
fractions = st.floats(0.05, 0.95)
seeds = st.integers(0, 1000)


def people(items):
    return {item.patient_id for item in items}


@given(items_of_patients, fractions, seeds)
def test_a_split_keeps_everyone_once_and_patients_together(items, fraction, seed):
    training, validation = split_by_patient(items, fraction, seed)
    assert sorted([*training, *validation], key=items.index) == items
    assert not people(training) & people(validation)
    assert people(training)
    assert people(validation)
    assert abs(len(people(validation)) - fraction * len(people(items))) <= 1


@given(items_of_patients, fractions, seeds, st.randoms())
def test_the_order_of_items_does_not_matter(items, fraction, seed, random):
    shuffled = random.sample(items, len(items))
    assert people(split_by_patient(shuffled, fraction, seed)[1]) == people(
        split_by_patient(items, fraction, seed)[1]
    )


@given(items_of_patients, st.text(min_size=9, max_size=9), fractions, seeds)
def test_one_patient_more_moves_at_most_one_other(items, newcomer, fraction, seed):
    before = people(split_by_patient(items, fraction, seed)[1])
    after = people(split_by_patient([*items, Item(newcomer, 0)], fraction, seed)[1])
    assert len((before ^ after) - {newcomer}) <= 1


@given(items_of_patients, seeds, st.data())
def test_folds_keep_everyone_once_and_differ_by_one_patient(items, seed, data):
    folds = folds_by_patient(items, data.draw(st.integers(2, len(people(items)))), seed)
    assert sorted((item for fold in folds for item in fold), key=items.index) == items
    sizes = [len(people(fold)) for fold in folds]
    assert sum(sizes) == len(people(items))
    assert max(sizes) - min(sizes) <= 1


def test_another_seed_gives_another_split():
    items = [Item(f"P{number}", 0) for number in range(30)]
    splits = {tuple(split_by_patient(items, 0.5, seed)[1]) for seed in range(5)}
    assert len(splits) == 5


def test_the_split_is_the_same_on_every_machine():
    items = [Item(f"P{number}", 0) for number in range(10)]
    assert [item.patient_id for item in split_by_patient(items, 0.3, 0)[1]] == ["P2", "P4", "P7"]


def test_leakage_is_refused_without_naming_patients():
    with pytest.raises(DataError, match="parts 1 and 3 share 1 patients") as caught:
        check_no_leakage([Item("Jane", 0)], [Item("Joe", 0)], [Item("Jane", 1)])
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, float("nan")])
def test_fraction_out_of_bounds(fraction):
    with pytest.raises(DataError, match="must lie between 0 and 1"):
        split_by_patient([Item("a", 0), Item("b", 0)], fraction)


def test_too_few_patients():
    with pytest.raises(DataError, match="1 patient in 2 series"):
        split_by_patient([Item("a", 0), Item("a", 1)], 0.5)
    with pytest.raises(DataError, match="3 folds of 2 patients"):
        folds_by_patient([Item("a", 0), Item("b", 0)], 3)
    with pytest.raises(DataError, match="1 folds"):
        folds_by_patient([Item("a", 0), Item("b", 0)], 1)


@settings(deadline=None)
@given(items_of_patients, st.lists(st.text(min_size=9, max_size=12), max_size=10), fractions, seeds)
def test_nobody_changes_sides_of_a_stable_split(items, newcomers, fraction, seed):
    shares = {"rest": 1 - fraction, "held out": fraction}
    more = [*items, *(Item(name, 0) for name in newcomers)]
    before, after = (_sides(some, shares, seed) for some in (items, more))
    assert before.items() <= after.items()


def _sides(items, shares, seed):
    crowd = [Item(f"crowd {number}", 0) for number in range(400)]
    parts = parts_by_hash([*items, *crowd], shares, seed)
    return {item.patient_id: name for name, part in parts.items() for item in part}


def test_a_stable_split_comes_near_the_shares_and_a_growing_test_part_keeps_its_patients():
    items = [Item(f"P{number}", 0) for number in range(2000)]
    shares = {"train": 0.7, "validation": 0.1, "test": 0.2}
    parts = parts_by_hash(items, shares)
    for name, share in shares.items():
        assert abs(len(parts[name]) / 2000 - share) < 0.03
    larger = parts_by_hash(items, {"train": 0.6, "validation": 0.1, "test": 0.3})
    assert people(parts["test"]) < people(larger["test"])
    assert people(split_by_patient(items, 0.2, stable=True)[1]) == people(parts["test"])


@pytest.mark.parametrize("shares", [{}, {"a": 0.5}, {"a": 1.5, "b": -0.5}, {"a": 1, "b": 0}])
def test_shares_out_of_bounds(shares):
    with pytest.raises(DataError, match="must be positive and sum to 1"):
        parts_by_hash([Item("a", 0)], shares)


def test_a_stable_split_of_few_patients_may_fail_but_says_so():
    with pytest.raises(DataError, match="no patient of 1 falls into part"):
        split_by_patient([Item("a", 0), Item("a", 1)], 0.5, stable=True)


def test_stable_and_stratified_exclude_each_other():
    items = [Item("a", 0), Item("b", 0)]
    with pytest.raises(DataError, match="cannot be stratified"):
        split_by_patient(items, 0.5, stable=True, stratify=lambda item: item.series)
