"""A store that gives up on a lock at once."""

from __future__ import annotations

import pytest
from mlflow.store.db import utils

from medvision.tracking import outbox


def give_up_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """After 50 ms, where MLflow waits for 20 s (`PRAGMA busy_timeout`), and try again at once."""
    text = utils.sql.text
    monkeypatch.setattr(utils.sql, "text", lambda words: text(words.replace("20000", "50")))
    monkeypatch.setattr(utils, "MAX_RETRY_COUNT", 1)
    monkeypatch.setattr(outbox, "FIRST_PAUSE_S", 0.01)
