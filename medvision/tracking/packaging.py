"""A model directory as a model that MLflow can load and serve, without a pickle."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import medvision
from medvision.errors import ModelError
from medvision.models.card import NAMES_PATIENTS
from medvision.models.directory import Card, load_card
from medvision.models.inventory import AnyCard
from medvision.tracking.references import INSIDE

if TYPE_CHECKING:
    from mlflow.types import ParamSchema, Schema

DETECTS = ("detect_lite", "detect_retinanet")
CLASSIFIES = ("classify_patches", "classify_images", "classify_medmnist")


@dataclass(frozen=True, slots=True)
class _Interface:
    """What MLflow runs instead of unpickling an object ("models from code"), and what goes in and out."""

    code: Path
    example: Sequence[str]
    output: Schema
    params: ParamSchema | None = None


@contextmanager
def packaged(directory: Path) -> Iterator[Path]:
    """A folder for MLflow: a model's with `MLmodel` beside it, any other as it is.

    Hidden files stay where they are, and so do the tables that name whom they judge.

    Args:
        directory: a model directory.
    """
    try:
        card = load_card(directory, AnyCard)
    except ModelError:
        card = None
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "plain" / INSIDE.name
        shutil.copytree(directory, plain, ignore=shutil.ignore_patterns(".*", *NAMES_PATIENTS))
        if card is None or card.task not in DETECTS + CLASSIFIES:
            yield plain
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow warns of type hints in its own code
            folder = Path(scratch) / "model"
            interface = _of_detector() if card.task in DETECTS else _of_classifier(plain)
            _save(plain, folder, interface, card)
            yield folder


def _of_detector() -> _Interface:
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    from medvision.tracking.findings_table import EXAMPLE, findings_columns

    columns = [
        ColSpec(DataType.double if number else DataType.string, name, required=False)
        for name, number in findings_columns().items()
    ]
    params = ParamSchema([ParamSpec("fp_per_scan", DataType.double, None)])
    return _Interface(Path(__file__).with_name("served_model.py"), EXAMPLE, Schema(columns), params)


def _of_classifier(directory: Path) -> _Interface:
    from mlflow.types import ColSpec, DataType, Schema

    from medvision.inference.classifiers import open_classifier
    from medvision.tracking.classes_table import EXAMPLE

    words = [ColSpec(DataType.string, name, required=False) for name in ("path", "problem")]
    numbers = [ColSpec(DataType.double, name, required=False) for name in open_classifier(directory).columns]
    return _Interface(Path(__file__).with_name("served_classifier.py"), EXAMPLE, Schema([*words, *numbers]))


def _save(directory: Path, folder: Path, interface: _Interface, card: Card) -> None:
    from mlflow import pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    pyfunc.save_model(
        folder,
        python_model=str(interface.code),
        artifacts={INSIDE.name: str(directory)},
        signature=ModelSignature(
            inputs=Schema([ColSpec(DataType.string)]), outputs=interface.output, params=interface.params
        ),
        input_example=list(interface.example),
        pip_requirements=[f"medvision[mlflow]=={medvision.__version__}"],
        metadata={"task": card.task, "name": card.name, "version": card.version},
    )
