"""`drift.json`: the result of a comparison; the page is rendered from it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from medvision.evaluation.drift.features import Kind

Status = Literal["stable", "unclear", "drift", "too_few", "absent"]
"""unclear: beyond the PSI limit, but chance alone may do that; absent: not known in both cohorts."""

Verdict = Literal["stable", "drift", "too_few"]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
EXIT_DRIFT = 3


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CohortRecord(_Record):
    """One of the two cohorts."""

    path: str = Field(description="as it was given")
    kind: Literal["store", "out"]
    scans: Count = Field(description="scans that can be compared")
    drawn: Count = Field(description="of these, how many were: large cohorts are sampled")
    with_pixels: Count = Field(description="of the drawn ones, how many had their voxels read")


class ChartBin(_Record):
    """A pair of bars."""

    label: str
    reference: Share
    current: Share


class FeatureRecord(_Record):
    """One feature in both cohorts."""

    name: str
    title: str
    unit: str
    kind: Kind
    status: Status
    n_reference: Count = Field(description="scans in which it is known")
    n_current: Count = Field(description="scans in which it is known")
    reference: str = Field(description="median and 10th to 90th percentile, or the most frequent values")
    current: str = Field(description="likewise")
    psi: float | None = Field(description="population stability index", ge=0)
    ks: Share | None = Field(description="Kolmogorov-Smirnov distance; null for categories")
    p_value: Share | None = Field(description="by permutation of scans: of ks, for categories of psi")
    p_adjusted: Share | None = Field(description="after Benjamini-Hochberg over all compared features")
    bins: tuple[ChartBin, ...] = Field(description="shares for a chart; not the bins of psi")


class DriftDocument(_Record):
    """A comparison of two cohorts."""

    schema_version: Literal["1.0"] = "1.0"
    verdict: Verdict
    limit_psi: float = Field(gt=0)
    limit_p: float = Field(gt=0, lt=1)
    correction: Literal["benjamini-hochberg"] = "benjamini-hochberg"
    permutations: Count
    seed: Count
    reference: CohortRecord
    current: CohortRecord
    features: tuple[FeatureRecord, ...]

    @property
    def exit_code(self) -> int:
        """3 beyond the limits, else 0."""
        return EXIT_DRIFT if self.verdict == "drift" else 0
