"""What an SR says of one finding in numbers (TID 300) and in coded words (TID 1411)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from highdicom.sr import FindingSite, Measurement
from highdicom.sr import QualitativeEvaluation as Evaluation
from pydicom.sr.coding import Code

from medvision.reporting.context_records import CategoryRecord
from medvision.reporting.dicom_results import codes
from medvision.reporting.dicom_results.equipment import plain
from medvision.reporting.report import FindingRecord

CODE_VALUE = 16
"""Characters of a Code Value (VR SH)."""


def measurements_of(finding: FindingRecord) -> list[Measurement]:
    """Sizes, attenuation, probabilities; sizes that are not to be trusted are qualified as indeterminate."""
    return [
        *_sizes(finding),
        *_attenuation(finding),
        *_shape(finding),
        *_growth(finding),
        *_probabilities(finding),
    ]


def _sizes(finding: FindingRecord) -> Iterator[Measurement]:
    qualifier = None if finding.reliable else codes.INDETERMINATE
    sizes: list[tuple[Code, float | None, Code, Code | None]] = [
        (codes.VOLUME, finding.volume_mm3, codes.MM3, None),
        (codes.VOLUME_LOWER, finding.volume_lower_mm3, codes.MM3, None),
        (codes.VOLUME_UPPER, finding.volume_upper_mm3, codes.MM3, None),
        (codes.LONG_AXIS, finding.long_axis_mm, codes.MM, None),
        (codes.SHORT_AXIS, finding.short_axis_mm, codes.MM, None),
        (codes.DIAMETER, finding.mean_diameter_mm, codes.MM, codes.MEAN),
        (codes.EFFECTIVE_DIAMETER, finding.effective_diameter_mm, codes.MM, None),
        (codes.SOLID_DIAMETER, finding.solid_core_mean_diameter_mm, codes.MM, None),
        (codes.SOLID_VOLUME, finding.solid_core_volume_mm3, codes.MM3, None),
    ]
    for name, value, unit, derivation in sizes:
        if value is not None:
            yield Measurement(name, value, unit, qualifier=qualifier, derivation=derivation)


def _attenuation(finding: FindingRecord) -> Iterator[Measurement]:
    statistics: list[tuple[Code, float | None]] = [
        (codes.MEAN, finding.mean_hu),
        (codes.MEDIAN, finding.median_hu),
        (codes.DEVIATION, finding.std_hu),
    ]
    for derivation, value in statistics:
        if value is not None:
            yield Measurement(codes.ATTENUATION, value, codes.HU, derivation=derivation)


def _shape(finding: FindingRecord) -> Iterator[Measurement]:
    shape: list[tuple[Code, float | None, Code]] = [
        (codes.SPICULATION, finding.spiculation, codes.NO_UNITS),
        (codes.LOBULATION, finding.lobulation, codes.NO_UNITS),
        (codes.TO_PLEURA, finding.distance_to_pleura_mm, codes.MM),
    ]
    for name, value, unit in shape:
        if value is not None:
            yield Measurement(name, value, unit)


def _growth(finding: FindingRecord) -> Iterator[Measurement]:
    if finding.prior is None:
        return
    growth: list[tuple[Code, float | None, Code]] = [
        (codes.GROWTH, finding.prior.growth_percent, codes.PERCENT),
        (codes.GROWTH_LOWER, finding.prior.growth_lower_percent, codes.PERCENT),
        (codes.GROWTH_UPPER, finding.prior.growth_upper_percent, codes.PERCENT),
        (codes.DOUBLING_TIME, finding.prior.doubling_time_days, codes.DAYS),
    ]
    for name, value, unit in growth:
        if value is not None:
            yield Measurement(name, value, unit)


def _probabilities(finding: FindingRecord) -> Iterator[Measurement]:
    yield Measurement(codes.CERTAINTY, round(100 * finding.probability, 2), codes.PERCENT)
    if finding.malignancy_probability is not None:
        yield Measurement(codes.CANCER, round(100 * finding.malignancy_probability, 2), codes.PERCENT)


def evaluations_of(finding: FindingRecord) -> list[Evaluation]:
    """Density, calcification, attachment, course, categories, and whether the sizes are to be trusted."""
    found = [
        Evaluation(codes.TEXTURE, codes.DENSITIES[finding.density]),
        Evaluation(codes.RELIABILITY, codes.RELIABLE if finding.reliable else codes.UNRELIABLE),
    ]
    if finding.calcification is not None:
        found.append(Evaluation(codes.CALCIFICATION, codes.CALCIFICATIONS[finding.calcification]))
    if finding.attachment is not None:
        found.append(Evaluation(codes.ATTACHMENT, codes.ATTACHMENTS[finding.attachment]))
    if finding.prior is not None:
        found.append(Evaluation(codes.COURSE, codes.COURSES[finding.prior.status]))
    return found + [_category(category) for category in finding.categories]


def _category(category: CategoryRecord) -> Evaluation:
    """What a guideline suggests: RadLex names Lung-RADS's question; the answer is edition and category."""
    edition = "".join(c for c in category.guideline if c.isupper() or c.isdigit())
    value = f"{edition}:{plain(category.category).replace(' to ', '-')}"
    if len(value) > CODE_VALUE:
        value = f"{edition}:{hashlib.sha256(value.encode()).hexdigest()}"[:CODE_VALUE]
    question = codes.LUNG_RADS if category.guideline.startswith("Lung-RADS") else codes.GUIDELINE
    return Evaluation(question, codes.own(value, plain(f"{category.guideline}: {category.category}")))


def site_of(finding: FindingRecord) -> FindingSite:
    """The lobe where it is known, else the lung, with its side."""
    place, side = codes.LUNG, finding.side
    if finding.lobe is not None:
        place, side = codes.LOBES[finding.lobe]
    return FindingSite(place, laterality=codes.SIDES[side] if side else None)
