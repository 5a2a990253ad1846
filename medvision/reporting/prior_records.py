"""The comparison with an earlier examination, as `report.json` holds it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from medvision.reporting.record import Record

EARLIER_CHECK = "earlier examination"
"""Name of the quality check that says why nothing is compared."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Place = tuple[Finite, Finite, Finite]
Status = Literal["new", "growing", "stable", "shrinking", "unclear"]


class FindingPriorRecord(Record):
    """What an earlier examination says of a finding's place."""

    status: Status = Field(description="growing or shrinking only beyond the error of both measurements")
    volume_mm3: Amount | None = Field(default=None, description="then; null where it was not measured")
    mean_diameter_mm: Amount | None = Field(default=None, description="then")
    center_lps_mm: Place | None = Field(
        default=None,
        description="in the earlier examination's frame; of a new finding the place it would have",
    )
    growth_percent: Finite | None = Field(default=None, description="of the volume since then")
    growth_lower_percent: Finite | None = Field(default=None, description="lower 95 % limit")
    growth_upper_percent: Finite | None = Field(default=None, description="upper 95 % limit")
    doubling_time_days: Amount | None = Field(default=None, description="of the volume; null unless it grows")
    doubling_time_lower_days: Amount | None = Field(default=None, description="lower 95 % limit")
    doubling_time_upper_days: Amount | None = Field(
        default=None, description="upper 95 % limit; null where it may not grow at all"
    )


class VanishedRecord(Record):
    """A finding of the earlier examination that is not found any more."""

    center_lps_mm: Place = Field(description="where it would lie now")
    volume_mm3: Amount | None = Field(default=None, description="then")
    mean_diameter_mm: Amount | None = Field(default=None, description="then")
    words: str = Field(default="", description="what is at that place now")


class PriorRecord(Record):
    """The earlier examination, and how well it could be compared."""

    series_instance_uid: str = Field(description="(0020,000E)")
    study_date: str | None = Field(default=None, description="(0008,0020), as YYYY-MM-DD")
    days_between: int | None = Field(default=None, ge=0)
    registration: str = Field(default="", description="how both were aligned, and how well")
    input_sha256: str = Field(
        default="", pattern=r"^([0-9a-f]{64})?$", description="SHA-256 of its content, empty where unknown"
    )
    vanished: tuple[VanishedRecord, ...] = ()
