"""An alarm for findings that should be looked at soon: JSON by POST, once for the same findings."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import requests

from medvision.config.network import AlarmConfig
from medvision.dicom.network.errands import Errands
from medvision.dicom.network.peers import PeerError
from medvision.dicom.network.web import CONNECT_SECONDS, read_token
from medvision.errors import ContractError
from medvision.reporting.build import read_report
from medvision.reporting.fhir import PatientIdentity, bundle, describe
from medvision.reporting.report import FindingRecord, Report
from medvision.service.records import Records

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 30.0

Urgent = list[tuple[Report, FindingRecord]]


class Alarm:
    """Rings for urgent findings of finished studies."""

    def __init__(
        self,
        config: AlarmConfig,
        results: Path,
        records: Records,
        identity: Callable[[str], PatientIdentity | None],
    ) -> None:
        """Nothing is to be told yet.

        Args:
            config: whom to tell, and what is urgent.
            results: a folder for each study.
            records: which alarms were taken.
            identity: gives the patient of a study; asked only where the configuration wants it.

        Raises:
            ConfigError: the token cannot be read.
        """
        self._config = config
        self._results = results
        self._records = records
        self._identity = identity if config.include_patient else (lambda _: None)
        self._token = read_token(config.token_file)
        self._errands = Errands("alarm", failures=(PeerError,))

    def add(self, study: str) -> None:
        """Look whether this study has urgent findings that were not told yet."""
        self._errands.add(study, partial(self.ring, study))

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop."""
        self._errands.run(stop)

    def ring(self, study: str) -> None:
        """Tell what is urgent, unless it was told.

        Raises:
            PeerError: nobody took it.
        """
        reports = read_reports(self._results / study)
        found = urgent(reports, self._config)
        alarm_id = _alarm_id(study, found)
        record = self._records.get(study)
        if not found or alarm_id in record.alarms:
            return
        document = alarm_document(alarm_id, reports, found, self._identity(study))
        self._post(document)
        self._records.update(study, alarms=(*record.alarms, alarm_id))
        logger.info("study %s: alarm for %d findings", study, len(found))

    def _post(self, document: dict[str, Any]) -> None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": document["alarm_id"]}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            answer = requests.post(
                self._config.url,
                data=json.dumps(document).encode(),
                headers=headers,
                timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
                allow_redirects=False,  # findings go to the address that was given, and nowhere else
                verify=str(self._config.authorities) if self._config.authorities else True,
            )
        except requests.RequestException as error:
            raise PeerError(f"it does not get through: {type(error).__name__}") from None
        if not 200 <= answer.status_code < 300:
            raise PeerError(f"it is not taken: HTTP status {answer.status_code}")


def read_reports(folder: Path) -> list[Report]:
    """The reports of an OUT folder; one that cannot be read is said and left out."""
    reports = []
    for path in sorted(folder.glob("*/report.json")):
        try:
            reports.append(read_report(path))
        except ContractError as error:
            logger.error("%s", error)  # noqa: TRY400  the message says it all
    return reports


def urgent(reports: Sequence[Report], config: AlarmConfig) -> Urgent:
    """Findings that should be looked at soon.

    By the guideline's category where the report gives one: of a range such as "3 to 4A" each category counts.
    Else by size.
    """
    return [
        (report, finding)
        for report in reports
        for finding in report.findings
        if (_by_category if finding.categories else _by_size)(finding, config)
    ]


def alarm_document(
    alarm_id: str, reports: Sequence[Report], found: Urgent, patient: PatientIdentity | None = None
) -> dict[str, Any]:
    """What is sent: the findings in plain JSON, and everything as a FHIR R4 Bundle."""
    return {
        "event": "urgent_findings",
        "alarm_id": alarm_id,
        "notice": "Proposed by software, not read by a radiologist; no diagnosis.",
        "study_instance_uid": found[0][0].series.study_instance_uid,
        "findings": [_finding(report, finding) for report, finding in found],
        "fhir": bundle(reports, patient),
    }


def _finding(report: Report, finding: FindingRecord) -> dict[str, Any]:
    return {
        "series_instance_uid": report.series.series_instance_uid,
        "sop_instance_uid": finding.sop_instance_uid,
        "finding_id": finding.finding_id,
        "center_lps_mm": list(finding.center_lps_mm),
        "mean_diameter_mm": finding.mean_diameter_mm,
        "volume_mm3": finding.volume_mm3,
        "probability": finding.probability,
        "malignancy_probability": finding.malignancy_probability,
        "categories": [category.model_dump(mode="json") for category in finding.categories],
        "words": describe(finding),
    }


def _by_category(finding: FindingRecord, config: AlarmConfig) -> bool:
    possible = {code for category in finding.categories for code in category.possible}
    return not possible.isdisjoint(config.categories)


def _by_size(finding: FindingRecord, config: AlarmConfig) -> bool:
    return finding.density != "calcified" and finding.mean_diameter_mm >= config.min_diameter_mm


def _alarm_id(study: str, found: Urgent) -> str:
    """The same as long as the same places are urgent, whatever else changes in a rerun."""
    places = [(report.series.name, [round(mm) for mm in finding.center_lps_mm]) for report, finding in found]
    return hashlib.sha256(json.dumps([study, sorted(places)]).encode()).hexdigest()[:32]
