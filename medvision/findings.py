"""The nouns of the pipeline, in the field's own words.

An *annotation* is a reader's mark (or the simulator's truth), a *candidate* is proposed by a detector,
a *finding* is a candidate that is reported, with its measurement. Positions are LPS millimetres
(DICOM Patient-Based Coordinate System, PS3.3 C.7.6.2.1.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Point = tuple[float, float, float]
"""x, y, z in LPS millimetres."""

UNKNOWN_DIAMETER_MM = 10.0
"""What LUNA16 takes for a lesion whose diameter is negative, that is, unknown."""

Density = Literal["solid", "part_solid", "ground_glass", "calcified"]
Calcification = Literal["none", "diffuse", "central", "laminated", "popcorn", "eccentric", "punctate"]
Attachment = Literal["none", "pleural", "vascular", "fissural"]
Side = Literal["right", "left"]
Lobe = Literal["right_upper", "right_middle", "right_lower", "left_upper", "left_lower"]


@dataclass(frozen=True, slots=True)
class Annotation:
    """A nodule as a reader marked it or the simulator made it.

    Attributes:
        series_instance_uid: Series Instance UID (0020,000E).
        center_lps_mm: centre in LPS millimetres.
        diameter_mm: equivalent diameter; negative means unknown, as in LUNA16.
        density: density type, where known.
        malignant: malignancy label, where known.
    """

    series_instance_uid: str
    center_lps_mm: Point
    diameter_mm: float
    density: Density | None = None
    malignant: bool | None = None

    @property
    def radius_mm(self) -> float:
        """Half the diameter; where that is unknown, of LUNA16's 10 mm."""
        return (UNKNOWN_DIAMETER_MM if self.diameter_mm < 0 else self.diameter_mm) / 2


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place a detector proposes.

    Attributes:
        center_lps_mm: centre in LPS millimetres.
        probability: that it is a nodule, after every stage, in [0, 1].
        proposal_probability: what the first stage alone said, in [0, 1].
        diameter_mm: the detector's own rough estimate of the size.
        malignancy_probability: that it is malignant given that it is a nodule, where estimated.
        probability_mean: mean of what the detector says of the scan and its mirror images, where asked for.
        probability_std: their standard deviation.
    """

    center_lps_mm: Point
    probability: float
    proposal_probability: float
    diameter_mm: float
    malignancy_probability: float | None = None
    probability_mean: float | None = None
    probability_std: float | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """Size, density, shape and place of one nodule, from its segmentation.

    What stands with a default is None where it cannot be told; docs/measurement.md defines each.

    Attributes:
        long_axis_mm: longest axial diameter.
        short_axis_mm: longest diameter perpendicular to it, same slice.
        mean_diameter_mm: mean of both, rounded to 0.1 mm.
        volume_mm3: sum of the voxels' shares.
        density: density type from the HU inside.
        mean_hu: mean HU inside.
        distance_to_pleura_mm: from the nodule's centre to the lung's outline; None where no lung was found.
        location: side and zone in words, such as "right upper zone".
        reliable: False where the segmentation touches its limit or is too small to trust.
        remark: why it is not reliable, in words; empty otherwise.
        centroid_lps_mm: centre of the segmentation, LPS mm.
        effective_diameter_mm: diameter of the sphere of the same volume.
        median_hu: median HU inside.
        p10_hu: 10th percentile of the HU inside.
        p90_hu: 90th percentile of the HU inside.
        std_hu: standard deviation of the HU inside.
        solid_core_long_axis_mm: long axis of the solid part of a part-solid nodule.
        solid_core_short_axis_mm: its short axis.
        solid_core_mean_diameter_mm: mean of both.
        solid_core_volume_mm3: its volume.
        volume_lower_mm3: lower 95 % limit of the volume, given the measurement.
        volume_upper_mm3: upper 95 % limit.
        calcification: pattern of the calcium.
        spiculation: share of the border that stands out as thin spikes, in [0, 1].
        lobulation: share of the convex hull that is not filled once spikes are cut, in [0, 1].
        attachment: what it touches.
        side: of the lung.
        lobe: an estimate from place and shape of the lung alone; fissures are not looked for.
    """

    long_axis_mm: float
    short_axis_mm: float
    mean_diameter_mm: float
    volume_mm3: float
    density: Density
    mean_hu: float
    distance_to_pleura_mm: float | None
    location: str
    reliable: bool
    remark: str
    centroid_lps_mm: Point | None = None
    effective_diameter_mm: float | None = None
    median_hu: float | None = None
    p10_hu: float | None = None
    p90_hu: float | None = None
    std_hu: float | None = None
    solid_core_long_axis_mm: float | None = None
    solid_core_short_axis_mm: float | None = None
    solid_core_mean_diameter_mm: float | None = None
    solid_core_volume_mm3: float | None = None
    volume_lower_mm3: float | None = None
    volume_upper_mm3: float | None = None
    calcification: Calcification | None = None
    spiculation: float | None = None
    lobulation: float | None = None
    attachment: Attachment | None = None
    side: Side | None = None
    lobe: Lobe | None = None
