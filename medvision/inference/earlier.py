"""The earlier examination of a scan's patient: where it lies, and what it says, in the report."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medvision.dicom.index import HeaderIndex
from medvision.dicom.stored import is_store
from medvision.errors import DataError
from medvision.findings import Candidate, Measurement, Point
from medvision.inference.origins import recall_origins
from medvision.priors.compare import Exam, Followed, Vanished, compare
from medvision.priors.find import Prior, Priors, open_priors, study_date
from medvision.reporting.prior_records import EARLIER_CHECK, FindingPriorRecord, PriorRecord, VanishedRecord
from medvision.reporting.report import CheckRecord, Report
from medvision.volumes import Scan

if TYPE_CHECKING:
    from medvision.inference.detectors import Detector

logger = logging.getLogger(__name__)

RUN = "run.json"


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier examination that is read, or why there is none.

    Attributes:
        scan: its voxels; None where there is none.
        days: between both.
        date: ISO date; None where there is none.
        words: why there is none; empty otherwise.
    """

    scan: Scan | None = None
    days: int | None = None
    date: str | None = None
    words: str = ""


def find_priors(places: Sequence[Path], *, min_slices: int, index: HeaderIndex) -> Priors:
    """Earlier examinations in DICOM files, in a STORE, or behind the OUT folder of an earlier run.

    Raises:
        DicomError: a STORE is damaged.
    """
    behind: list[Path] = []
    for place in places:
        if is_store(place) or not (place / RUN).is_file():
            behind.append(place)
            continue
        known = recall_origins(place)
        if known is None:
            words = f"no earlier examination: it is not remembered where the scans of {place} lie; give them"
            return Priors(words=words)
        behind += known.sources
    priors = open_priors(behind, min_slices=min_slices, index=index)
    if priors.unusable:
        logger.info(
            "%d series given as earlier examinations cannot be used: rejected, or without Patient ID "
            "or Study Date",
            priors.unusable,
        )
    if priors.words:
        logger.warning("%s", priors.words)
    return priors


def read_earlier(prior: Prior) -> Earlier:
    """Decode it; one that cannot be read is no failure of the current scan."""
    if prior.source is None:
        return Earlier(words=prior.words)
    try:
        scan = prior.source.load()
    except DataError as error:
        return Earlier(words=f"the earlier examination cannot be read: {error}")
    day = study_date(prior.source)
    return Earlier(scan, prior.days, day.isoformat() if day else None)


def keeps_earlier(report: Report, prior: Prior | None) -> bool:
    """Whether a finished report speaks of that earlier examination, or says why there is none."""
    said = [check.message for check in report.quality.checks if check.name == EARLIER_CHECK]
    if prior is None:
        return report.prior is None and not said
    if prior.source is None:
        return report.prior is None and said == [prior.words]
    return report.prior is not None and (
        report.prior.series_instance_uid == prior.source.row.series_instance_uid
        and report.prior.input_sha256 == prior.source.hash_input()
    )


def without_earlier(report: Report) -> Report:
    """The report as it would be without an earlier examination, guidelines aside."""
    checks = tuple(check for check in report.quality.checks if check.name != EARLIER_CHECK)
    return report.model_copy(
        update={
            "prior": None,
            "findings": tuple(finding.model_copy(update={"prior": None}) for finding in report.findings),
            "quality": report.quality.model_copy(update={"checks": checks}),
        }
    )


def with_earlier(
    report: Report,
    current: Exam,
    findings: Sequence[tuple[Candidate, Measurement]],
    earlier: Earlier,
    predictor: Detector,
) -> Report:
    """The report with what the earlier examination says.

    Args:
        report: of the current scan.
        current: the scan, as examined.
        findings: in the report's order.
        earlier: what to compare with.
        predictor: looks at the earlier scan as it has at the current one.
    """
    if earlier.scan is None:
        return _with_check(report, "none", earlier.words)
    detection = predictor.predict(earlier.scan)
    prior = Exam(earlier.scan, detection.lungs, detection.candidates, current.threshold)
    compared = compare(current, findings, prior, earlier.days)
    if not compared.alignment.found:
        report = _with_check(report, "not comparable", compared.alignment.words)
    records = [_followed(one) for one in compared.followed]
    updated = tuple(
        finding.model_copy(update={"prior": record})
        for finding, record in zip(report.findings, records, strict=False)
    )
    return report.model_copy(
        update={
            "findings": updated or report.findings,
            "prior": PriorRecord(
                series_instance_uid=earlier.scan.series_instance_uid,
                study_date=earlier.date,
                days_between=earlier.days,
                registration=compared.alignment.words,
                input_sha256=earlier.scan.input_sha256,
                vanished=tuple(_vanished(one) for one in compared.vanished),
            ),
        }
    )


def _with_check(report: Report, value: str, words: str) -> Report:
    """No fault of the scan, so that its verdict stays."""
    check = CheckRecord(
        name=EARLIER_CHECK, verdict="ok", value=value, limit="one of the same patient", message=words
    )
    quality = report.quality.model_copy(update={"checks": (*report.quality.checks, check)})
    return report.model_copy(update={"quality": quality})


def _followed(one: Followed) -> FindingPriorRecord:
    growth, then = one.growth, one.then
    return FindingPriorRecord(
        status=growth.status,
        volume_mm3=then.volume_mm3 if then else None,
        mean_diameter_mm=then.mean_diameter_mm if then else None,
        center_lps_mm=_rounded(one.place_mm) if one.place_mm else None,
        growth_percent=growth.percent,
        growth_lower_percent=growth.lower_percent,
        growth_upper_percent=growth.upper_percent,
        doubling_time_days=growth.doubling_days,
        doubling_time_lower_days=growth.doubling_lower_days,
        doubling_time_upper_days=growth.doubling_upper_days,
    )


def _vanished(one: Vanished) -> VanishedRecord:
    return VanishedRecord(
        center_lps_mm=_rounded(one.place_mm),
        volume_mm3=one.then.volume_mm3,
        mean_diameter_mm=one.then.mean_diameter_mm,
        words=one.words,
    )


def _rounded(place_mm: Point) -> Point:
    x, y, z = (round(value, 2) for value in place_mm)
    return x, y, z
