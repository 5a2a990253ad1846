"""Text from DICOM files and file names reaches terminals, logs, tables and pages as text and nothing else."""

from __future__ import annotations

import csv
import json
import logging
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.cli.console import set_verbosity, show, show_error
from medvision.cli.main import run
from medvision.dicom.stored import open_store
from medvision.errors import ModelError
from medvision.files import FORMULA_STARTS, plain_cell, safe_cell
from medvision.reporting.worklist import row_from_failure, write_worklist
from medvision.tracking.references import resolve_model
from tests.dicom.builders import Slices, edit, write_series

HOSTILE = (
    "\x1b[2J\x1b[31mall clear\x1b[0m",
    "\x1b]8;;http://evil\x07click\x1b]8;;\x07",
    "a\rmedvision: no finding",
    "a\nmedvision: no finding",
    "\x9b31m\x85",
    "\u202egnp.exe\u2066",
    "a\u2028b",
)


@pytest.fixture
def _logging():
    package = logging.getLogger("medvision")
    before = package.propagate, package.level, list(package.handlers)
    yield
    package.propagate, package.level, package.handlers = before
    package.setLevel(before[1])


def is_tame(text: str) -> bool:
    return all(letter == "\n" or letter.isprintable() for letter in text)


@pytest.mark.usefixtures("_logging")
@pytest.mark.parametrize("text", HOSTILE)
def test_the_terminal_shows_control_characters_and_does_not_obey_them(text, capsys):
    set_verbosity(0)
    logging.getLogger("medvision.dicom").warning("series of %s", text)
    show({}, [f"station {text}"], as_json=False)
    show_error(f"cannot read {text}", 2, as_json=False)
    printed = capsys.readouterr()
    assert is_tame(printed.out + printed.err)
    logged = [line for line in printed.err.splitlines() if line.startswith("series of ")]
    assert len(logged) == 1
    assert not [line for line in printed.err.splitlines()[:1] if line.startswith("medvision: no finding")]


@pytest.mark.parametrize("text", HOSTILE)
def test_json_for_programs_is_one_line_of_ascii(text, capsys):
    show({"station": text}, [], as_json=True)
    line, rest = capsys.readouterr().out.split("\n", 1)
    assert rest == ""
    assert line.isascii()
    assert json.loads(line)["station"] == text


ACTIVE = {"script", "iframe", "object", "embed", "link", "img", "svg", "form", "base", "meta", "a", "style"}
MARKUP = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"'><svg onload=alert(1)>",
    "</title><base href=//evil>",
    "javascript:alert(1)",
    "{{ 7*7 }}{% raw %}",
    "]]>--><!--",
    "=cmd|' /C calc'!A0",
    "+1+cmd",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "\r\n=1",
    '","=1',
)


class Elements(HTMLParser):
    """Counts elements, and keeps what is active about them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handlers += [
            name for name, value in attrs if name.startswith("on") or "script:" in (value or "")
        ]


@pytest.mark.parametrize("text", MARKUP)
def test_the_worklist_holds_no_element_or_formula_more(text, tmp_path: Path):
    def page_of(words: str, folder: str) -> tuple[str, list[list[str]]]:
        row = row_from_failure(words, words, study_instance_uid=words, name=words)
        write_worklist([row], tmp_path / folder)
        with (tmp_path / folder / "worklist.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        return (tmp_path / folder / "worklist.html").read_text(encoding="utf-8"), rows

    (page, rows), (tame, _) = page_of(text, "hostile"), page_of("text", "tame")
    assert Elements(page).tags == Elements(tame).tags
    assert Elements(page).handlers == []
    assert "49" not in Elements(page).rawdata
    assert len(rows) == 2
    assert not [cell for cell in rows[1] if cell.startswith(FORMULA_STARTS)]


WORDS = ("=1+1", "<script>alert(1)</script>", "../../up", "\x1b[31mred", "a\nb", "@x", "-1")


@pytest.mark.parametrize("keyword", ["PatientID", "SeriesDescription", "StudyDescription", "Manufacturer"])
def test_what_ingest_writes_of_a_hostile_series_is_tame_and_inside_the_store(keyword, tmp_path, capsys):
    for number, text in enumerate(WORDS):
        uid = f"1.2.{number}"
        for path in write_series(tmp_path / "in" / f"=s{number}", Slices(series_uid=uid)):
            edit(path, lambda ds, text=text: ds.add_new(keyword, "LO", text))
    (tmp_path / "in" / "=1+1\n\x1b[31m.dcm").write_bytes(b"no DICOM")
    assert run(["ingest", str(tmp_path / "in"), "-o", str(tmp_path / "store"), "--min-slices", "1"]) == 0
    printed = capsys.readouterr()
    assert is_tame(printed.out + printed.err)
    for table in ("series.csv", "problems.csv"):
        with (tmp_path / "store" / table).open(encoding="utf-8", newline="") as file:
            for row in list(csv.reader(file))[1:]:
                assert not [cell for cell in row if cell.startswith(("=", "+", "@", "\t", "\r"))]
    assert {path.name for path in tmp_path.iterdir()} == {"in", "store"}
    if keyword == "Manufacturer":
        assert {entry.row.manufacturer for entry in open_store(tmp_path / "store")} >= {"=1+1", "@x", "-1"}


@given(st.text())
def test_a_cell_that_was_made_safe_is_read_as_it_was(text):
    assert plain_cell(str(safe_cell(text))) == text or text.startswith("'")


@pytest.mark.parametrize(
    "reference",
    [
        "models:/../../etc@champion",
        "models:/name/../../x",
        "runs:/0123/../../../etc",
        "runs:/0123/%2e%2e/%2e%2e/etc",
        "runs:/0123/%252e%252e/etc",
        "runs:/0123/..\\..\\etc",
        "models:/name\x1b[31m@x",
        "models:/name@x?y=1#z",
    ],
)
def test_a_reference_that_leads_out_of_the_store_is_refused(reference, tmp_path):
    with pytest.raises(ModelError, match="leads out of the store") as caught:
        resolve_model(reference, f"sqlite:///{tmp_path}/mlflow.db")
    assert is_tame(str(caught.value))
