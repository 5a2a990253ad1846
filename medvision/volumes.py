"""A decoded CT Series: the Volume, and what must travel with it to the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from medvision.geometry import Affine

if TYPE_CHECKING:
    import highdicom as hd  # half a second to import: only who makes a Volume pays

Verdict = Literal["ok", "warn", "reject"]


@dataclass(frozen=True, slots=True)
class QualityCheck:
    """One thing looked at, in words a radiographer understands.

    Attributes:
        name: such as "slice spacing".
        verdict: ok, warn or reject.
        value: what was found, with its unit.
        limit: what was expected.
        message: one sentence; empty when ok.
    """

    name: str
    verdict: Verdict
    value: str
    limit: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class SliceReference:
    """Where one slice of a Volume came from.

    Attributes:
        sop_instance_uid: SOP Instance UID (0008,0018).
        instance_number: Instance Number (0020,0013), which viewers show; of a multi-frame image the number of
            the frame; None where absent.
        coincides: whether the slice is that image, pixel by pixel; False where it was resampled (tilted
            gantry, uneven steps, a missing slice): the image is only the nearest one; and where that is not
            known.
    """

    sop_instance_uid: str
    instance_number: int | None
    coincides: bool = True


@dataclass(frozen=True, slots=True)
class Scan:
    """One CT Series on a regular orthogonal grid.

    Attributes:
        name: key of this volume: the Series Instance UID, with `_2`, `_3` … for further stacks of a Series.
        series_instance_uid: Series Instance UID (0020,000E).
        study_instance_uid: Study Instance UID (0020,000D).
        patient_id: Patient ID (0010,0020); empty where absent. Never printed, logged or reported as it is.
        volume: int16 HU in slice, row, column order; affine to LPS mm; slices ordered along the normal of the
            image plane (row direction × column direction), for an axial scan from feet to head.
        slices: one reference a slice, in the Volume's order.
        attributes: DICOM keyword → value, for the attributes reports and training ranges need (Manufacturer,
            ConvolutionKernel, SliceThickness, KVP, PatientSex, PatientAge, StudyDate, …).
        checks: what was looked at and found.
        input_sha256: hash of the input files' content, independent of their order, names and folders.
    """

    name: str
    series_instance_uid: str
    study_instance_uid: str
    patient_id: str
    volume: hd.Volume
    slices: tuple[SliceReference, ...]
    attributes: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[QualityCheck, ...] = ()
    input_sha256: str = ""

    @property
    def verdict(self) -> Verdict:
        """The worst of all checks."""
        verdicts = {check.verdict for check in self.checks}
        return "reject" if "reject" in verdicts else "warn" if "warn" in verdicts else "ok"


@dataclass(frozen=True, slots=True)
class LungMask:
    """Where the lungs are, on a coarse grid of its own.

    Attributes:
        labels: uint8, slice, row, column order: 0 outside, 1 right lung, 2 left lung.
        affine: index to LPS mm.
        found: False where no lung was found; `labels` then covers the whole body with 1.
        doubt: why no lung was found; empty where one was.
        absent: nothing like a lung is there, so that there is nothing to search.
    """

    labels: NDArray[np.uint8]
    affine: Affine
    found: bool
    doubt: str = ""
    absent: bool = False


@dataclass(frozen=True, slots=True)
class HeatMap:
    """The detector's probability of a nodule's centre at each point of a coarse grid.

    Attributes:
        probability: float32 in [0, 1], slice, row, column order.
        affine: index to LPS mm.
    """

    probability: NDArray[np.float32]
    affine: Affine


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where a classifier found its evidence that a candidate is a nodule.

    Attributes:
        evidence: float32 (3, rows, columns): axial, coronal, sagittal plane through the candidate, hung as
            key images are; positive speaks for a nodule.
        side_mm: width and height of each plane.
    """

    evidence: NDArray[np.float32]
    side_mm: float
