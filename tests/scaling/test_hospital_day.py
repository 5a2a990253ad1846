"""The queue of `benchmarks hospital_day`, beside textbook recursions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.hospital_day import DAYS, Scan, arrivals, wait

SCANS = st.lists(
    st.tuples(st.floats(0.1, 100), st.floats(0.1, 100), st.booleans()), min_size=1, max_size=30
).map(
    lambda rows: [
        Scan(float(at), length, urgent)
        for at, (_, length, urgent) in zip(np.cumsum([row[0] for row in rows]), rows, strict=True)
    ]
)


@given(SCANS)
def test_one_worker_without_urgency_is_lindleys_recursion(scans):
    waited, expected = 0.0, []
    for scan, following in zip(scans, [*scans[1:], None], strict=True):
        expected.append(waited + scan.service)
        if following:
            waited = max(0.0, waited + scan.service - (following.arrival - scan.arrival))
    assert wait(scans, 1, urgent_first=False) == pytest.approx(expected)


@given(SCANS, st.integers(1, 4))
def test_no_scan_is_done_before_it_has_come_and_none_is_idle_work(scans, workers):
    seconds = wait(scans, workers)
    service = np.array([scan.service for scan in scans])
    assert (seconds >= service - 1e-9).all()
    assert wait(scans, len(scans)) == pytest.approx(service)


@given(SCANS)
def test_urgent_ones_never_wait_longer_than_all_that_is_urgent_and_one_scan(scans):
    seconds = wait(scans, 1)
    urgent = [scan for scan in scans if scan.urgent]
    most = sum(scan.service for scan in urgent) + max(scan.service for scan in scans)
    assert all(waited <= most + 1e-6 for waited, scan in zip(seconds, scans, strict=True) if scan.urgent)


def test_as_many_scans_come_as_were_asked_for():
    scans = arrivals(200, 5.0, DAYS, seed=1)
    assert len(scans) == pytest.approx(200 * DAYS, rel=0.05)
    assert np.mean([scan.service for scan in scans]) == pytest.approx(5.0, rel=0.05)
