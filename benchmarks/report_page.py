"""The pages: seconds and bytes by number of findings; a worklist of 1,000 rows, in Chromium if there is one.

The scan is 240 slices of 512 × 512 with the noise of a sharp kernel, which compresses worst.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import highdicom as hd
import numpy as np

from benchmarks.timing import Row, best_of, print_table
from medvision.findings import Candidate, Measurement
from medvision.guidelines import Patient
from medvision.measurement.nodule import NoduleMask, measure
from medvision.reporting.build import build_report
from medvision.reporting.context import with_context
from medvision.reporting.html import report_page
from medvision.reporting.report import Lineage, ModelRecord, OperatingPoint, Report
from medvision.reporting.thumbnails import THUMBNAIL, write_thumbnail
from medvision.reporting.worklist import row_from_report, write_worklist
from medvision.volumes import Explanation, HeatMap, LungMask, Scan, SliceReference

SHAPE, SPACING_MM = (240, 512, 512), (1.25, 0.7, 0.7)
ROWS = 1000
TIMED = """<script>addEventListener("load", () => { const loaded = performance.now();
search.value = "4a"; filter(); document.body.offsetHeight; const found = performance.now();
search.value = ""; filter(); document.body.offsetHeight; const all = performance.now();
document.querySelectorAll("th button")[3].click(); document.body.offsetHeight;
document.title = [loaded, found - loaded, performance.now() - all].map(Math.round); })</script>"""


def main() -> None:
    print_table(_rows())


def _rows() -> Iterator[Row]:
    scan, lungs, heat_map = _scan()
    for count in (0, 1, 10):
        report, masks = _report(scan, lungs, count)
        evidence = np.random.default_rng(0).random((3, 64, 64), np.float32)
        draw = partial(
            report_page, report, scan, lungs, heat_map, [Explanation(evidence, 32.0)] * count, masks=masks
        )
        yield Row(f"report.html, {count} findings", best_of(draw), f"{len(draw()) / 1e6:.2f} MB")
    yield from _worklist(report, scan)


def _worklist(report: Report, scan: Scan) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        rows = []
        for i in range(ROWS):
            series = report.series.model_copy(update={"name": f"1.2.{i}", "patient_reference": f"{i:010x}"})
            rows.append(row_from_report(report.model_copy(update={"series": series})))
            (out / series.name).mkdir()
            write_thumbnail(out / series.name, report, scan)
        seconds = best_of(lambda: write_worklist(rows, out))
        page = out / "worklist.html"
        size = (out / rows[0].name / THUMBNAIL).stat().st_size
        remark = f"{page.stat().st_size / 1e6:.2f} MB, a picture {size} bytes"
        yield Row(f"worklist of {ROWS} rows", seconds, remark)
        if browser := shutil.which("chromium"):
            yield from _in_browser(browser, page)


def _in_browser(browser: str, page: Path) -> Iterator[Row]:
    text = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text(encoding="utf-8"))
    page.write_text(text.replace("</body>", f"{TIMED}</body>"), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={page.parent / 'profile'}"]
    command = [browser, *options, "--dump-dom", page.as_uri()]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    spent = re.findall(r"\d+", done.stdout.partition("<title>")[2].partition("</title>")[0])
    for what, milliseconds in zip(("loaded", "searched", "sorted"), spent, strict=True):
        yield Row(f"in Chromium, {what}", int(milliseconds) / 1000)


def _scan() -> tuple[Scan, LungMask, HeatMap]:
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = *SPACING_MM, 1
    hu = np.random.default_rng(0).normal(-850, 45, SHAPE).astype(np.int16)
    for center in _centers(10):
        z, y, x = (int(place) for place in center)
        box = np.s_[z - 12 : z + 13, y - 12 : y + 13, x - 12 : x + 13]
        places = np.moveaxis(np.indices((25, 25, 25)), 0, -1) - 12
        hu[box][np.linalg.norm(places * SPACING_MM, axis=-1) < 5] += 880
    lungs = np.zeros((100, 90, 90), np.uint8)
    lungs[5:-5, 5:-5, 5:45], lungs[5:-5, 5:-5, 48:-5] = 1, 2
    coarse = affine @ np.diag([240 / 100, 512 / 90, 512 / 90, 1])
    scan = Scan(
        "1.2", "1.2", "1", "", hd.Volume(hu, affine, coordinate_system="PATIENT"),
        tuple(SliceReference(f"1.2.{i}", i + 1) for i in range(SHAPE[0])),
    )  # fmt: skip
    heat = HeatMap(np.random.default_rng(1).random((100, 90, 90), np.float32) ** 9, coarse)
    return scan, LungMask(lungs, coarse, found=True), heat


def _centers(count: int) -> np.ndarray:
    return np.random.default_rng(2).integers((20, 100, 100), (220, 400, 400), (count, 3))


def _report(scan: Scan, lungs: LungMask, count: int) -> tuple[Report, list[NoduleMask]]:
    found: list[tuple[Candidate, Measurement]] = []
    masks = []
    for rank, center in enumerate(_centers(count)):
        place = tuple(float(value) for value in (center * SPACING_MM)[::-1])
        candidate = Candidate(place, 0.95 - rank / 100, 0.5, 10.0, 0.3)
        measurement, mask = measure(scan.volume, candidate, lungs)
        found.append((candidate, measurement))
        masks.append(mask)
    report = build_report(
        scan, found, model=ModelRecord(name="lite", version="1", sha256=""),
        operating_point=OperatingPoint(threshold=0.5), lineage=Lineage(input_sha256="", config_sha256=""),
    )  # fmt: skip
    return with_context(report, Patient()), masks


if __name__ == "__main__":
    main()
