"""A model directory as a model that MLflow can load and serve, without a pickle."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import medvision
from medvision.errors import ModelError
from medvision.models.detector_card import load_detector_card
from medvision.tracking.references import INSIDE

CODE = Path(__file__).with_name("served_model.py")
"""MLflow runs this file instead of unpickling an object ("models from code")."""


@contextmanager
def packaged(directory: Path) -> Iterator[Path]:
    """A folder for MLflow: a detector's with `MLmodel` beside it, others as they are.

    Args:
        directory: a model directory.
    """
    try:
        card = load_detector_card(directory)
    except ModelError:  # no detector
        yield directory
        return
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of type hints in its own code
        folder = Path(scratch) / "model"
        _save(directory, folder, {"task": card.task, "name": card.name, "version": card.version})
        yield folder


def _save(directory: Path, folder: Path, metadata: dict[str, str]) -> None:
    from mlflow import pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    from medvision.tracking.findings_table import EXAMPLE, findings_columns

    columns = [
        ColSpec(DataType.double if number else DataType.string, name, required=False)
        for name, number in findings_columns().items()
    ]
    pyfunc.save_model(
        folder,
        python_model=str(CODE),
        artifacts={INSIDE.name: str(directory)},
        signature=ModelSignature(
            inputs=Schema([ColSpec(DataType.string)]),
            outputs=Schema(columns),
            params=ParamSchema([ParamSpec("fp_per_scan", DataType.double, None)]),
        ),
        input_example=list(EXAMPLE),
        pip_requirements=[f"medvision[mlflow]=={medvision.__version__}"],
        metadata=metadata,
    )
