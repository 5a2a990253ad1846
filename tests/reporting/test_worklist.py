"""The worklist: order, rebuilding, and text that means harm."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from medvision.files import FORMULA_STARTS, safe_cell
from medvision.reporting import words
from medvision.reporting.report import ModelRecord, OperatingPoint
from medvision.reporting.run import RunDocument, write_run
from medvision.reporting.schema import schema_text
from medvision.reporting.tables import csv_text
from medvision.reporting.worklist import row_from_failure, row_from_report, write_worklist


def named(report, name, probability=None):
    series = report.series.model_copy(update={"name": name})
    first = report.findings[:1]
    if probability is not None:
        first = tuple(finding.model_copy(update={"probability": probability}) for finding in first)
    return row_from_report(report.model_copy(update={"series": series, "findings": first}))


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_sorted_by_urgency(tmp_path, report, empty_report):
    rows = [
        row_from_failure("rejected", "a localiser", verdict="reject"),
        named(empty_report, "nothing"),
        named(report, "likely", 0.6),
        row_from_failure("failed", "slice 14 cannot be decoded"),
        named(report, "most likely", 0.9),
    ]
    write_worklist(rows, tmp_path)
    order = ["most likely", "likely", "failed", "nothing", "rejected"]
    table = read(tmp_path / "worklist.csv")
    assert [row["name"] for row in table] == order
    assert [row["verdict"] for row in table] == ["warn", "warn", "failed", "warn", "reject"]
    page = (tmp_path / "worklist.html").read_text(encoding="utf-8")
    groups = [
        "With findings (2)",
        "Failed (1)",
        "No finding above the operating point (1)",
        "Not analysed (1)",
    ]
    assert [page.index(group) for group in groups] == sorted(page.index(group) for group in groups)
    assert "slice 14 cannot be decoded" in page
    assert 'href="most%20likely/report.html"' in page


def test_row(report):
    row = row_from_report(report)
    assert row.category == "solid 16 mm"
    assert row.findings == 2
    assert row.highest_probability == 0.9346
    assert row.link == "1.2.840.1/report.html"
    assert row.reason.startswith("One slice is missing")


def test_row_from_json_is_the_same(report):
    again = type(report).model_validate_json(report.to_json())
    assert row_from_report(again) == row_from_report(report)


def test_category_trusts_reliable_sizes_first(report):
    solid, doubtful = report.findings
    large = doubtful.model_copy(update={"mean_diameter_mm": 40.0})
    assert words.category(report.model_copy(update={"findings": (solid, large)})) == "solid 16 mm"
    assert words.category(report.model_copy(update={"findings": (large,)})) == "about 40 mm"


def test_row_without_findings(empty_report):
    row = row_from_report(empty_report)
    assert (row.findings, row.highest_probability, row.category) == (0, None, "–")


def test_empty_worklist(tmp_path):
    write_worklist([], tmp_path)
    assert read(tmp_path / "worklist.csv") == []
    assert "No series." in (tmp_path / "worklist.html").read_text()


def test_hostile_text(tmp_path):
    hostile = '=HYPERLINK("http://evil","x")<img src=x onerror=alert(1)>'
    write_worklist([row_from_failure("1.2.3", hostile)], tmp_path)
    assert read(tmp_path / "worklist.csv")[0]["reason"] == "'" + hostile
    tags = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, _attributes: tags.append(tag)
    parser.feed((tmp_path / "worklist.html").read_text(encoding="utf-8"))
    assert "img" not in tags
    assert tags.count("script") == 1


@given(st.text())
def test_no_cell_starts_a_formula(text):
    cell = str(safe_cell(text))
    assert not cell.lstrip().startswith(FORMULA_STARTS)
    assert cell.endswith(text)


@given(st.floats(allow_nan=False) | st.integers())
def test_numbers_stay_numbers(number):
    assert safe_cell(number) == number


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"))))
def test_table_reads_back(cells):
    text = csv_text(["x"] * len(cells), [cells])
    _, row = csv.reader(io.StringIO(text, newline=""))
    assert [cell.removeprefix("'") for cell in row] == [cell.removeprefix("'") for cell in cells]


@given(st.floats(0, 1))
def test_nothing_is_certain(probability):
    assert words.ENGLISH.percent(probability) not in ("0\u202f%", "100\u202f%")


@pytest.mark.parametrize(
    ("value", "text"),
    [(5543.2, "5,540\u00a0mm³"), (113.1, "113\u00a0mm³"), (14.24, "14.2\u00a0mm³"), (0, "0.00\u00a0mm³")],
)
def test_volume_has_three_digits(value, text):
    assert words.ENGLISH.volume(value) == text


def test_operating_point_in_words():
    assert (
        words.ENGLISH.operating(OperatingPoint(threshold=0.5))
        == "Reported is what reaches a probability of 50\u202f%."
    )


def test_run_document(tmp_path):
    started = datetime(2024, 5, 1, 12, tzinfo=UTC)
    values = {
        "versions": {"medvision": "0.1.0"},
        "model": ModelRecord(name="lite", version="1", sha256=""),
        "operating_point": OperatingPoint(threshold=0.5),
        "config_sha256": "0" * 64,
        "device": "cpu",
        "counts": {"processed": 2},
        "seconds": {"total": 9.0},
        "exit_code": 3,
    }
    write_run(
        tmp_path / "run.json", RunDocument(**values, started=started, ended=started + timedelta(seconds=9))
    )
    written = json.loads((tmp_path / "run.json").read_text())
    jsonschema.Draft202012Validator(json.loads(schema_text(RunDocument))).validate(written)
    assert written["ended"] == "2024-05-01T12:00:09Z"
    with pytest.raises(ValidationError, match="timezone"):
        RunDocument(**values, started=started.replace(tzinfo=None), ended=started)
