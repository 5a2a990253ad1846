"""One small cohort and a tiny patient, made once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medvision.simulation.cohort import simulate_cohort
from medvision.simulation.phantom import Phantom, sample_patient

SEED = 7


@pytest.fixture(scope="session")
def cohort(tmp_path_factory) -> Path:
    """Two small patients, made by two processes."""
    folder = tmp_path_factory.mktemp("cohort")
    simulate_cohort(folder, patients=2, seed=SEED, size="small", workers=2)
    return folder


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    """A small patient, no voxels."""
    return sample_patient(SEED, 0, "small")


@pytest.fixture(scope="session")
def tiny(phantom: Phantom) -> tuple[Phantom, np.ndarray]:
    """The same patient with a coarse scan of random pixels, for tests of files."""
    scan = replace(phantom.acquisition, matrix=32, slices=24, pixel_mm=10.0, spacing_mm=10.0)
    hu = np.random.default_rng(0).integers(-900, 300, (24, 32, 32)).astype(np.int16)
    return replace(phantom, acquisition=scan), hu
