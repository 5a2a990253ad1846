"""The pages in headless Chromium: rendered, silent, and nothing asked of the network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest

from medvision.findings import Candidate
from medvision.measurement.nodule import measure
from medvision.reporting.build import build_report
from medvision.reporting.case import write_case
from medvision.reporting.report import Lineage, ModelRecord, OperatingPoint
from medvision.reporting.worklist import row_from_failure, row_from_report, write_worklist
from medvision.volumes import QualityCheck, Scan, SliceReference

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NOBODY = "not an origin"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """A worklist with one case and one failure."""
    folder = tmp_path_factory.mktemp("out")
    affine = np.zeros((4, 4))
    affine[2, 0] = affine[1, 1] = affine[0, 2] = 1
    affine[:, 3] = [-40, -40, -40, 1]
    points = np.moveaxis(np.indices((80, 80, 80)), 0, -1) - 40
    hu = np.where(np.linalg.norm(points, axis=-1) < 6, 30, -860).astype(np.int16)
    scan = Scan(
        name="1.2.3",
        series_instance_uid="1.2.3",
        study_instance_uid="1.2",
        patient_id="",
        volume=hd.Volume(hu, affine, coordinate_system="PATIENT"),
        slices=tuple(SliceReference(f"1.2.3.{i}", i + 1) for i in range(80)),
        checks=(QualityCheck("gaps", "warn", "1", "0", "<img src='http://example.com/x.png'> is text."),),
    )
    candidate = Candidate((0.0, 0.0, 0.0), 0.9, 0.8, 12.0, 0.3)
    report = build_report(
        scan,
        [(candidate, measure(scan.volume, candidate, None)[0])],
        model=ModelRecord(name="lite", version="1", sha256=""),
        operating_point=OperatingPoint(threshold=0.5),
        lineage=Lineage(input_sha256="", config_sha256=""),
    )
    write_case(folder / scan.name, report, scan, None, None)
    write_worklist([row_from_report(report), row_from_failure("1.2.4", "no pixel data")], folder)
    return folder


def browse(page: Path, folder: Path) -> tuple[str, list[str], str]:
    """The rendered document, the addresses that were asked for, and what went to the console."""
    log = folder / "net.json"
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--enable-logging=stderr",
        f"--user-data-dir={folder / 'profile'}",
        f"--log-net-log={log}",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    console = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    return done.stdout, list(_requested(json.loads(log.read_text(encoding="utf-8")))), console


def _requested(log: dict) -> Iterator[str]:
    """What pages asked for; the browser's own errands have no initiator."""
    for event in log["events"]:
        asked = event.get("params", {})
        if asked.get("url", "").startswith(("http:", "https:")) and asked.get("initiator", NOBODY) != NOBODY:
            yield asked["url"]


@pytest.mark.parametrize("name", ["worklist.html", "1.2.3/report.html"])
def test_page_is_silent_and_alone(out, tmp_path, name):
    document, requested, console = browse(out / name, tmp_path)
    assert "Research use, not a medical device" in document
    assert requested == []
    assert console == ""


def act(page: Path, folder: Path, actions: str) -> str:
    """The document after a reader's actions; the page's policy would not let a second script in."""
    text = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text(encoding="utf-8"))
    acted = folder / "acted.html"
    acted.write_text(text.replace("</body>", f"<script>{actions}</script></body>"), encoding="utf-8")
    document, _, console = browse(acted, folder)
    assert console == ""
    return document


def test_a_reader_scrolls_through_the_slices(out, tmp_path):
    document = act(
        out / "1.2.3" / "report.html",
        tmp_path,
        """const figure = document.querySelector(".stack"), slider = figure.querySelector("input");
        slider.value = Number(slider.value) + 3;
        slider.dispatchEvent(new Event("input"));
        document.title = getComputedStyle(figure.querySelector(".strip")).display + " "
          + getComputedStyle(figure.querySelector(".over-nodule")).display;""",
    )
    assert "<title>inline none</title>" in document
    assert re.search(r"<output>[^<]*</output>", document)[0] == "<output>slice 47, +6.0 mm</output>"


def test_a_reader_searches_and_sorts(out, tmp_path):
    document = act(
        out / "worklist.html",
        tmp_path,
        """search.value = "no PIXEL"; search.dispatchEvent(new Event("input"));
        const shown = count.textContent, hidden = homes.flat().filter((row) => row.hidden).length;
        search.value = ""; search.dispatchEvent(new Event("input"));
        document.querySelectorAll("th button")[3].click();
        const first = together.rows[0].cells[4].textContent;
        document.querySelectorAll("th button")[3].click();
        const last = together.rows[0].cells[4].textContent;
        document.querySelectorAll("th button")[3].click();
        document.title = [shown, hidden, first, last, together.rows.length].join("|");""",
    )
    assert re.search(r"<title>1 shown\|1\|90.%\|–\|0</title>", document)


def test_a_page_that_fetches_would_be_caught(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<img src='http://example.com/x.png'><script>console.error('heard')</script>")
    _, requested, console = browse(page, tmp_path)
    assert requested[:1] == ["http://example.com/x.png"]
    assert "heard" in console
