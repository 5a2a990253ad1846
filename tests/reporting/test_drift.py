"""The page of a comparison: what drifted on top, every value escaped, nothing fetched."""

from __future__ import annotations

import re

import pytest

from medvision.evaluation.drift.document import ChartBin, CohortRecord, DriftDocument, FeatureRecord
from medvision.reporting.drift import HEIGHT, WIDTH, chart, drift_page, write_drift


def feature(name: str = "kernel", status="drift", labels=("B30f", "<b>B70f</b>"), **changes) -> FeatureRecord:
    bins = [
        ChartBin(label=label, reference=0.6 * (i + 1) / len(labels), current=0.1)
        for i, label in enumerate(labels)
    ]
    values = {
        "name": name, "title": name.title(), "unit": "", "kind": "category", "status": status,
        "n_reference": 9, "n_current": 9, "reference": "B30f 40%", "current": "<b>B70f</b> 10%", "psi": 0.5,
        "ks": None, "p_value": 0.001, "p_adjusted": 0.004, "bins": bins,
    }  # fmt: skip
    return FeatureRecord(**(values | changes))


def document(*features: FeatureRecord, verdict="drift") -> DriftDocument:
    cohort = CohortRecord(path="a & b", kind="store", scans=12, drawn=9, with_pixels=3)
    return DriftDocument(
        verdict=verdict, limit_psi=0.2, limit_p=0.01, permutations=4999, seed=0,
        reference=cohort, current=cohort, features=features,
    )  # fmt: skip


def test_what_has_drifted_comes_first_and_all_is_escaped():
    page = drift_page(document(feature("spacing", "stable"), feature("kernel", "drift")))
    assert page.index("Kernel") < page.index("Spacing")
    assert "Beyond the limits: kernel" in page
    assert "a &amp; b: 12 scans, 9 compared, voxels of 3 read" in page
    assert "<b>" not in page


def test_the_page_stands_alone():
    page = drift_page(document(feature()))
    assert not re.findall(r"<script|src=|href=|https?://|@import|url\(", page)


@pytest.mark.parametrize(
    ("verdict", "words"),
    [("stable", "No feature is beyond the limits"), ("too_few", "Too few scans to tell")],
)
def test_the_headline_says_what_it_is(verdict, words):
    empty = feature("findings", "absent", (), psi=None, p_value=None, p_adjusted=None)
    page = drift_page(document(feature("kernel", "stable"), empty, verdict=verdict))
    assert words in page
    assert "Not known in both cohorts: findings" in page


def test_bars_are_as_high_as_their_shares_and_do_not_overlap():
    drawn = chart(feature(labels=("a", "b", "c")))
    highest = max(drawn.bars, key=lambda bar: bar.height)
    assert (highest.height, highest.title, drawn.top) == (HEIGHT, "c: reference 60.0%", "60%")
    assert [bar.height for bar in drawn.bars][:2] == [round(HEIGHT / 3, 2), round(HEIGHT / 6, 2)]
    assert all(
        one.x + one.width <= other.x + 0.02 for one, other in zip(drawn.bars, drawn.bars[1:], strict=False)
    )
    assert drawn.bars[-1].x + drawn.bars[-1].width <= WIDTH


def test_long_names_of_many_categories_are_cut():
    names = tuple(f"KERNEL NUMBER {i}" for i in range(10))
    assert {label.text for label in chart(feature(labels=names)).labels} == {"KERN…"}
    assert chart(feature(labels=("SIEMENS", "GE"))).labels[0].text == "SIEMENS"


def test_document_and_page_are_written_whole(tmp_path):
    write_drift(document(feature()), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["drift.html", "drift.json"]
    text = (tmp_path / "out" / "drift.json").read_text()
    assert DriftDocument.model_validate_json(text) == document(feature())
