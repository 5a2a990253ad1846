"""The report of one Series: the model behind `report.json`. Everything else is rendered from it.

It holds no time of day and nothing of the machine's state, so that the same input gives the same bytes.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from medvision.findings import Attachment, Calcification, Density, Lobe, Side
from medvision.reporting.context_records import (
    CancerRiskRecord,
    CategoryRecord,
    GuidelineRecord,
    PatientRecord,
)
from medvision.reporting.prior_records import FindingPriorRecord, PriorRecord
from medvision.reporting.record import Probability, Record
from medvision.volumes import Verdict

SCHEMA_VERSION: Literal["1.0"] = "1.0"

Millimetres = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Coordinate = Annotated[float, Field(allow_inf_nan=False)]
CubicMillimetres = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Sha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$", description="SHA-256, empty where unknown")]


class SeriesRecord(Record):
    """What was scanned, without anything that names the patient."""

    name: str = Field(description="Key of this volume: Series Instance UID, _2, _3 … for further stacks")
    series_instance_uid: str = Field(description="(0020,000E)")
    study_instance_uid: str = Field(description="(0020,000D)")
    patient_reference: str = Field(description="Pseudonym: neither Patient ID nor anything read from it")
    study_date: str | None = Field(description="(0008,0020), as YYYY-MM-DD")
    patient_sex: str | None = Field(description="(0010,0040)")
    patient_age: str | None = Field(description="(0010,1010), as written, such as 061Y")
    manufacturer: str | None = Field(description="(0008,0070)")
    manufacturer_model_name: str | None = Field(description="(0008,1090)")
    convolution_kernel: str | None = Field(description="(0018,1210)")
    kvp: float | None = Field(description="(0018,0060) in kV")
    slice_thickness_mm: float | None = Field(description="(0018,0050): not the spacing")
    spacing_mm: tuple[Millimetres, Millimetres, Millimetres] = Field(description="slice, row, column")
    shape: tuple[int, int, int] = Field(description="slices, rows, columns")


class CheckRecord(Record):
    """One thing looked at."""

    name: str
    verdict: Verdict
    value: str
    limit: str
    message: str = ""


class QualityRecord(Record):
    """Whether the scan is fit for this."""

    verdict: Verdict = Field(description="the worst of all checks")
    checks: tuple[CheckRecord, ...]


class ModelRecord(Record):
    """Which model looked at it."""

    name: str
    version: str
    sha256: Sha256


class TrainingOverlap(Record):
    """One way in which a model knows a scan that it judges."""

    part: Literal["training", "validation"] = Field(
        description="learnt from, or chose checkpoints, operating points and calibration"
    )
    kind: Literal["series", "patient", "near_duplicate"] = Field(
        description="this Series, another of this patient, or the same pixels under other identifiers"
    )


class JudgingModel(ModelRecord):
    """Which model looked at it, and whether it had seen it before."""

    training_overlap: tuple[TrainingOverlap, ...] | None = Field(
        default=None, description="empty: a scan that it does not know; null: not to be told"
    )


class OperatingPoint(Record):
    """Above which probability a candidate is reported, and what that means."""

    threshold: Probability
    fp_per_scan: float | None = Field(default=None, ge=0, description="expected false positives a scan")
    sensitivity: Probability | None = Field(default=None, description="expected at this threshold")
    sensitivity_lower: Probability | None = Field(default=None, description="lower 95 % limit (Wilson)")
    sensitivity_upper: Probability | None = Field(default=None, description="upper 95 % limit (Wilson)")
    words: str = Field(default="", description="on what this expectation rests")


class FindingRecord(Record):
    """One finding, ranked by probability."""

    finding_id: str = Field(description="F1, F2, … within this report", pattern=r"^F[1-9][0-9]*$")
    center_lps_mm: tuple[Coordinate, Coordinate, Coordinate] = Field(
        description="x, y, z: centroid of the measured nodule, the detector's mark where it is not reliable"
    )
    probability: Probability = Field(description="that it is a nodule")
    proposal_probability: Probability = Field(description="what the first stage alone said")
    malignancy_probability: Probability | None = Field(description="a model's estimate, given a nodule")
    long_axis_mm: Millimetres
    short_axis_mm: Millimetres
    mean_diameter_mm: Millimetres
    volume_mm3: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    density: Density
    mean_hu: Coordinate
    sop_instance_uid: str = Field(description="(0008,0018) of the slice through the centre")
    slice_number: int | None = Field(description="Instance Number (0020,0013) of that slice")
    index_vox: tuple[int, int, int] = Field(description="slice, row, column of the centre, from 0")
    location: str = Field(description="side and zone; a zone is a third of the lung's height, no lobe")
    distance_to_pleura_mm: Millimetres | None
    reliable: bool = Field(description="False where the measurement is not to be trusted")
    remark: str = Field(description="why not; empty otherwise")
    effective_diameter_mm: Millimetres | None = Field(
        default=None, description="of the sphere of the same volume"
    )
    median_hu: Coordinate | None = None
    p10_hu: Coordinate | None = Field(default=None, description="10th percentile inside")
    p90_hu: Coordinate | None = Field(default=None, description="90th percentile inside")
    std_hu: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(
        default=None, description="standard deviation inside"
    )
    solid_core_long_axis_mm: Millimetres | None = Field(
        default=None, description="of the solid part; null unless part-solid"
    )
    solid_core_short_axis_mm: Millimetres | None = None
    solid_core_mean_diameter_mm: Millimetres | None = None
    solid_core_volume_mm3: CubicMillimetres | None = None
    volume_lower_mm3: CubicMillimetres | None = Field(
        default=None, description="lower 95 % limit of the volume, by the measurement's own error"
    )
    volume_upper_mm3: CubicMillimetres | None = Field(default=None, description="upper 95 % limit")
    calcification: Calcification | None = Field(default=None, description="pattern of the calcium")
    spiculation: Probability | None = Field(
        default=None, description="share of the border that stands out as thin spikes"
    )
    lobulation: Probability | None = Field(
        default=None, description="share of the convex hull left empty once spikes are cut"
    )
    attachment: Attachment | None = Field(default=None, description="what it touches")
    side: Side | None = Field(default=None, description="of the lung")
    lobe: Lobe | None = Field(
        default=None, description="an estimate from place and shape of the lung, without fissures"
    )
    tracking_id: str = Field(default="", description="(0062,0020): the same at each run over this scan")
    tracking_uid: str = Field(default="", description="(0062,0021): the same at each run over this scan")
    categories: tuple[CategoryRecord, ...] = Field(default=(), description="by each guideline that may apply")
    cancer_risk: CancerRiskRecord | None = Field(
        default=None, description="by the Brock model; null where it does not speak of such a finding"
    )
    prior: FindingPriorRecord | None = Field(
        default=None, description="what an earlier examination says; null without one"
    )
    probability_mean: Probability | None = Field(
        default=None, description="over the scan and its mirror images; null where not asked for"
    )
    probability_std: Probability | None = Field(default=None, description="their standard deviation")


class ExplanationRecord(Record):
    """How the pictures of where the classifier found its evidence are made."""

    method: Literal["class_activation"] = Field(description="exact account of the logit by place")
    output: Literal["nodule"] = Field(description="what the evidence speaks for")
    reference: str = Field(description="where the method is published")


class UncertaintyRecord(Record):
    """How the spread of the findings' probabilities was found."""

    method: Literal["mirror_images"] = Field(description="the scan mirrored along each axis")
    looks: int = Field(ge=2, description="at each finding, the scan as it is among them")
    reference: str = Field(description="where the method is published")


class Lineage(Record):
    """What the result came from; enough to run it again."""

    input_sha256: Sha256
    config_sha256: Sha256
    versions: dict[str, str] = Field(default_factory=dict, description="package to version")
    runs: dict[str, str] = Field(default_factory=dict, description="MLflow run IDs by task")
    device: str = ""
    hardware: str = Field(
        default="", description="what arithmetic depends on: processor, number format, threads"
    )


class Report(Record):
    """The one result of a Series."""

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    series: SeriesRecord
    quality: QualityRecord
    model: JudgingModel
    operating_point: OperatingPoint
    findings: tuple[FindingRecord, ...]
    explanation: ExplanationRecord | None = Field(
        default=None, description="of the pictures in report.html; null where none are drawn"
    )
    lineage: Lineage
    guidelines: tuple[GuidelineRecord, ...] = Field(
        default=(), description="what each guideline suggests for the examination"
    )
    patient: PatientRecord | None = Field(
        default=None, description="what guidelines ask of the patient and is known"
    )
    prior: PriorRecord | None = Field(
        default=None, description="the earlier examination; null where none was compared"
    )
    uncertainty: UncertaintyRecord | None = Field(
        default=None, description="of the findings' probabilities; null where not asked for"
    )

    def to_json(self) -> str:
        """The text of `report.json`: the same report gives the same bytes."""
        return self.model_dump_json(indent=2) + "\n"
