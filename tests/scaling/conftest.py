"""Scans of small bodies, a model of random weights, and a run of one process to compare with."""

from __future__ import annotations

from pathlib import Path

import pytest

from medvision.inference.cohort import infer
from medvision.models.directory import save_model
from tests.inference.test_cohort import write_body
from tests.models.cards import lively_detector, tiny_card

UIDS = tuple(f"1.2.3.{number}" for number in range(1, 5))


@pytest.fixture(scope="session")
def scans(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    for uid in UIDS:
        write_body(folder / uid, uid)
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, tiny_card(), lively_detector())
    return folder


@pytest.fixture(scope="session")
def alone(scans, model, tmp_path_factory) -> Path:
    """OUT of one process."""
    out = tmp_path_factory.mktemp("runs") / "out"
    assert infer([scans], out, model=model, threshold=0.0).exit_code == 0
    return out
