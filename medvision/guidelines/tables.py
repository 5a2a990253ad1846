"""The published tables, read from the YAML files beside this module and checked."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Annotated, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field

from medvision.findings import Calcification

Bounds = tuple[float, float | None]
"""From (included) up to; None for no end."""
TableDensity = Literal["solid", "part_solid", "ground_glass"]
State = Literal["baseline", "new", "growing", "stable"]
Count = Literal["single", "multiple"]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Benign(_Part):
    """Patterns of calcium that speak for a benign nodule."""

    patterns: tuple[Calcification, ...]
    category: str = ""
    source: str


class LungRadsRow(_Part):
    """One row of Lung-RADS; an upper bound is not included."""

    density: TableDensity
    state: State
    size: Bounds
    size_mm3: Bounds
    core: Bounds = (0, None)
    core_mm3: Bounds = (0, None)
    category: str
    source: str


class LungRadsCategory(_Part):
    """What a category means."""

    code: str
    meaning: str
    management: str


class Growth(_Part):
    """What counts as growth."""

    more_than_mm: float
    within_days: int
    source: str


class Step(_Part):
    """A category that becomes another one when the nodule has not grown."""

    from_: str = Field(alias="from")
    to: str
    after_days: int
    source: str


class Juxtapleural(_Part):
    """Small smooth nodules at the pleura."""

    below_mm: float
    below_mm3: float
    category: str
    source: str


class LungRads(_Part):
    """Lung-RADS v2022."""

    name: str
    source: str
    url: str
    categories: tuple[LungRadsCategory, ...]
    growth: Growth
    steps: tuple[Step, ...]
    benign_calcification: Benign
    juxtapleural: Juxtapleural
    rows: tuple[LungRadsRow, ...]
    left_to_the_reader: tuple[str, ...]


class FleischnerRow(_Part):
    """One row of Fleischner 2017; both bounds are included, in whole millimetres."""

    density: TableDensity
    count: Count
    size: Bounds
    size_mm3: Bounds
    rank: int
    low: str
    high: str
    source: str


class Fleischner(_Part):
    """Fleischner 2017."""

    name: str
    source: str
    url: str
    from_age_years: int
    rows: tuple[FleischnerRow, ...]
    benign_calcification: Benign


class BrockModel(_Part):
    """Coefficients of one logistic model."""

    code: str
    source: str
    intercept: Finite
    age: Finite
    female: Finite
    family_history: Finite
    emphysema: Finite
    size: Finite
    density: dict[TableDensity, Finite]
    upper_lobe: Finite
    nodules: Finite
    spiculation: Finite


class Brock(_Part):
    """The Brock (PanCan) models."""

    name: str
    source: str
    url: str
    age_center_years: float
    nodules_center: float
    size_center: float
    age_years: tuple[float, float]
    smallest_mm: float
    largest_mm: float
    spiculated_from: float
    models: tuple[BrockModel, ...]


TableT = TypeVar("TableT", bound=BaseModel)


def _read(name: str, kind: type[TableT]) -> TableT:
    text = files("medvision.guidelines").joinpath("tables", name).read_text(encoding="utf-8")
    return kind.model_validate(yaml.safe_load(text))


@cache
def lung_rads_table() -> LungRads:
    """Lung-RADS v2022."""
    return _read("lung_rads_2022.yaml", LungRads)


@cache
def fleischner_table() -> Fleischner:
    """Fleischner 2017."""
    return _read("fleischner_2017.yaml", Fleischner)


@cache
def brock_table() -> Brock:
    """Brock (PanCan) 2013."""
    return _read("brock_2013.yaml", Brock)
