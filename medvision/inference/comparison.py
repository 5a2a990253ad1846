"""Two reports of one scan, part by part: the same, within what other hardware may change, or different."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from medvision.reporting.report import FindingRecord, Report

TRAINING_CHECK = "training data"
"""Name of the quality check that says how the model knows a scan."""
SAME_PLACE_MM = 3.0
"""Findings this near are the same one."""
ABSOLUTE: Mapping[str, float] = {
    "center_lps_mm": 1.0,
    "probability": 0.02,
    "proposal_probability": 0.02,
    "malignancy_probability": 0.02,
    "probability_mean": 0.02,
    "probability_std": 0.02,
    "long_axis_mm": 0.5,
    "short_axis_mm": 0.5,
    "mean_diameter_mm": 0.5,
}
"""How far a figure may be off on other hardware, in its own unit; the others of a finding follow."""
RELATIVE: Mapping[str, float] = {"volume_mm3": 0.05}
"""The same as a share of the recorded figure."""
FOLLOWING = ("series", "operating_point")
"""Parts that do not depend on arithmetic."""
UNREPLAYED = "series.patient_reference"
"""Depends on a secret key and is not replayed."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as recorded.

    Attributes:
        what: where in the report.
        recorded: what stands there.
        replayed: what came out now.
        tolerated: whether other hardware or versions explain it.
    """

    what: str
    recorded: str
    replayed: str
    tolerated: bool = False


def compare_reports(recorded: Report, replayed: Report, *, exact: bool) -> list[Difference]:
    """Everything that differs, the most telling first.

    Args:
        recorded: as found.
        replayed: as made now from the same input, model and settings.
        exact: the same hardware and versions, so that nothing is tolerated.
    """
    differences = [*_inputs(recorded, replayed), *_conditions(recorded, replayed)]
    for part in FOLLOWING:
        differences += _fields(part, getattr(recorded, part), getattr(replayed, part))
    differences += _quality(recorded, replayed)
    differences += _findings(recorded, replayed, exact=exact)
    if exact:
        differences += _fields("guidelines", recorded.guidelines, replayed.guidelines)
        differences += _fields("patient", recorded.patient, replayed.patient)
    return differences


def same_conditions(recorded: Report, replayed: Report) -> bool:
    """Whether hardware and versions are those of the record, so that every bit must be the same."""
    one, other = recorded.lineage, replayed.lineage
    return (one.hardware, one.versions) == (other.hardware, other.versions) and bool(one.hardware)


def _inputs(recorded: Report, replayed: Report) -> Iterator[Difference]:
    """Another scan or another model."""
    pairs = {
        "input": (recorded.lineage.input_sha256, replayed.lineage.input_sha256),
        "model": (recorded.model.sha256, replayed.model.sha256),
        "model.name": (recorded.model.name, replayed.model.name),
        "model.version": (recorded.model.version, replayed.model.version),
    }
    return (Difference(what, *pair) for what, pair in pairs.items() if pair[0] != pair[1])


def _conditions(recorded: Report, replayed: Report) -> Iterator[Difference]:
    """Other hardware or versions: no difference in itself, but a reason for some."""
    one, other = recorded.lineage, replayed.lineage
    pairs = {
        "hardware": (one.hardware or "not recorded", other.hardware),
        "device": (one.device or "not recorded", other.device),
    }
    for package in sorted(one.versions.keys() | other.versions.keys()):
        versions = (one.versions.get(package, "absent"), other.versions.get(package, "absent"))
        pairs[f"version of {package}"] = versions
    return (Difference(what, *pair, tolerated=True) for what, pair in pairs.items() if pair[0] != pair[1])


def _fields(name: str, recorded: Any, replayed: Any) -> Iterator[Difference]:  # noqa: ANN401  parts of a report
    for path, one, other in _leaves(name, _plain(recorded), _plain(replayed)):
        if path != UNREPLAYED:
            yield Difference(path, one, other)


def _quality(recorded: Report, replayed: Report) -> Iterator[Difference]:
    """Whether the model has seen the scan cannot be told without the key of its training: left out then."""
    if replayed.model.training_overlap is not None or recorded.model.training_overlap is None:
        yield from _fields("quality", recorded.quality, replayed.quality)
        return
    one, other = (
        [check for check in report.quality.checks if check.name != TRAINING_CHECK]
        for report in (recorded, replayed)
    )
    yield from _fields("quality.checks", one, other)


def _plain(value: Any) -> Any:  # noqa: ANN401  parts of a report
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def _leaves(path: str, one: Any, other: Any) -> Iterator[tuple[str, str, str]]:  # noqa: ANN401  JSON
    """Paths at which two JSON values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            yield from _leaves(f"{path}.{key}", one.get(key), other.get(key))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _leaves(f"{path}[{number}]", left, right)
    elif one != other:
        yield path, str(one), str(other)


def _findings(recorded: Report, replayed: Report, *, exact: bool) -> Iterator[Difference]:
    here, there = recorded.findings, replayed.findings
    pairs = _pairs(here, there)

    def at_the_threshold(finding: FindingRecord) -> bool:
        distance = abs(finding.probability - recorded.operating_point.threshold)
        return not exact and distance <= ABSOLUTE["probability"]

    for i, finding in enumerate(here):
        if i not in pairs:
            what = f"finding {finding.finding_id}"
            yield Difference(what, _where(finding), "not found", tolerated=at_the_threshold(finding))
    for j, finding in enumerate(there):
        if j not in pairs.values():
            found = _where(finding)
            yield Difference("a further finding", "absent", found, tolerated=at_the_threshold(finding))
    for i, j in pairs.items():
        yield from _one_finding(here[i], there[j], exact=exact)


def _pairs(recorded: Sequence[FindingRecord], replayed: Sequence[FindingRecord]) -> dict[int, int]:
    """One-to-one by the least total distance, none further than `SAME_PLACE_MM`."""
    if not recorded or not replayed:
        return {}
    here, there = (np.array([f.center_lps_mm for f in findings]) for findings in (recorded, replayed))
    distance = np.linalg.norm(here[:, None] - there[None], axis=-1)
    rows, columns = linear_sum_assignment(np.minimum(distance, 1e3 * SAME_PLACE_MM))
    return {int(i): int(j) for i, j in zip(rows, columns, strict=True) if distance[i, j] <= SAME_PLACE_MM}


def _where(finding: FindingRecord) -> str:
    x, y, z = finding.center_lps_mm
    return f"probability {finding.probability} at {x}, {y}, {z} mm"


def _one_finding(recorded: FindingRecord, replayed: FindingRecord, *, exact: bool) -> Iterator[Difference]:
    for path, one, other in _leaves(recorded.finding_id, _plain(recorded), _plain(replayed)):
        name = path.split(".")[1].partition("[")[0]
        if exact:
            yield Difference(path, one, other)
        elif name in ABSOLUTE or name in RELATIVE:
            yield Difference(path, one, other, tolerated=_is_near(name, one, other))


def _is_near(name: str, one: str, other: str) -> bool:
    """Whether two figures are within the tolerance of their kind."""
    if "None" in (one, other):
        return False
    limit = ABSOLUTE[name] if name in ABSOLUTE else RELATIVE[name] * abs(float(one))
    return abs(float(one) - float(other)) <= limit
