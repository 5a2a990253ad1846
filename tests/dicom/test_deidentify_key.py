"""Pseudonyms follow from the key alone; the key lies where nobody else reads it."""

from __future__ import annotations

import logging
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from medvision.dicom.deidentify.key import (
    KEY_VARIABLE,
    MAX_SHIFT_DAYS,
    DeidentificationKey,
    default_key_file,
    load_key,
)
from medvision.errors import ConfigError, OutputError

KEY, OTHER = DeidentificationKey(b"0123456789abcdef"), DeidentificationKey(b"fedcba9876543210")


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """No test touches the user's key."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


@given(st.text(min_size=1).filter(lambda text: text.strip(" \0")))
def test_a_uid_is_valid_consistent_and_another_under_another_key(text):
    uid = KEY.uid(text)

    assert UID(uid).is_valid
    assert uid.startswith("2.25.")
    assert uid == KEY.uid(f" {text}\0") == DeidentificationKey(KEY.secret).uid(text)
    assert uid != OTHER.uid(text)


@given(st.text(), st.text())
def test_patients_are_kept_apart(one, other):
    same = one.strip() == other.strip()

    assert (KEY.patient_id(one) == KEY.patient_id(other)) == same
    assert KEY.patient_id(one) != OTHER.patient_id(one)
    assert len(KEY.patient_id(one)) <= 64
    assert 1 <= KEY.shift_days(one) <= MAX_SHIFT_DAYS


def test_what_dicom_defines_and_nothing_stay():
    assert KEY.uid("1.2.840.10008.5.1.4.1.1.2") == "1.2.840.10008.5.1.4.1.1.2"
    assert KEY.uid("") == ""


def test_kinds_do_not_meet():
    assert KEY.token("path", "x") != KEY.token("patient", "x")


def test_a_short_key_is_refused():
    with pytest.raises(ConfigError, match="has 3 bytes"):
        DeidentificationKey(b"abc")


def test_a_key_is_made_once_and_said_where(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        made = load_key(store=tmp_path / "store")
    again = load_key(store=tmp_path / "store")

    assert again == made
    assert len(made.secret) == 64
    assert stat.S_IMODE(default_key_file().stat().st_mode) == 0o600
    assert str(default_key_file()) in caplog.text
    assert caplog.text.count("made a new") == 1
    assert made.secret.decode() not in caplog.text + repr(made)


def test_file_environment_and_own_key_in_this_order(tmp_path, monkeypatch):
    (tmp_path / "a.key").write_text("a key from a file\n")
    (tmp_path / "b.key").write_text("a key from a file of the environment")
    (tmp_path / "a.key").chmod(0o600)
    (tmp_path / "b.key").chmod(0o600)
    store = tmp_path / "store"
    monkeypatch.setenv(KEY_VARIABLE, "the secret itself, long enough")

    assert load_key(store=store).secret == b"the secret itself, long enough"
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "b.key"))
    assert load_key(store=store).secret == b"a key from a file of the environment"
    assert load_key(tmp_path / "a.key", store=store).secret == b"a key from a file"
    assert not default_key_file().exists()


def test_a_key_that_others_can_read_is_warned_about(tmp_path, caplog):
    (tmp_path / "a.key").write_text("a key from a file")
    (tmp_path / "a.key").chmod(0o644)
    load_key(tmp_path / "a.key", store=tmp_path / "store")

    assert "can be read by others" in caplog.text


def test_no_key_lies_in_the_store(tmp_path, monkeypatch):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "a.key").write_text("a key from a file")
    with pytest.raises(ConfigError, match="inside the store"):
        load_key(tmp_path / "store" / "a.key", store=tmp_path / "store")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "store"))
    with pytest.raises(ConfigError, match="inside the store"):
        load_key(store=tmp_path / "store")


def test_a_key_that_cannot_be_read_or_made_is_said(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_key(tmp_path / "none.key", store=tmp_path / "store")
    (tmp_path / "short.key").write_text("abc")
    with pytest.raises(ConfigError, match=r"short\.key: the de-identification key has 3 bytes"):
        load_key(tmp_path / "short.key", store=tmp_path / "store")
    monkeypatch.setenv(KEY_VARIABLE, "/no/such/file")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_key(store=tmp_path / "store")
    monkeypatch.delenv(KEY_VARIABLE)
    (tmp_path / "config").write_text("a file, no folder")
    with pytest.raises(OutputError, match="--key"):
        load_key(store=tmp_path / "store")
