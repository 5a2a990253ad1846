"""A labelled STORE, and registered models of random weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from medvision.config.tracking import TrackingConfig
from medvision.models.directory import ModelCard, OperatingPoint, save_model
from medvision.tracking import start_run
from tests.models.cards import tiny_card, tiny_detector
from tests.training.test_detection import write_store


@dataclass(frozen=True)
class Registered:
    """A registry with models of random weights."""

    settings: TrackingConfig
    folder: Path

    def add(self, name: str, *, threshold: float = 0.5, **changes: object) -> str:
        """Train, so to speak, and register; returns the version."""
        point = OperatingPoint(fp_per_scan=1.0, threshold=threshold, sensitivity=0.5)
        card: ModelCard = tiny_card(0.0001).model_copy(update={"operating_points": (point,), **changes})
        save_model(self.folder / "model", card, tiny_detector())
        with start_run(self.settings, name="tiny", params={}) as run:
            run.log_model(self.folder / "model", "model")
            version = run.register("model", name)
        assert version is not None
        return version


@pytest.fixture(scope="session")
def labelled_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("frozen"), patients=3)


@pytest.fixture(scope="session")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Registered:
    folder = tmp_path_factory.mktemp("registry")
    return Registered(TrackingConfig(uri=f"sqlite:///{folder}/mlflow.db"), folder)
