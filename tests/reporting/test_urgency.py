"""The most urgent first: on the page, in the thumbnail, in the worklist."""

from __future__ import annotations

import pytest

from medvision.reporting.context_records import CategoryRecord
from medvision.reporting.html import report_page
from medvision.reporting.thumbnails import THUMBNAIL, write_thumbnail
from medvision.reporting.urgency import by_urgency, lung_rads_rank
from medvision.reporting.worklist import row_from_report, write_worklist


def suggested(finding, category):
    record = CategoryRecord(
        guideline="Lung-RADS v2022", category=category, possible=(category,), words="Suggests.", reason="row"
    )
    return finding.model_copy(update={"categories": (record,)})


@pytest.fixture
def urgent(report):
    """The less probable finding is the more urgent one."""
    first, second = report.findings
    return report.model_copy(update={"findings": (suggested(first, "2"), suggested(second, "3 to 4A"))})


def test_category_before_probability(urgent, report):
    assert [finding.finding_id for finding in by_urgency(urgent.findings)] == ["F2", "F1"]
    assert [finding.finding_id for finding in by_urgency(report.findings)] == ["F1", "F2"]


def test_ranks():
    ordered = ["", "1", "2", "3", "2 to 4A", "4B", "4X"]
    assert sorted(ordered, key=lung_rads_rank) == ordered


def test_the_page_begins_with_the_most_urgent(urgent, scan):
    page = report_page(urgent, scan, None, None)
    assert page.index('id="F2"') < page.index('id="F1"')
    assert "2 findings; the most urgent: about 4\u00a0mm" in page


def test_a_thumbnail_comes_and_goes(report, empty_report, scan, tmp_path):
    write_thumbnail(tmp_path, report, scan)
    assert 100 < (tmp_path / THUMBNAIL).stat().st_size < 3000
    write_thumbnail(tmp_path, empty_report, scan)
    assert not (tmp_path / THUMBNAIL).exists()


def test_thumbnails_stay_within_bounds(report, scan, tmp_path, monkeypatch):
    """The most urgent rows have a picture; where there is no more room, the others have none."""
    rows = []
    for i in range(4):
        series = report.series.model_copy(update={"name": f"1.2.{i}"})
        rows.append(row_from_report(report.model_copy(update={"series": series})))
        (tmp_path / f"1.2.{i}").mkdir()
        write_thumbnail(tmp_path / f"1.2.{i}", report, scan)
    size = (tmp_path / "1.2.0" / THUMBNAIL).stat().st_size
    monkeypatch.setattr("medvision.reporting.worklist.MOST_THUMBNAIL_BYTES", 3 * size)
    write_worklist(rows, tmp_path)
    page = (tmp_path / "worklist.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp;base64,") == 3
    assert page.index("1.2.3/report.html") > page.rindex("data:image/webp;base64,")


def test_the_worklist_sorts_by_category_too(urgent, report, tmp_path):
    from medvision.reporting.context_records import GuidelineRecord

    guideline = GuidelineRecord(
        guideline="Lung-RADS v2022", applies="unknown", category="4B", finding_id="F1",
        words="", reason="", source="",
    )  # fmt: skip
    rare = report.model_copy(
        update={
            "guidelines": (guideline,),
            "series": report.series.model_copy(update={"name": "rare"}),
            "findings": report.findings[1:],
        }
    )
    write_worklist([row_from_report(urgent), row_from_report(rare)], tmp_path)
    lines = (tmp_path / "worklist.csv").read_text(encoding="utf-8").splitlines()
    assert lines[1].startswith("rare,")
    assert lines[1].endswith(",4B")
    not_for_it = rare.model_copy(update={"guidelines": (guideline.model_copy(update={"applies": "no"}),)})
    assert row_from_report(not_for_it).lung_rads == ""
