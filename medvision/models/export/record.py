"""`export.json`: which graphs were written from which model, and how far they are from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from medvision.config.base import describe_problems
from medvision.errors import ModelError

EXPORT = "export.json"

Format = Literal["onnx", "openvino", "torch"]
FORMATS: tuple[Format, ...] = get_args(Format)

Precision = Literal["float", "int8"]
"""`float` is float32, for OpenVINO weights in float16."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Change(_Record):
    """What int8 does to a model's probabilities, on samples that set no ranges.

    Attributes:
        samples: how many.
        mean: over the samples, of the largest difference of a probability in each.
        largest: of these differences.
    """

    samples: int
    mean: float
    largest: float


class PartRecord(_Record):
    """One graph.

    Attributes:
        name: what it is in the model.
        file: to open, in the same folder.
        sha256: of each of its files.
        input: what it takes, in words.
        input_shape: axes in order; a name stands for any length.
        output: what it gives, in words.
        largest_difference: of its output from the model's on random inputs of two sizes; of an int8 graph, on
            the samples.
        change: of probabilities by int8; None where nothing was quantised.
    """

    name: str
    file: str
    sha256: Mapping[str, str]
    input: str
    input_shape: tuple[int | str, ...]
    output: str
    largest_difference: float
    change: Change | None = None


class ExportRecord(_Record):
    """One export.

    Attributes:
        format: of the graphs.
        precision: that they compute in.
        model_sha256: of the weights that they were made from.
        versions: of the packages that made them.
        parts: the graphs.
    """

    format: Format
    precision: Precision = "float"
    model_sha256: str
    versions: Mapping[str, str]
    parts: tuple[PartRecord, ...]


def read_record(folder: Path) -> ExportRecord:
    """Read and check `export.json`.

    Raises:
        ModelError: it is missing, or cannot be understood.
    """
    path = folder / EXPORT
    try:
        return ExportRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read: {error}; export the model again") from error
    except ValidationError as error:
        raise ModelError(describe_problems(error, ExportRecord, str(path))) from error
