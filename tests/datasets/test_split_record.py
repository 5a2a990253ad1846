from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.datasets.split_record import apply_split, read_split, record_split, write_split
from medvision.errors import ContractError, DataError


@dataclass(frozen=True)
class Series:
    patient_id: str
    series_instance_uid: str


TRAINING = [Series("Jane", "1.1"), Series("Jane", "1.2"), Series("Joe", "1.3")]
VALIDATION = [Series("Ann", "1.4")]


def test_a_split_comes_back_and_names_nobody(tmp_path):
    path = tmp_path / "split.json"
    record = record_split({"training": TRAINING, "validation": VALIDATION}, {"seed": 3})
    write_split(path, record)
    assert read_split(path) == record
    assert record.how == {"seed": 3}
    assert [len(part.patients) for part in record.parts.values()] == [2, 1]
    assert len(record.parts["training"].series) == 3
    for name in ("Jane", "Joe", "Ann", "1.1", "1.4"):
        assert name not in path.read_text()


def test_a_later_cohort_is_parted_as_before_and_newcomers_are_told_apart():
    record = record_split({"training": TRAINING, "validation": VALIDATION})
    later = [Series("Ann", "1.9"), Series("Tom", "2.1"), *TRAINING]
    parts, unknown = apply_split(record, later)
    assert parts == {"training": TRAINING, "validation": [Series("Ann", "1.9")]}
    assert unknown == [Series("Tom", "2.1")]


def test_with_a_secret_key_only_its_holder_can_part_again():
    record = record_split({"training": TRAINING}, key=b"secret")
    assert apply_split(record, TRAINING, key=b"secret") == ({"training": TRAINING}, [])
    open_hashes = record_split({"training": TRAINING}, salt=record.salt).parts["training"].patients
    assert not set(record.parts["training"].patients) & set(open_hashes)
    for other in (b"", b"another"):
        with pytest.raises(DataError, match="set the leakage key that the training had"):
            apply_split(record, TRAINING, key=other)


def test_two_splits_of_the_same_patients_cannot_be_joined_without_the_key():
    first, second = (record_split({"training": TRAINING}) for _ in range(2))
    assert not set(first.parts["training"].patients) & set(second.parts["training"].patients)
    assert record_split({"training": TRAINING}, salt=first.salt) == first


identifiers = st.text("abcXYZ019-_.^", max_size=6)


@settings(deadline=None)  # the first example imports
@given(st.lists(st.tuples(identifiers, identifiers), max_size=20), st.integers(0, 20))
def test_every_patient_is_found_where_it_was(pairs, border):
    patients = sorted({patient for patient, _ in pairs})
    first = set(patients[:border])
    items = [Series(*pair) for pair in pairs]
    before = {
        "training": [item for item in items if item.patient_id in first],
        "validation": [item for item in items if item.patient_id not in first],
    }
    assert apply_split(record_split(before), items) == (before, [])


def test_a_patient_in_two_parts_is_refused():
    with pytest.raises(DataError, match="share 1 patients"):
        record_split({"training": TRAINING, "validation": [Series("Joe", "9")]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parts": {}}, r"split\.json: parts: .*\[schema split"),
        ({"salt": "xyz"}, r"split\.json: salt: 'xyz' does not match"),
        (
            {"parts": {"training": {"patients": ["Jane"], "series": []}}},
            r"parts\.training\.patients\[0\]: 'Jane'",
        ),
    ],
)
def test_any_other_document_is_no_split(tmp_path, change, message):
    path = tmp_path / "split.json"
    write_split(path, record_split({"training": TRAINING}))
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ContractError, match=message):
        read_split(path)


def test_one_of_a_later_version_is_refused(tmp_path):
    path = tmp_path / "split.json"
    write_split(path, record_split({"training": TRAINING}))
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": "2.0"}))
    with pytest.raises(DataError, match=r"split\.json is of version 2\.0, but this medvision reads up to 1"):
        read_split(path)


def test_no_such_file_and_no_json(tmp_path):
    with pytest.raises(DataError, match="cannot read split"):
        read_split(tmp_path / "split.json")
    (tmp_path / "split.json").write_text("{")
    with pytest.raises(DataError, match="cannot read split"):
        read_split(tmp_path / "split.json")
