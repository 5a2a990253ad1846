"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing that tests do is remembered in the user's folders; Matplotlib's fonts are found only once."""
    with pytest.MonkeyPatch.context() as environment:
        fonts = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "matplotlib"
        environment.setenv("MPLCONFIGDIR", os.environ.get("MPLCONFIGDIR", str(fonts)))
        environment.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        environment.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real scans and annotations, from MEDVISION_TEST_DATA or beside the checkout."""
    folder = Path(os.environ.get("MEDVISION_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set MEDVISION_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def lidc_0001(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LIDC-IDRI-0001 as a DICOM folder, unpacked once."""
    import tarfile

    folder = tmp_path_factory.mktemp("lidc")
    with tarfile.open(real_data / "lidc" / "LIDC-IDRI-0001.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder
