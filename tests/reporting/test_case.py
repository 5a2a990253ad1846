"""The folder of a case, and what its page must and must not contain."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medvision.errors import ConfigError, OutputError
from medvision.reporting import case
from medvision.reporting.case import read_report, write_case
from medvision.reporting.figures import key_images
from medvision.reporting.html import report_page
from medvision.volumes import Explanation

PATIENT_ID = "MRN-4711-SECRET"


class Page(HTMLParser):
    """What a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._hidden = False
        self.feed(text)
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._hidden = tag in ("style", "script")

    def handle_endtag(self, _tag):
        self._hidden = False

    def handle_data(self, data):
        self.text += "" if self._hidden else data


@pytest.fixture(scope="module")
def page(report, scan, lungs, heat_map) -> str:
    return report_page(report, scan, lungs, heat_map)


@pytest.fixture(scope="module")
def seen(page) -> Page:
    return Page(page)


def test_all_files(tmp_path, report, scan, lungs, heat_map):
    write_case(tmp_path / "case", report, scan, lungs, heat_map)
    assert {path.name for path in (tmp_path / "case").iterdir()} == {
        "report.json",
        "report.html",
        "findings.csv",
        "thumbnail.webp",
    }
    assert read_report(tmp_path / "case" / "report.json") == report


def test_a_second_run_gives_the_same_bytes(tmp_path, report, scan, lungs, heat_map):
    for folder in ("a", "b"):
        write_case(tmp_path / folder, report, scan, lungs, heat_map)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_json_alone(tmp_path, report, scan):
    write_case(tmp_path, report, scan, None, None, formats=("json",))
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_unknown_format(tmp_path, report, scan):
    with pytest.raises(ConfigError, match="unknown report format 'pdf'; choose from json, csv, html"):
        write_case(tmp_path / "case", report, scan, None, None, formats=("html", "pdf"))
    assert not (tmp_path / "case").exists()


def test_a_case_that_fails_is_not_complete(tmp_path, report, scan, monkeypatch):
    """report.json comes last, so a case that has one is whole."""

    def fail(*_args, **_named):
        raise MemoryError

    monkeypatch.setattr(case, "report_page", fail)
    with pytest.raises(MemoryError):
        write_case(tmp_path, report, scan, None, None)
    assert [path.name for path in tmp_path.iterdir()] == ["findings.csv"]


def test_folder_that_is_a_file(tmp_path, report, scan):
    (tmp_path / "case").write_text("")
    with pytest.raises(OutputError, match="choose another output folder"):
        write_case(tmp_path / "case", report, scan, None, None)


def test_page_needs_nothing_else(page, seen):
    assert not any(tag in ("iframe", "object", "link", "base", "form") for tag, _ in seen.tags)
    for _, attributes in seen.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href"):
            if name in attributes:
                assert attributes[name].startswith(("data:image/webp;base64,", "#"))
    assert "url(" not in page
    assert "@import" not in page


def test_only_the_page_s_own_script_may_run(page, seen):
    """By its hash: a script that got in through DICOM would be another one."""
    policy = next(a["content"] for tag, a in seen.tags if a.get("http-equiv") == "Content-Security-Policy")
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert len(scripts) == 1
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_page_does_not_run_what_dicom_says(page, seen):
    assert "<script>alert(1)" not in page
    assert "<script>alert(1)</script>\"'&" in seen.text


def test_page_names_no_patient(page, scan):
    assert scan.patient_id == PATIENT_ID
    assert PATIENT_ID not in page


def test_page_is_accessible(seen):
    tags = dict(seen.tags)
    assert tags["html"]["lang"] == "en"
    assert [tag for tag, _ in seen.tags].count("h1") == 1
    pictures = [attributes for tag, attributes in seen.tags if tag == "svg"]
    assert len(pictures) == 1 + 2 * 4
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in pictures)
    ids = [attributes["id"] for _, attributes in seen.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_page_says_what_a_reader_needs(seen):
    for words in (
        "2 findings; the most urgent: solid, 16.2 × 15.8 mm, left upper zone.",
        "very likely a nodule, 93\u202f%",
        "left upper zone, slice 26, 7 mm from the pleura",
        "93\u202f%",
        "Measure this one by hand: on 2 slices only.",
        "One slice is missing",
        "Research use, not a medical device.",
        "female, 61 years",
    ):
        assert re.sub(r"\s+", " ", words) in seen.text, words


def test_page_without_findings_is_not_called_normal(empty_report, scan):
    seen = Page(report_page(empty_report, scan, None, None))
    assert "No finding above the operating point." in seen.text
    assert "This does not exclude a nodule" in seen.text
    assert "normal" not in seen.text.lower()


def test_page_of_a_rejected_scan_makes_no_statement(empty_report, scan):
    quality = empty_report.quality.model_copy(update={"verdict": "reject"})
    seen = Page(report_page(empty_report.model_copy(update={"quality": quality}), scan, None, None))
    assert "was not analysed" in seen.text
    assert "does not exclude" not in seen.text


def test_ten_findings_stay_below_three_megabytes(report, scan, lungs, heat_map):
    many = tuple(report.findings[0].model_copy(update={"finding_id": f"F{i}"}) for i in range(1, 11))
    evidence = np.random.default_rng(0).random((3, 64, 64), np.float32)
    explanations = [Explanation(evidence, side_mm=32.0)] * 10
    page = report_page(report.model_copy(update={"findings": many}), scan, lungs, heat_map, explanations)
    assert len(page) < 3e6


def test_table_of_findings(tmp_path, report, scan):
    write_case(tmp_path, report, scan, None, None, formats=("csv",))
    with (tmp_path / "findings.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["finding_id"] for row in rows] == ["F1", "F2"]
    assert float(rows[0]["center_x_mm"]) == 10.0
    assert float(rows[0]["mean_hu"]) == -12.5
    assert rows[1]["malignancy_probability"] == ""


def _luminance(color: str) -> float:
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_marks_stand_out_from_any_grey():
    """Text and lines over pictures are light and have a dark rim of their own."""
    style = (Path(case.__file__).parent / "templates" / "report.css").read_text(encoding="utf-8")
    rules = dict(re.findall(r"svg (\.?\w+) \{ ([^}]*) \}", style))
    assert "stroke: #000" in rules["text"]
    assert "stroke: #000" in rules[".under"]
    for name in (".over", ".ring", ".scale", ".number", "text"):
        ink = re.search(r"(?:^| )(?:stroke|fill): (#(?!000)[0-9a-f]{3,6})", rules[name])
        assert _contrast(ink[1], "#000000") >= 4.5, name


def test_contrast_meets_wcag_aa():
    """Every ink on its paper, in light, dark and print: at least 4.5 to 1."""
    style = (Path(case.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")
    themes = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(themes) == 3
    for theme in themes:
        color = dict(re.findall(r"--([\w-]+): (#[0-9a-f]+)", theme))
        pairs = [("ink", "paper"), ("soft", "paper"), ("accent", "paper")]
        pairs += [("warn-ink", "warn-tint"), ("stop-ink", "stop-tint"), ("ink", "tint")]
        for ink, paper in pairs:
            assert _contrast(color[ink], color[paper]) >= 4.5, (ink, paper, theme)
        assert _contrast(color["bar"], color["paper"]) >= 3  # what is no text (WCAG 1.4.11)


def test_evidence_lies_over_the_lung_window_where_it_is(report, scan, lungs, heat_map):
    """One bright pixel right of the middle in the axial plane only."""
    evidence = np.full((3, 32, 32), -1.0, np.float32)
    evidence[0, 16, 24] = 2.0
    explanations = [Explanation(evidence, side_mm=32.0)] * len(report.findings)
    images = key_images(scan, report.findings[0], explanations[0])
    assert [image.evidence is not None for image in images] == [True, False, True, True]
    overlay = images[0].evidence
    px_per_mm = images[0].scale_px / images[0].scale_mm
    assert overlay.size_px == pytest.approx(32 * px_per_mm, rel=0.01)
    assert overlay.start_px + overlay.size_px / 2 == pytest.approx(images[0].size_px / 2, abs=0.2)
    alpha = [rgba(image.evidence.uri)[..., 3] for image in images if image.evidence]
    assert np.unravel_index(alpha[0].argmax(), alpha[0].shape) == (16, 24)
    assert alpha[0].max() > 180
    assert alpha[1].max() == alpha[2].max() == 0
    page = report_page(report, scan, lungs, heat_map, explanations)
    assert page.count('class="evidence"') == 3 * len(report.findings)
    assert "more that place spoke for a nodule" in page
    assert "spoke for" not in report_page(report, scan, lungs, heat_map)


def test_evidence_that_only_speaks_against_draws_nothing(scan, report):
    explanation = Explanation(np.full((3, 32, 32), -1.0, np.float32), side_mm=32.0)
    for image in key_images(scan, report.findings[0], explanation):
        assert image.evidence is None or rgba(image.evidence.uri)[..., 3].max() == 0


def rgba(uri):
    """Decode a data URI."""
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as picture:
        return np.asarray(picture.convert("RGBA"))
