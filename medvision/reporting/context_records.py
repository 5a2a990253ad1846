"""What guidelines suggest, as `report.json` holds it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from medvision.guidelines.patient import Origin, Risk, Sex
from medvision.guidelines.suggestion import Applies
from medvision.reporting.record import Probability, Record


class CategoryRecord(Record):
    """What one guideline suggests for one finding; no diagnosis."""

    guideline: str = Field(description="name and edition")
    category: str = Field(description='such as "4A", or a range such as "3 to 4A"')
    possible: tuple[str, ...] = Field(description="all that the facts leave open, least suspicious first")
    words: str = Field(description="one sentence for a reader")
    reason: str = Field(description="which row of the guideline, and what was assumed")


class CancerRiskRecord(Record):
    """Probability of cancer by a published model, as a range over what is not known."""

    model: str = Field(description="name and variant")
    lower: Probability
    upper: Probability = Field(description="equal to lower where nothing is missing")
    missing: tuple[str, ...] = Field(default=(), description="what was not known, in words")


class GuidelineRecord(Record):
    """What one guideline suggests for the examination; no diagnosis."""

    guideline: str = Field(description="name and edition")
    applies: Applies = Field(description="whether the patient is one it was made for")
    category: str = Field(description="of the most suspicious finding; empty where none is suggested")
    finding_id: str | None = Field(description="that finding")
    words: str = Field(description="for a reader, with its condition")
    reason: str = Field(description="of the category, or why there is none")
    missing: tuple[str, ...] = Field(default=(), description="what would make it more certain, in words")
    source: str = Field(description="where the guideline is published")


class PatientRecord(Record):
    """What guidelines ask of the patient; null where not known, and no identifier."""

    age_years: Annotated[float, Field(ge=0, le=130)] | None = None
    sex: Sex | None = Field(default=None, description="as (0010,0040)")
    pack_years: Annotated[float, Field(ge=0)] | None = None
    family_history: bool | None = Field(default=None, description="of lung cancer, first degree")
    emphysema: bool | None = Field(default=None, description="seen on CT")
    known_cancer: bool | None = None
    immunosuppressed: bool | None = None
    screening: bool | None = Field(default=None, description="whether this is a screening examination")
    prior_ct: bool | None = Field(default=None, description="whether there is an earlier chest CT")
    risk: Risk | None = Field(default=None, description="as Fleischner 2017 tells patients apart")
    origins: dict[str, Origin] = Field(default_factory=dict, description="fact to where it came from")
