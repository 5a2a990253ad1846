"""What a deployment can be given beside its paths; Prefect's pages make forms of these models."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from medvision.config.base import Settings

WhenSomeFail = Literal["fail", "complete"]
"""What a flow run is where some series failed and others did not: Failed, or Completed `WithFailures`."""

Format = Literal["json", "csv", "html", "seg", "labelmap", "sr", "sc", "kos"]


class InferSettings(Settings):
    """As the options of `medvision infer`."""

    formats: tuple[Format, ...] = ("json", "csv", "html")
    """What to write for each series."""

    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """Where the networks run: auto, cpu, cuda or cuda:N."""

    fp_per_scan: float | None = Field(default=None, gt=0)
    """Report as many marks as give so many false positives a scan; the model's own when empty."""

    threshold: float | None = Field(default=None, ge=0, le=1)
    """Report findings from this probability on."""

    min_slices: int = Field(default=20, ge=1)
    """Fewer are no CT volume."""

    series: tuple[str, ...] = ()
    """Series Instance UIDs to analyse; the best of each study when empty."""

    all_series: bool = False
    """Analyse every usable series of a study."""

    patient_data: Path | None = None
    """Table of what guidelines ask of patients."""

    language: Literal["en", "de", "es", "zh"] = "en"
    """Of the pages."""

    priors: tuple[Path, ...] = ()
    """Where earlier examinations of the same patients lie."""

    sign: Path | None = None
    """File with the private key to sign each report with; the key itself is never a parameter."""

    runner: str = Field(default="local", pattern=r"^(local|dask|(dask|tcp|tls)://.+)$")
    """Who does the work: local (each series is a task), dask, or a Dask scheduler's address."""

    resume: bool = True
    """Keep what an earlier run has finished."""

    @model_validator(mode="after")
    def _one_of_a_kind(self) -> Self:
        if self.fp_per_scan is not None and self.threshold is not None:
            raise ValueError("fp_per_scan and threshold exclude each other; give one")
        if self.series and self.all_series:
            raise ValueError("series and all_series exclude each other; give one")
        return self


class GateMargins(Settings):
    """How much worse a challenger may be than the champion, at the bad end of the 95 % interval."""

    sensitivity: float = Field(default=0.05, ge=0)
    """At the operating point."""

    false_positives: float = Field(default=0.25, ge=0)
    """A scan, at the operating point."""

    calibration: float = Field(default=0.05, ge=0)
    """Expected calibration error."""

    time: float = Field(default=0.25, ge=0)
    """Of the seconds a scan, as a fraction."""
