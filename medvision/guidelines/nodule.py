"""What a guideline asks of a nodule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from medvision.findings import Attachment, Calcification, Density, Lobe
from medvision.guidelines.tables import TableDensity, brock_table

GrowthStatus = Literal["new", "growing", "stable", "shrinking", "unclear"]


@dataclass(frozen=True, slots=True)
class Prior:
    """What an earlier examination says of the same place.

    Attributes:
        status: new, or how its volume has changed, beyond measurement error.
        mean_diameter_mm: of the nodule then; None where it is new or was not measured.
        days: between the examinations; None where not known.
    """

    status: GrowthStatus
    mean_diameter_mm: float | None = None
    days: int | None = None


@dataclass(frozen=True, slots=True)
class Nodule:
    """A measured nodule; what is None is not known.

    Attributes:
        finding_id: F1, F2, …
        density: density type.
        long_axis_mm: longest axial diameter.
        mean_diameter_mm: mean of long and short axis, to 0.1 mm.
        volume_mm3: volume.
        volume_lower_mm3: lower 95 % limit of the volume.
        volume_upper_mm3: upper 95 % limit.
        core_mean_diameter_mm: mean diameter of the solid component of a part-solid nodule.
        reliable: False where the measurement is not to be trusted.
        calcification: pattern of calcium.
        attachment: what it touches.
        spiculation: share of the border that stands out as spikes.
        lobe: of the lung.
        prior: from a comparison with an earlier examination; None where there was none.
    """

    finding_id: str
    density: Density
    long_axis_mm: float
    mean_diameter_mm: float
    volume_mm3: float
    volume_lower_mm3: float | None = None
    volume_upper_mm3: float | None = None
    core_mean_diameter_mm: float | None = None
    reliable: bool = True
    calcification: Calcification | None = None
    attachment: Attachment | None = None
    spiculation: float | None = None
    lobe: Lobe | None = None
    prior: Prior | None = None

    @property
    def diameter_limits_mm(self) -> tuple[float, float]:
        """Mean diameters at the volume's 95 % limits, the shape kept; without limits the measured one."""
        if self.volume_lower_mm3 is None or self.volume_upper_mm3 is None or self.volume_mm3 <= 0:
            return self.mean_diameter_mm, self.mean_diameter_mm
        lower, upper = (
            self.mean_diameter_mm * (limit / self.volume_mm3) ** (1 / 3)
            for limit in (self.volume_lower_mm3, self.volume_upper_mm3)
        )
        return lower, upper

    @property
    def table_density(self) -> TableDensity:
        """Density as the tables know it: calcium that is not benign by its pattern counts as solid."""
        return "solid" if self.density == "calcified" else self.density

    @property
    def spiculated(self) -> bool | None:
        """True where spikes were seen; None otherwise, because spikes thinner than the blur are not seen."""
        seen = self.spiculation is not None and self.spiculation >= brock_table().spiculated_from
        return True if seen else None

    @property
    def upper_lobe(self) -> bool | None:
        """Whether it lies in an upper lobe of either side; None where the lobe is not known."""
        return None if self.lobe is None else self.lobe in ("right_upper", "left_upper")
