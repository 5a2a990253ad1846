"""Whether a patient was learnt from cannot be read from a model directory without the key."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from medvision.config.detection import DetectionConfig
from medvision.models.leakage import (
    LEAKAGE_KEY,
    LEAKAGE_KEY_FILE,
    LeakageGuard,
    Seen,
    default_key_file,
    key_id,
    keyed_hash,
)
from medvision.training.model_card import describe_training

PATIENT, SERIES, SCAN = "ID-4711", "1.2.3.4711", "ab" * 32


@pytest.fixture
def record(monkeypatch, tmp_path):
    """What a training without any key in its environment writes of whom it has learnt from."""
    monkeypatch.delenv(LEAKAGE_KEY, raising=False)
    monkeypatch.delenv(LEAKAGE_KEY_FILE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "trainer"))
    volume = SimpleNamespace(
        series=SimpleNamespace(patient_id=PATIENT, series_instance_uid=SERIES),
        spacing_mm=(1.0, 0.7, 0.7), radii_mm=(3.0,), fingerprint=SCAN, attributes={},
    )  # fmt: skip
    return describe_training([volume], DetectionConfig.model_construct(), None, [volume])


def test_who_holds_the_model_alone_learns_nothing(record, monkeypatch, tmp_path):
    card = record.model_dump_json()
    secret = default_key_file().read_text().strip()
    guesses = [keyed_hash(record.salt, text) for text in (PATIENT, SERIES)]
    guesses += [keyed_hash(record.salt, text, record.key_id.encode()) for text in (PATIENT, SERIES)]
    assert not [text for text in (*guesses, PATIENT, SERIES, SCAN, secret) if text in card]

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "hospital"))
    guard = LeakageGuard(record)
    assert not guard.can_tell
    assert guard.seen(SERIES, PATIENT, SCAN) == ()


def test_who_holds_the_key_can_ask(record):
    guard = LeakageGuard(record)
    assert guard.can_tell
    assert guard.seen(SERIES) == (Seen("training", "series"), Seen("validation", "series"))
    assert guard.seen("9", "9", SCAN)[0] == Seen("training", "near_duplicate")
    assert guard.seen("9", "9", "54" * 32) == ()


def test_the_name_of_a_key_does_not_tell_the_key(record):
    secret = default_key_file().read_bytes().strip()
    assert record.key_id == key_id(secret)
    assert record.key_id not in secret.decode()
