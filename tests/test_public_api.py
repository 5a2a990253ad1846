"""The names that users import, and what importing them costs."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import medvision

PUBLIC = {
    "Predictor",
    "__version__",
    "evaluate",
    "infer",
    "ingest",
    "open_cohort",
    "simulate_cohort",
    "train",
}


def test_the_public_names_are_these_and_no_others() -> None:
    assert set(medvision.__all__) == PUBLIC
    assert set(dir(medvision)) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_there_and_described(name: str) -> None:
    thing = getattr(medvision, name)

    assert isinstance(thing, str) or inspect.getdoc(thing)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nodules'"):
        medvision.nodules  # noqa: B018


def test_importing_medvision_imports_nothing_heavy() -> None:
    code = "import medvision, sys; print(sorted({name.partition('.')[0] for name in sys.modules}))"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    for heavy in ("numpy", "torch", "monai", "pydicom", "highdicom", "mlflow", "prefect", "click"):
        assert f"'{heavy}'" not in imported
