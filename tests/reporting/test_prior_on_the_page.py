"""The earlier examination beside the present one, in words and in a picture."""

from __future__ import annotations

from dataclasses import replace

import highdicom as hd
import numpy as np
import pytest

from medvision.reporting.figures import draw_card
from medvision.reporting.html import report_page
from medvision.reporting.prior_records import FindingPriorRecord, PriorRecord, VanishedRecord
from medvision.reporting.words import ENGLISH
from tests.reporting.test_slices import picture

GROWN = FindingPriorRecord(
    status="growing",
    volume_mm3=1571.0,
    mean_diameter_mm=14.4,
    center_lps_mm=(30.0, -5.0, 12.0),
    growth_percent=36.4,
    growth_lower_percent=-2.0,
    growth_upper_percent=66.0,
    doubling_time_days=294.0,
    doubling_time_lower_days=170.0,
)


@pytest.fixture
def compared(report):
    gone = VanishedRecord(center_lps_mm=(1.0, 2.0, -3.0), mean_diameter_mm=5.5, words="lung, no nodule")
    findings = (report.findings[0].model_copy(update={"prior": GROWN}), *report.findings[1:])
    prior = PriorRecord(
        series_instance_uid="1.9", study_date="2019-01-31", days_between=365, registration="rigid",
        vanished=(gone,),
    )  # fmt: skip
    return report.model_copy(update={"findings": findings, "prior": prior})


@pytest.fixture
def earlier(scan):
    """The same patient, 20 mm further to the left on the table."""
    affine = scan.volume.affine.copy()
    affine[0, 3] += 20
    return replace(scan, volume=hd.Volume(scan.volume.array, affine, coordinate_system="PATIENT"))


def test_growth_in_words():
    facts = {fact.name: (fact.value, fact.note) for fact in ENGLISH._growth(GROWN)}
    assert facts["Since the earlier examination"] == (
        "growing, +36\u202f%",
        "95% limits −2 to +66\u202f%",
    )
    assert facts["Volume then"] == ("1,570\u00a0mm³", "")
    assert facts["Doubling time"] == ("294 days", "95% limit: at least 170")
    assert ENGLISH.change(FindingPriorRecord(status="new")) == "new"
    assert ENGLISH.change(None) == "–"


def test_the_page_says_days_and_no_date(compared, scan):
    page = report_page(compared, scan, None, None)
    assert "Compared with an examination 365 days earlier." in page
    assert "2019-01-31" not in page
    assert "mean diameter then 5.5\u00a0mm, 1.0; 2.0; −3.0\u00a0mm: lung, no nodule" in page
    assert "not found now" not in report_page(compared.model_copy(update={"prior": None}), scan, None, None)


def test_the_earlier_picture_shows_the_same_place(compared, scan, earlier):
    """The nodule then lies where it lies now: in the middle."""
    card = draw_card(scan, compared.findings[0], prior_scan=earlier)
    now, then = (picture(image.uri).astype(int) for image in (card.images[0], card.earlier))
    np.testing.assert_allclose(now, then, atol=40)
    assert np.abs(now - then).mean() < 4
    assert draw_card(scan, compared.findings[1], prior_scan=earlier).earlier is None
    page = report_page(compared, scan, None, None, prior_scan=earlier)
    assert page.count("Earlier, the same view") == 1
    assert 'class="views five"' in page
