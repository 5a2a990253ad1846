"""How the patients of a detection training are parted into those to learn from and those to validate on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from medvision.config.base import Settings

Stratum = Literal["nodules", "malignancy", "manufacturer", "cohort"]


class SplitConfig(Settings):
    """Always by patient, and always the same for the same seed."""

    stratify: tuple[Stratum, ...] = ()
    """What both parts shall have in equal shares: number of nodules, malignancy, manufacturer, cohort."""

    stable: bool = False
    """Decide each patient by its own hash: nobody changes sides when patients are added, but the share of the
    validation patients only comes near `validation_fraction`. Cannot be stratified."""

    reuse: Path | None = None
    """The `split.json` of an earlier training: its patients stay where they were, others are learnt from."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [name for name in ("stratify", "stable", "reuse") if getattr(self, name)]
        if len(ways) > 1:
            raise ValueError(f"{' and '.join(ways)} exclude each other; give one of them")
        return self
