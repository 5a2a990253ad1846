"""A model tells whom it knows, and nobody else's name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.errors import ConfigError, MedvisionError, ModelError
from medvision.models.card import SeenRecord
from medvision.models.leakage import (
    LEAKAGE_KEY,
    LEAKAGE_KEY_FILE,
    LeakageGuard,
    Seen,
    default_key_file,
    hash_all,
    key_id,
    keyed_hash,
    read_key,
    seal,
    training_key,
)
from medvision.preprocessing.fingerprint import NEAR_DUPLICATE_BITS

SALT = "00ff" * 8
SCAN, OTHER_SCAN = "0" * 64, "f" * 64


@pytest.fixture(autouse=True)
def no_key(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv(LEAKAGE_KEY, raising=False)
    monkeypatch.delenv(LEAKAGE_KEY_FILE, raising=False)


def record(key: bytes = b"") -> SeenRecord:
    return SeenRecord(
        salt=SALT,
        key_id=key_id(key),
        patient_hashes=hash_all(SALT, ["P1"], key),
        series_hashes=hash_all(SALT, ["1.1"], key),
        fingerprints=(SCAN,),
        validation_patient_hashes=hash_all(SALT, ["P2"], key),
        validation_series_hashes=hash_all(SALT, ["1.2"], key),
    )


@pytest.mark.parametrize(
    ("scan", "seen"),
    [
        (("1.1", "P1", SCAN), [("training", "series")]),
        (("1.1", "", ""), [("training", "series")]),
        (("9.9", "P1", OTHER_SCAN), [("training", "patient")]),
        (("9.9", " P1 ", OTHER_SCAN), [("training", "patient")]),
        (("9.9", "P9", SCAN), [("training", "near_duplicate")]),
        (("1.2", "P2", OTHER_SCAN), [("validation", "series")]),
        (("9.9", "P2", SCAN), [("training", "near_duplicate"), ("validation", "patient")]),
        (("9.9", "P9", OTHER_SCAN), []),
        (("9.9", "", ""), []),
    ],
)
def test_the_strongest_reason_of_each_part_is_told(scan, seen):
    assert LeakageGuard(record()).seen(*scan) == tuple(Seen(*way) for way in seen)


def with_bits(count: int) -> str:
    return f"{(1 << count) - 1:064x}"


@given(st.integers(0, 256))
def test_near_is_a_number_of_bits(count):
    known = bool(LeakageGuard(record()).seen("9.9", "P9", with_bits(count)))
    assert known == (count <= NEAR_DUPLICATE_BITS)


def test_with_a_secret_key_only_its_holder_can_tell(monkeypatch, tmp_path):
    card = record(b"secret")
    without = LeakageGuard(card)
    assert not without.can_tell
    assert without.seen("1.1", "P1") == ()
    assert without.seen("1.1", "P1", SCAN) == (Seen("training", "near_duplicate"),)
    monkeypatch.setenv(LEAKAGE_KEY, "wrong")
    assert not LeakageGuard(card).can_tell
    monkeypatch.setenv(LEAKAGE_KEY, "secret")
    assert LeakageGuard(card).can_tell
    assert LeakageGuard(card).seen("1.1") == (Seen("training", "series"),)
    monkeypatch.delenv(LEAKAGE_KEY)
    (tmp_path / "key").write_text("secret\n")
    monkeypatch.setenv(LEAKAGE_KEY_FILE, str(tmp_path / "key"))
    assert LeakageGuard(card).can_tell


def test_a_model_without_a_key_is_told_under_any(monkeypatch):
    monkeypatch.setenv(LEAKAGE_KEY, "of another project")
    guard = LeakageGuard(record())
    assert guard.can_tell
    assert guard.seen("1.1") == (Seen("training", "series"),)


def test_a_key_file_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv(LEAKAGE_KEY_FILE, str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match=r"MEDVISION_LEAKAGE_KEY_FILE: cannot read .*nowhere"):
        read_key()


@given(st.text(min_size=1), st.text(min_size=1), st.binary(max_size=8))
def test_hashes_tell_identifiers_apart_and_hold_none(one, other, key):
    hashed = keyed_hash(SALT, one, key)
    assert (hashed == keyed_hash(SALT, other, key)) == (one.strip() == other.strip())
    assert hashed != keyed_hash("00" * 16, one, key)
    assert len(one.strip()) < 5 or one.strip() not in hashed


def test_a_record_from_before_there_were_fingerprints():
    old = SeenRecord(salt=SALT, patient_hashes=hash_all(SALT, ["P1"]), series_hashes=())
    guard = LeakageGuard(old)
    assert guard.can_tell
    assert guard.seen("1", "P1", SCAN) == (Seen("training", "patient"),)
    assert guard.seen("1", "P2", SCAN) == ()


def test_a_training_makes_a_key_that_only_its_owner_can_read(caplog):
    assert read_key() == b""
    key = training_key()
    assert len(key) == 64
    assert training_key() == read_key() == key
    assert default_key_file().stat().st_mode & 0o777 == 0o600
    assert "made a new leakage key" in caplog.text
    assert key.decode() not in caplog.text


def test_where_no_key_can_be_made_the_training_says_so(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    with pytest.raises(MedvisionError, match="leakage key"):
        training_key()


def test_scans_are_known_by_their_pixels_only_with_the_key(monkeypatch):
    sealed = seal(SALT, [SCAN], b"secret")
    card = record(b"secret").model_copy(update={"fingerprints": (), "sealed_fingerprints": sealed})
    assert SCAN not in card.model_dump_json()
    assert LeakageGuard(card).seen("9.9", "P9", SCAN) == ()
    monkeypatch.setenv(LEAKAGE_KEY, "secret")
    assert LeakageGuard(card).seen("9.9", "P9", SCAN) == (Seen("training", "near_duplicate"),)
    damaged = card.model_copy(update={"sealed_fingerprints": sealed[:-9] + "AAAAAAAA="})
    with pytest.raises(ModelError, match="were changed"):
        LeakageGuard(damaged)
